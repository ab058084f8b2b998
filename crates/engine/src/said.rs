//! What a tool said when it refused somebody, without her: it is kept with the delivery, and tools repeat what they were sent.

use std::sync::LazyLock;

use jumelle_model::message::Message;
use regex::{Regex, RegexBuilder};

/// In the place of what was hers.
const LEFT_OUT: &str = "…";
/// Shorter values are words of any sentence.
const VALUE_CHARS_MIN: usize = 4;

/// The tool's words without the message's address and values, however they are written, and without anything that looks like an
/// e-mail address or a SHA-256.
pub(crate) fn without_her(said: &str, message: &Message) -> String {
    static NAMES: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"[^\s"'<>()\[\],;:=\\]+(?:@|%40)[^\s"'<>()\[\],;:=\\]+|\b[0-9a-fA-F]{64}\b"#).ok());
    let address = message.address.iter().map(|(_, value)| value.as_str());
    let values = address.chain(message.data.iter().map(|(_, value)| value.as_str()));
    let mut parts: Vec<String> = values.filter(|value| value.chars().count() >= VALUE_CHARS_MIN).map(written).collect();
    // The longest first: one may be the beginning of another.
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    let hers = RegexBuilder::new(&parts.join("|")).case_insensitive(true).build().ok().filter(|_| !parts.is_empty());
    let mut text = said.to_owned();
    for pattern in hers.iter().chain(NAMES.iter()) {
        text = pattern.replace_all(&text, LEFT_OUT).into_owned();
    }
    text
}

/// A value as a pattern: of a telephone number also what follows the country's code, which tools write apart.
fn written(value: &str) -> String {
    let digits = value.strip_prefix('+').filter(|digits| digits.len() > 9 && digits.bytes().all(|byte| byte.is_ascii_digit()));
    match digits {
        Some(digits) => {
            let own: Vec<String> = digits[digits.len() - 8..].chars().map(String::from).collect();
            format!(r"(?:[+(]?\d[\d .()-]{{0,8}}?)?{}", own.join("[ .-]?"))
        }
        None => regex::escape(value),
    }
}

#[cfg(test)]
mod tests {
    use jumelle_model::consent::Channel;
    use jumelle_model::ids::{DeliveryId, ProfileId};
    use jumelle_model::message::MessageType;
    use jumelle_model::time::Timestamp;

    use super::*;

    #[test]
    fn a_tool_s_words_are_kept_and_hers_are_not() {
        let message = Message {
            id: DeliveryId(1),
            kind: MessageType::Entered,
            activation: "mail".into(),
            segment: "all".into(),
            destination: "tool".into(),
            purpose: "marketing".into(),
            channel: Channel::Email,
            at: Timestamp(0),
            profile: ProfileId(1),
            address: Some(("email".into(), "ana@example.org".into())),
            data: vec![
                ("city".into(), "Tourcoing".into()),
                ("phone".into(), "+33612345678".into()),
                ("size".into(), "41".into()),
            ],
        };
        let said = |text| without_her(text, &message);
        assert_eq!(said("550 5.1.1 <Ana@Example.org> does not exist"), "550 5.1.1 <…> does not exist");
        assert_eq!(said("400: ana%40example.org of TOURCOING"), "400: … of …");
        assert_eq!(said("no number 06 12 34 56 78, nor +33612345678"), "no number …, nor …");
        assert_eq!(said("other@example.net is blocked; size 41"), "… is blocked; size 41");
        let hash = "c9d3".repeat(16);
        assert_eq!(without_her(&format!("unknown user {hash}"), &message), "unknown user …");
        assert_eq!(said("429 try again in 60 s"), "429 try again in 60 s");
    }
}
