//! The preference centre's form: what it asks, and what of an answer is new.

use jumelle_consent::{Asked, Party, decide};
use jumelle_engine::Definitions;
use jumelle_model::consent::{Channel, ConsentState};
use jumelle_model::workspace::Purpose;
use jumelle_model::workspace::policy::Case;
use jumelle_model::workspace::preferences::{FREQUENCY_TRAIT, PAUSE_TRAIT, Preferences};
use jumelle_profile::Person;
use serde_json::{Map, Value, json};

use crate::links::Visit;

/// Fields of a form that are looked at.
const FIELDS_MAX: usize = 1_000;
/// Characters of a text that a person writes.
const TEXT_CHARS_MAX: usize = 200;

/// What a person may answer about one purpose on one channel.
pub(crate) struct Question<'a> {
    pub(crate) purpose: &'a Purpose,
    pub(crate) channel: Channel,
    /// `None`: nothing was chosen, and silence is a no.
    pub(crate) answer: Option<bool>,
}

impl Question<'_> {
    pub(crate) fn name(&self) -> String {
        format!("c:{}:{}", self.purpose.key, self.channel.as_str())
    }
}

/// What is new in an answer.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) consents: Vec<Value>,
    pub(crate) traits: Map<String, Value>,
}

impl Change {
    pub(crate) fn is_empty(&self) -> bool {
        self.consents.is_empty() && self.traits.is_empty()
    }
}

/// `application/x-www-form-urlencoded`
pub(crate) fn fields(body: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(body).take(FIELDS_MAX).map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

/// Purposes that a choice can change, by the channels that they use and she can be reached on.
pub(crate) fn questions<'a>(definitions: &'a Definitions, visit: &Visit) -> Vec<Question<'a>> {
    let workspace = &definitions.workspace;
    let mut found = Vec::new();
    for purpose in workspace.purposes.iter().filter(|purpose| purpose.is_marketing()) {
        let used = |channel: Channel| {
            workspace.activations.iter().any(|activation| activation.purpose == purpose.key && activation.channel == channel)
        };
        for channel in workspace.channels() {
            let named = match purpose.terms.channels.is_empty() {
                true => matches!(channel.like(), Channel::Email | Channel::Sms | Channel::Phone) || used(channel),
                false => purpose.terms.channels.contains(&channel),
            };
            let address = channel.address_namespace();
            let reachable = match address {
                // A browser's choices are made in that browser.
                Some("anonymous_id") => false,
                Some(namespace) => {
                    namespace == visit.link.who.0
                        || visit.person.as_ref().is_some_and(|person| !person.known.identifiers_of(namespace).is_empty())
                }
                None => true,
            };
            if named && reachable {
                found.push(Question { purpose, channel, answer: answer(definitions, visit, purpose, channel) });
            }
        }
    }
    found
}

/// How things stand: what she chose, or what silence means for her.
fn answer(definitions: &Definitions, visit: &Visit, purpose: &Purpose, channel: Channel) -> Option<bool> {
    let person = visit.person.as_ref()?;
    let address = address(visit, person, channel);
    let choices = &person.known.choices;
    let workspace = &definitions.workspace;
    let (mut circumstances, _) = person.circumstances(workspace, &definitions.plan, visit.now);
    let country = circumstances.country.as_deref().unwrap_or(&workspace.settings.country);
    let case = Case { purpose, channel, country, business: circumstances.business, at: visit.now };
    let own = workspace.policy.asks_for_the_channel(case);
    let standing = choices.counting(purpose, channel, address.as_ref(), visit.now, own);
    if let Some(standing) = standing {
        return Some(standing.state == ConsentState::Granted);
    }
    circumstances.paused_until = None;
    let asked = Asked { purpose: &purpose.key, channel, address: address.as_ref(), destination: None };
    let party = Party { choices, circumstances: &circumstances, contacts: &[] };
    decide(&definitions.workspace, asked, party, visit.now).outcome.is_ok().then_some(true)
}

fn address(visit: &Visit, person: &Person, channel: Channel) -> Option<(String, String)> {
    let namespace = channel.address_namespace()?;
    if namespace == visit.link.who.0 {
        return Some(visit.link.who.clone());
    }
    person.known.identifiers_of(namespace).first().map(|found| (found.namespace.clone(), found.value.clone()))
}

/// What of a form is new. `Err`: the name of a field that says what it cannot say.
pub(crate) fn read(definitions: &Definitions, visit: &Visit, fields: &[(String, String)]) -> Result<Change, String> {
    let preferences = &definitions.workspace.preferences;
    let value = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
    let mut change = Change::default();
    for question in questions(definitions, visit) {
        let wanted = match value(&question.name()) {
            None => continue,
            Some("yes") => true,
            Some("no") => false,
            Some(_) => return Err(question.name()),
        };
        if question.answer != Some(wanted) {
            let mut proof = json!({"method": "preference_centre", "lang": visit.lang});
            if let Some(text) = question.purpose.text() {
                proof["text_version"] = json!(text.version);
            }
            change.consents.push(json!({
                "purpose": question.purpose.key, "channel": question.channel.as_str(),
                "state": if wanted { "granted" } else { "denied" }, "proof": proof,
            }));
        }
    }
    let held = |key: &str| -> Option<Value> {
        let known = visit.person.as_ref()?.known.traits.get(key)?;
        serde_json::from_str(&known.json).ok()
    };
    let mut put = |key: &str, value: Value| {
        if held(key).unwrap_or(Value::Null) != value {
            change.traits.insert(key.to_owned(), value);
        }
    };
    if let Some(until) = value(PAUSE_TRAIT) {
        match until {
            "" => put(PAUSE_TRAIT, Value::Null),
            day if is_day(day) => put(PAUSE_TRAIT, json!(day)),
            _ => return Err(PAUSE_TRAIT.into()),
        }
    }
    if let Some(frequency) = value(FREQUENCY_TRAIT) {
        match frequency {
            "" => put(FREQUENCY_TRAIT, Value::Null),
            text => {
                let known = preferences.frequency(text).ok_or(FREQUENCY_TRAIT)?;
                put(FREQUENCY_TRAIT, json!(Preferences::frequency_text(known)));
            }
        }
    }
    for field in &preferences.fields {
        let name = format!("t:{}", field.key);
        let is_option = |text: &str| field.options.iter().any(|(option, _)| option == text);
        if field.many {
            // A form without a box ticked sends nothing for it: a hidden field says that it was shown.
            if value(&format!("shown:{name}")).is_none() {
                continue;
            }
            let chosen: Vec<&str> = fields.iter().filter(|(key, _)| *key == name).map(|(_, value)| value.as_str()).collect();
            if !chosen.iter().all(|text| is_option(text)) {
                return Err(name);
            }
            let chosen: Vec<&String> =
                field.options.iter().map(|(option, _)| option).filter(|option| chosen.contains(&option.as_str())).collect();
            if !chosen.is_empty() || held(&field.key).is_some() {
                put(&field.key, json!(chosen));
            }
            continue;
        }
        match value(&name) {
            None => {}
            Some("") => put(&field.key, Value::Null),
            Some(text) if field.options.is_empty() && text.chars().count() <= TEXT_CHARS_MAX => put(&field.key, json!(text)),
            Some(text) if is_option(text) => put(&field.key, json!(text)),
            Some(_) => return Err(name),
        }
    }
    Ok(change)
}

fn is_day(text: &str) -> bool {
    text.len() == 10 && jumelle_model::time::Timestamp::parse(&format!("{text}T00:00:00Z")).is_some()
}
