//! Strings that were read before. A string comes with each event of a visit, and most visitors of a day have chosen alike.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::{GppString, Malformed, TcString};

/// Strings of one kind remembered per thread; past it all are forgotten.
const STRINGS_MAX: usize = 1_024;
/// Longer ones are read each time: what is remembered stays within a few megabytes.
const BYTES_MAX: usize = 2_048;

thread_local! {
    static TC_STRINGS: RefCell<HashMap<String, Arc<TcString>>> = RefCell::default();
    static GPP_STRINGS: RefCell<HashMap<String, Arc<GppString>>> = RefCell::default();
}

impl TcString {
    /// As [`TcString::decode`], remembered.
    pub fn known(text: &str) -> Result<Arc<TcString>, Malformed> {
        TC_STRINGS.with_borrow_mut(|known| remembered(known, text, TcString::decode))
    }
}

impl GppString {
    /// As [`GppString::decode`], remembered.
    pub fn known(text: &str) -> Result<Arc<GppString>, Malformed> {
        GPP_STRINGS.with_borrow_mut(|known| remembered(known, text, GppString::decode))
    }
}

fn remembered<T>(
    known: &mut HashMap<String, Arc<T>>,
    text: &str,
    decode: fn(&str) -> Result<T, Malformed>,
) -> Result<Arc<T>, Malformed> {
    if let Some(found) = known.get(text) {
        return Ok(found.clone());
    }
    let read = Arc::new(decode(text)?);
    if text.len() <= BYTES_MAX {
        if known.len() >= STRINGS_MAX {
            known.clear();
        }
        known.insert(text.to_owned(), read.clone());
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(text: &str) -> Result<usize, Malformed> {
        match text.len() {
            0 => Err(Malformed::new("string", "is empty")),
            length => Ok(length),
        }
    }

    #[test]
    fn what_is_remembered_is_what_is_read_and_no_more_than_there_is_room_for() {
        let mut known = HashMap::new();
        for n in 0..3 * STRINGS_MAX {
            let text = format!("{n}");
            let first = remembered(&mut known, &text, length).unwrap();
            assert_eq!(*first, text.len());
            assert!(Arc::ptr_eq(&first, &remembered(&mut known, &text, length).unwrap()), "read once");
            assert!(known.len() <= STRINGS_MAX);
        }
        assert!(remembered(&mut known, "", length).is_err());
        let long = "C".repeat(BYTES_MAX + 1);
        assert_eq!(*remembered(&mut known, &long, length).unwrap(), BYTES_MAX + 1);
        assert!(!known.contains_key("") && !known.contains_key(&long), "nothing malformed, nothing long");
    }
}
