//! What a tool said when it refused somebody, without her: it is kept with the delivery, and tools repeat what they were sent.

use std::sync::LazyLock;

use jumelle_model::message::Message;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

/// In the place of what was hers.
const LEFT_OUT: &str = "…";
/// Shorter values are words of any sentence.
const VALUE_CHARS_MIN: usize = 4;

/// The tool's words without the message's address and values, however they are written, and without anything that looks like an
/// e-mail address or a SHA-256. `None`: that cannot be said of them.
pub(crate) fn without_her(said: &str, message: &Message) -> Option<String> {
    static NAMES: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"[^\s"'<>()\[\],;:=\\]+(?:@|%40)[^\s"'<>()\[\],;:=\\]+|\b[0-9a-fA-F]{64}\b"#).ok());
    let mut values: Vec<String> = message.address.iter().map(|(_, value)| value.clone()).collect();
    message.data.iter().for_each(|(_, json)| take_values(&serde_json::from_str(json).unwrap_or_default(), &mut values));
    values.retain(|value| value.chars().count() >= VALUE_CHARS_MIN);
    // The longest first: one may be the beginning of another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let parts: Vec<String> = values.iter().map(|value| written(value)).collect();
    let mut text = NAMES.as_ref()?.replace_all(said, LEFT_OUT).into_owned();
    if !parts.is_empty() {
        let hers = RegexBuilder::new(&parts.join("|")).case_insensitive(true).build().ok()?;
        text = hers.replace_all(&text, LEFT_OUT).into_owned();
    }
    Some(text)
}

/// Every text and number in a field's value.
fn take_values(value: &Value, values: &mut Vec<String>) {
    match value {
        Value::String(text) => values.push(text.clone()),
        Value::Number(number) => values.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| take_values(item, values)),
        Value::Object(members) => members.values().for_each(|member| take_values(member, values)),
        Value::Null | Value::Bool(_) => {}
    }
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
                ("city".into(), "\"Tourcoing\"".into()),
                ("phone".into(), "\"+33612345678\"".into()),
                ("size".into(), "41".into()),
                ("vip".into(), "true".into()),
                ("names".into(), "{\"last\":\"Dubois\",\"card\":998877}".into()),
            ],
        };
        let said = |text: &str| without_her(text, &message).unwrap();
        assert_eq!(said("550 5.1.1 <Ana@Example.org> does not exist"), "550 5.1.1 <…> does not exist");
        assert_eq!(said("400: ana%40example.org of TOURCOING"), "400: … of …");
        assert_eq!(said("no number 06 12 34 56 78, nor +33612345678"), "no number …, nor …");
        assert_eq!(said("other@example.net is blocked; size 41"), "… is blocked; size 41");
        let hash = "c9d3".repeat(16);
        assert_eq!(said(&format!("unknown user {hash}")), "unknown user …");
        assert_eq!(said("it is true that DUBOIS, 998877, is unknown"), "it is true that …, …, is unknown");
        assert_eq!(said("429 try again in 60 s"), "429 try again in 60 s");
    }
}
