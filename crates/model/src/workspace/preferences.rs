//! `preferences:` the page on which people see and change what they chose, reached by a signed link.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Label;
use super::policy::Frequency;

/// The trait that keeps until when a person wants no marketing: a day, or an instant.
pub const PAUSE_TRAIT: &str = "contact_pause_until";
/// The trait that keeps how often she wants to be contacted at most: `1/7d`.
pub const FREQUENCY_TRAIT: &str = "contact_frequency";

/// What the page shows and lets people change.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Preferences {
    /// Where people reach this server from outside, without a slash at the end. Without it messages carry no links.
    pub url: Option<String>,
    /// The brand. Default: the workspace's key.
    pub name: Option<String>,
    /// `#7a1f2b`: buttons and links.
    pub colour: Option<String>,
    /// An image at an https address.
    pub logo: Option<String>,
    /// Who answers questions about data: shown, and named in documents.
    pub contact: Option<String>,
    /// The privacy notice.
    pub notice: Option<String>,
    /// How often people may say that they want to be contacted, at most.
    pub frequencies: Vec<Frequency>,
    /// Traits that a person may change herself.
    pub fields: Vec<PreferenceField>,
}

/// One trait that a person may change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PreferenceField {
    /// The trait.
    pub key: String,
    /// What it is called.
    pub label: Label,
    /// What may be chosen; none: any text.
    pub options: Vec<(String, Label)>,
    /// Several at once: the trait is a list.
    pub many: bool,
}

impl Preferences {
    /// As `workspace.yaml` has it.
    pub fn to_json(&self) -> Value {
        let mut whole = Map::new();
        let texts = [
            ("url", &self.url),
            ("name", &self.name),
            ("colour", &self.colour),
            ("logo", &self.logo),
            ("contact", &self.contact),
            ("notice", &self.notice),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                whole.insert(key.into(), json!(text));
            }
        }
        if !self.frequencies.is_empty() {
            whole.insert("frequencies".into(), json!(self.frequencies));
        }
        if !self.fields.is_empty() {
            let field = |field: &PreferenceField| {
                let options: Map<String, Value> =
                    field.options.iter().map(|(value, label)| (value.clone(), super::text::label_json(label))).collect();
                let label = super::text::label_json(&field.label);
                let json = json!({"label": label, "options": options, "many": field.many});
                (field.key.clone(), json)
            };
            whole.insert("fields".into(), Value::Object(self.fields.iter().map(field).collect()));
        }
        Value::Object(whole)
    }

    /// `1/7d`, as the trait keeps it.
    pub fn frequency_text(frequency: Frequency) -> String {
        format!("{}/{}", frequency.max, frequency.within)
    }

    /// The frequency that a trait's text stands for, if the page offers it.
    pub fn frequency(&self, text: &str) -> Option<Frequency> {
        self.frequencies.iter().copied().find(|frequency| Preferences::frequency_text(*frequency) == text)
    }
}
