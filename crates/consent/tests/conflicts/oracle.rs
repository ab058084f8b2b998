//! The rules of `data/workspace.yaml` as one would read them out, over the plain list of everything that was ever said. It knows
//! neither `Choices` nor the gate nor the policy's code.

use jumelle_model::consent::{Channel, Choice, ConsentState, Scope};
use jumelle_model::time::Timestamp;

pub type Address = (String, String);

pub const DAY: i64 = 86_400_000_000;
/// 2026-01-01T12:00:00Z, the noon of day 0.
pub const START: i64 = 1_767_268_800_000_000;

/// A question with everything that is known.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Question {
    pub purpose: String,
    pub channel: Option<Channel>,
    pub address: Option<Address>,
    pub at: Timestamp,
    pub country: Option<String>,
    /// Years of age at the instant, in whole.
    pub age: Option<u32>,
    pub customer: bool,
    /// Instants, channels, purposes of earlier messages.
    pub contacts: Vec<(Timestamp, Channel, String)>,
    pub destination: Option<String>,
    /// Whether the local clock is within the hours for text messages.
    pub in_text_hours: bool,
}

/// Said about the address of the question, or about the person in a way that reaches it.
fn reaches(choice: &Choice, question: &Question) -> bool {
    let channel_fits = choice.channel.is_none() || choice.channel == question.channel;
    let scope_fits = match (&choice.scope, &question.address) {
        (Scope::Person, None) => true,
        // A person's denial covers all of her addresses, her grant those that she had.
        (Scope::Person, Some(address)) => choice.state == ConsentState::Denied || choice.covers.contains(address),
        (Scope::Address(namespace, value), Some(address)) => *namespace == address.0 && *value == address.1,
        (Scope::Address(..), None) => false,
    };
    // A grant of the future is none yet; a denial counts once it is known.
    channel_fits && scope_fits && (choice.state == ConsentState::Denied || choice.at() <= question.at)
}

/// The one that counts: whatever else before an undated grant, then the later, at the same time the denial, then by arrival and message.
fn latest<'a>(said: impl Iterator<Item = &'a Choice>) -> Option<&'a Choice> {
    let is_weak = |choice: &Choice| choice.weak && choice.state == ConsentState::Granted;
    said.max_by_key(|choice| (!is_weak(choice), choice.stamp.time, choice.state, choice.stamp))
}

fn about<'a>(list: &'a [Choice], purpose: &'a str, question: &'a Question) -> Option<&'a Choice> {
    latest(list.iter().filter(move |choice| choice.purpose == purpose && reaches(choice, question)))
}

fn stands(list: &[Choice], signal: &str, question: &Question) -> bool {
    about(list, signal, question).is_some_and(|choice| choice.state == ConsentState::Denied)
}

/// `granted`, `basis`, or the code of the refusal.
pub fn says(list: &[Choice], question: &Question) -> &'static str {
    let marketing = match question.purpose.as_str() {
        "marketing" | "news" | "offers" | "interest" => true,
        "service" | "recall" => false,
        _ => return "no_purpose",
    };
    let channel = question.channel.expect("a question has a channel");
    if question.purpose == "service" && !matches!(channel, Channel::Email | Channel::Sms | Channel::Phone) {
        return "channel_not_declared";
    }
    if stands(list, "!restriction", question) {
        return "restricted";
    }
    if stands(list, "!bounce", question) {
        return "bounced";
    }
    let is_call_in_france = channel == Channel::Phone && question.country.as_deref().unwrap_or("FR") == "FR";
    let for_calls = |choice: &Choice| {
        let asks = is_call_in_france && matches!(question.purpose.as_str(), "news" | "service");
        !asks || choice.state == ConsentState::Denied || choice.channel.is_some()
    };
    let own =
        latest(list.iter().filter(|choice| choice.purpose == question.purpose && reaches(choice, question) && for_calls(choice)));
    let closings = ["!complaint", "!opposition", "!objection"]
        .map(|signal| about(list, signal, question).filter(|choice| marketing && choice.state == ConsentState::Denied));
    let counts = latest(own.into_iter().chain(closings.into_iter().flatten()));
    let (mut open, mut why) = ("", "unknown");
    match counts {
        Some(choice) if choice.state == ConsentState::Denied => {
            return if choice.purpose.starts_with('!') { "objected" } else { "denied" };
        }
        Some(choice) if question.purpose == "marketing" => {
            let proof = choice.proof.as_ref().map(jumelle_model::Proof::to_json).unwrap_or_default();
            if !proof.contains("\"2\"") && !proof.contains("\"3\"") {
                why = "old_text";
            } else if question.at.0 - choice.at().0 >= 100 * DAY {
                why = "expired";
            } else {
                open = "granted";
            }
        }
        Some(_) => open = "granted",
        None => {}
    }
    let country = question.country.as_deref().unwrap_or("FR");
    if open.is_empty() {
        let from_march = question.at.0 >= START + 59 * DAY - DAY / 2;
        open = match question.purpose.as_str() {
            "marketing" => return why,
            "news" if channel == Channel::Postal && country == "BE" => "basis",
            "news" => return "unknown",
            "offers" if !matches!(channel, Channel::Email | Channel::Sms) => return "unknown",
            "offers" if question.customer => "basis",
            "offers" => return "not_a_customer",
            "interest" if channel == Channel::Phone && country == "FR" && from_march => return "unknown",
            _ => "basis",
        };
    }
    if marketing && question.age.is_some_and(|age| age < 15) {
        return "minor";
    }
    if country == "FR" && question.destination.as_deref() == Some("far") {
        return "transfer";
    }
    if marketing && channel == Channel::Sms && !question.in_text_hours {
        return "hours";
    }
    let counted = question.contacts.iter().filter(|(at, channel, purpose)| {
        at.0 > question.at.0 - 7 * DAY
            && matches!(channel, Channel::Email | Channel::Sms)
            && !matches!(purpose.as_str(), "service" | "recall")
    });
    if marketing && matches!(channel, Channel::Email | Channel::Sms) && counted.count() >= 2 {
        return "frequency";
    }
    open
}
