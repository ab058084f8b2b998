//! What of the messages about one person stands in the file, and what becomes of the others.

use jumelle_model::message::MessageType;

/// What a message is to the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// It has a row, if the gate lets it through.
    Row,
    /// A later row of the same person, the nth of her messages, says all that it says and more.
    In(usize),
    /// She left before the file was written: it is not sent.
    Overtaken,
    /// It takes her out, as an earlier row of hers may have done: a row unless that is the same.
    Removal,
}

/// Of one person's messages, in their order. A removal is always looked at: it may carry another name than the next. Of what brings
/// her in or changes her, the last one counts, and none before a removal does.
pub(crate) fn parts(kinds: &[MessageType]) -> Vec<Part> {
    let last_removal = kinds.iter().rposition(|kind| kind.takes_back());
    let last = kinds.len().saturating_sub(1);
    let part = |nth: usize, kind: MessageType| match last_removal {
        _ if kind.takes_back() => Part::Removal,
        Some(removal) if nth < removal => Part::Overtaken,
        _ if nth == last => Part::Row,
        _ => Part::In(last),
    };
    kinds.iter().enumerate().map(|(nth, kind)| part(nth, *kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use MessageType::{Entered, Exited, Updated, Withdrawn};

    #[test]
    fn the_last_word_counts_and_no_removal_is_lost() {
        for (kinds, expected) in [
            (&[Entered][..], &[Part::Row][..]),
            (&[Entered, Updated, Updated], &[Part::In(2), Part::In(2), Part::Row]),
            (&[Entered, Withdrawn], &[Part::Overtaken, Part::Removal]),
            (&[Exited, Entered], &[Part::Removal, Part::Row]),
            (
                &[Updated, Exited, Entered, Updated, Exited],
                &[Part::Overtaken, Part::Removal, Part::Overtaken, Part::Overtaken, Part::Removal],
            ),
            (&[], &[]),
        ] {
            assert_eq!(parts(kinds), expected, "{kinds:?}");
        }
    }
}
