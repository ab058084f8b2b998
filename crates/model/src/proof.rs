//! What proves a choice, as JSON text.

use std::sync::Arc;

/// What proves a choice: banner, text version, place … One signal often says several things: what they share is there once, and
/// what decided each of them stands apart. In the text, `because` is its last member.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Proof {
    text: Arc<str>,
    because: Option<Arc<str>>,
}

const BECAUSE: &str = ",\"because\":";

impl Proof {
    /// From JSON text.
    pub fn from_json(text: &str) -> Proof {
        let parts = text.rsplit_once(BECAUSE).and_then(|(shared, because)| {
            let because: String = serde_json::from_str(because.strip_suffix('}')?).ok()?;
            Some(Proof::shared(format!("{shared}}}").into(), because.into()))
        });
        // One text has one form: only what comes out as it went in is taken apart.
        match parts {
            Some(parts) if parts.to_json() == text => parts,
            _ => Proof { text: text.into(), because: None },
        }
    }

    /// From what a signal's choices share, a JSON object with a member at least, and what decided this one.
    pub fn shared(text: Arc<str>, because: Arc<str>) -> Proof {
        Proof { text, because: Some(because) }
    }

    /// From its two parts, as [`Proof::parts`] gave them.
    pub fn of_parts(text: Arc<str>, because: Option<Arc<str>>) -> Proof {
        Proof { text, because }
    }

    /// What it shares with others, and what is its own.
    pub fn parts(&self) -> (&Arc<str>, Option<&Arc<str>>) {
        (&self.text, self.because.as_ref())
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        let Some(because) = &self.because else { return self.text.to_string() };
        let shared = self.text.strip_suffix('}').unwrap_or(&self.text);
        // A text can be written as JSON.
        let because = serde_json::to_string(because).unwrap_or_default();
        format!("{shared}{BECAUSE}{because}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decided_stands_apart_and_nothing_else_does() {
        let because = |text: &str| {
            let proof = Proof::from_json(text);
            assert_eq!(proof.to_json(), text);
            assert_eq!(Proof::of_parts(proof.text.clone(), proof.because.clone()), proof);
            proof.because.as_deref().map(str::to_owned)
        };
        assert_eq!(because(r#"{"method":"tcf","because":"purposeConsents 1, 8"}"#).as_deref(), Some("purposeConsents 1, 8"));
        assert_eq!(because(r#"{"a":1,"because":"a \"word\"}"}"#).as_deref(), Some("a \"word\"}"));
        for whole in [
            r#"{"because":"alone"}"#,
            r#"{"a":1,"because":7}"#,
            r#"{"a":1,"because":"b","c":2}"#,
            r#"{"a":1,"because": "spaced"}"#,
            r#"{"a":1,"because":"\u00e9"}"#,
            r#"{"a":{"b":1,"because":"inside"}}"#,
            r#"["x",1]"#,
            "",
        ] {
            assert_eq!(because(whole), None, "{whole}");
        }
    }
}
