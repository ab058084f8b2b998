//! What was chosen each day, and how many removals the tools confirmed: the trend that whoever watches over consent looks at.
//!
//! Counts, nobody's name; like [`crate::days`] they outlive an erasure. A row has at most [`TURNS_MAX`] entries of about 60 bytes.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jumelle_model::consent::{Channel, ConsentState};
use jumelle_store::{Result, Table};
use serde::{Deserialize, Serialize};

use crate::shared::Shared;

/// Different purpose × channel × source counted per day; more go into none.
const TURNS_MAX: usize = 2_000;

/// One day.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ChosenDay {
    /// By purpose (a signal's begins with `!`), channel (`None`: all) and source.
    pub turns: BTreeMap<(String, Option<Channel>, String), Turns>,
    /// Removals that a tool confirmed, by destination.
    pub confirmed: BTreeMap<String, u64>,
}

/// Choices that changed what counts for a person or one of her addresses. The same choice again turns nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Turns {
    /// To yes, from no or from nothing.
    pub granted: u64,
    /// To no, from nothing.
    pub denied: u64,
    /// To no, from yes.
    pub withdrawn: u64,
}

impl ChosenDay {
    pub(crate) fn decode(bytes: &[u8]) -> Option<ChosenDay> {
        postcard::from_bytes(bytes).ok()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Every part can be written; a Vec does not run out.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.confirmed.is_empty()
    }

    pub(crate) fn turned(
        &mut self,
        purpose: &str,
        channel: Option<Channel>,
        source: &str,
        from: Option<ConsentState>,
        to: ConsentState,
    ) {
        let key = (purpose.to_owned(), channel, source.to_owned());
        if self.turns.len() >= TURNS_MAX && !self.turns.contains_key(&key) {
            return;
        }
        let turns = self.turns.entry(key).or_default();
        match (from, to) {
            (_, ConsentState::Granted) => turns.granted += 1,
            (Some(ConsentState::Granted), ConsentState::Denied) => turns.withdrawn += 1,
            (_, ConsentState::Denied) => turns.denied += 1,
        }
    }

    pub(crate) fn confirmed(&mut self, destination: &str) {
        *self.confirmed.entry(destination.to_owned()).or_default() += 1;
    }
}

impl Shared {
    /// The newest `limit` days on which anything was chosen or confirmed, oldest first.
    pub fn chosen_days(&self, limit: usize) -> Result<Vec<(Date, ChosenDay)>> {
        self.by_day(Table::Chosen, limit, ChosenDay::decode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawal_is_a_no_after_a_yes() {
        let mut day = ChosenDay::default();
        let mut turn = |from, to| day.turned("marketing", Some(Channel::Email), "site", from, to);
        turn(None, ConsentState::Granted);
        turn(Some(ConsentState::Granted), ConsentState::Denied);
        turn(None, ConsentState::Denied);
        turn(Some(ConsentState::Denied), ConsentState::Granted);
        let key = ("marketing".to_owned(), Some(Channel::Email), "site".to_owned());
        assert_eq!(day.turns[&key], Turns { granted: 2, denied: 1, withdrawn: 1 });
        assert_eq!(ChosenDay::decode(&day.encode()), Some(day));
    }

    #[test]
    fn a_day_has_a_bound() {
        let mut day = ChosenDay::default();
        for n in 0..TURNS_MAX + 10 {
            day.turned(&format!("p{n}"), None, "site", None, ConsentState::Granted);
        }
        assert_eq!(day.turns.len(), TURNS_MAX);
        day.turned("p0", None, "site", None, ConsentState::Granted);
        assert_eq!(day.turns[&("p0".to_owned(), None, "site".to_owned())].granted, 2);
    }
}
