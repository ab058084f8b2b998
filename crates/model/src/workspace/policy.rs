//! `policy:` what the absence of a choice means, how long a choice counts, when and how often a person may be contacted, by
//! purpose × channel × country. The rules of a workspace come first, then those of the templates that it extends.

pub mod prospects;
pub mod retention;
mod templates;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use prospects::{ActNames, Acts, Prospects, Then};
pub use templates::{TEMPLATES, Template, template};

use super::text::label_json;
use super::{FieldPath, Label, Purpose};
use crate::consent::{Basis, Channel};
use crate::time::{Span, Timestamp};

/// The countries of the European Economic Area: `EEA` in a rule stands for all of them.
pub const EEA: [&str; 30] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT", "LU", "LV",
    "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// What a purpose says beyond its basis.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Terms {
    /// What people read as its name.
    pub label: Label,
    /// What people are shown when they choose, oldest first: the last one is in force.
    pub texts: Vec<PurposeText>,
    /// Who else receives data for it, by name.
    pub partners: Vec<String>,
    /// How long data may be kept for it.
    pub retention: Option<Span>,
    /// Years of age, at least.
    pub age_min: Option<u32>,
    /// Channels that it may use; none named: all.
    pub channels: Vec<Channel>,
    /// Whether it is commercial prospection: what objections, complaints, opposition lists and calling hours are about.
    /// Default: unless the basis is contract or legal obligation.
    pub marketing: Option<bool>,
    /// What is said for it is about the person's job.
    #[serde(default)]
    pub professional: bool,
    /// A grant older than this no longer counts.
    pub expires_after: Option<Span>,
    /// A person who chose may be asked again after this.
    pub ask_again_after: Option<Span>,
    /// Who is an existing customer that was told of it: what a soft opt-in rests on.
    pub customer: Option<Customer>,
    /// Fields that may leave for it; `None`: all.
    pub fields: Option<Vec<FieldPath>>,
}

/// One version of what people are shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PurposeText {
    /// Its name, as a choice's proof gives it in `text_version`.
    pub version: String,
    /// The words.
    pub words: Label,
    /// Grants for an earlier version, or for none, no longer count.
    pub ask_anew: bool,
}

/// `customer: {has: computed.orders_3y, informed: traits.told_of_offers}`: both must be there and not 0, false or null.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Customer {
    /// She bought something similar.
    pub has: FieldPath,
    /// She was told, when her address was collected, and could object.
    pub informed: FieldPath,
}

/// What no choice at all means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// No.
    Refused,
    /// Yes, until the person objects.
    Allowed,
    /// Yes for an existing customer who was told (`customer` of the purpose), until she objects.
    Customer,
}

/// Where a person's circumstances are found. What is not there is not known; without a country, the workspace's is taken.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PersonPaths {
    /// ISO 3166-1 alpha-2.
    pub country: Option<FieldPath>,
    /// The part of an ISO 3166-2 code behind the dash: `CA`.
    pub region: Option<FieldPath>,
    /// IANA name. Default: the workspace's.
    pub timezone: Option<FieldPath>,
    /// A date: `2011-04-30`.
    pub birth_date: Option<FieldPath>,
    /// Not 0, false or null: addressed in her profession.
    pub business: Option<FieldPath>,
}

/// Local hours in which a person may be contacted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hours {
    /// Bit 0: Monday … bit 6: Sunday.
    pub days: u8,
    /// From and until, in minutes after midnight, in order and apart; until 1,440 at most.
    pub between: Vec<(u16, u16)>,
    /// The public holidays of this country are closed.
    pub holidays: Option<Calendar>,
}

/// Public holidays that are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Calendar {
    /// Code du travail, article L. 3133-1.
    #[serde(rename = "FR")]
    France,
}

/// Contacts of one person, by all activations whose channel the rule names together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Frequency {
    /// At most.
    pub max: u32,
    /// In any span of this length.
    pub within: Span,
}

/// What one rule is about; what is left out narrows nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct About {
    /// Purpose keys.
    pub purposes: Vec<String>,
    /// Only marketing purposes, or only others.
    pub marketing: Option<bool>,
    /// Channels.
    pub channels: Vec<Channel>,
    /// `FR`, `US-CA`, `EEA`.
    pub countries: Vec<String>,
    /// Only people addressed in their profession, or only others.
    pub business: Option<bool>,
    /// Only purposes that are about the person's job, or only others.
    #[serde(default)]
    pub professional: Option<bool>,
    /// In force from then on.
    pub from: Option<Timestamp>,
}

/// One rule of a policy.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PolicyRule {
    /// Whom and what it is about.
    pub about: About,
    /// What no choice means. The first rule that says so counts.
    pub unknown: Option<Meaning>,
    /// When a grant stops counting. A purpose's own comes first, then the first rule that says so.
    pub expires_after: Option<Span>,
    /// When the person may be asked again; likewise.
    pub ask_again_after: Option<Span>,
    /// A yes is for the channel itself: one for the whole purpose opens it not.
    #[serde(default)]
    pub own_consent: bool,
    /// When she may be contacted. Every rule counts.
    pub hours: Option<Hours>,
    /// How often. Every rule counts.
    pub frequency: Option<Frequency>,
    /// Years of age, at least. The highest counts.
    pub age_min: Option<u32>,
    /// Countries where a destination may be without more; elsewhere it names its `transfer`. Every rule counts.
    pub transfers: Option<Vec<String>>,
    /// Where it comes from.
    pub source: Option<String>,
    /// The template that it comes from.
    pub template: Option<String>,
}

/// `policy.channels: {whatsapp: {like: sms, label: {fr: WhatsApp, en: WhatsApp}}}`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeclaredChannel {
    /// Its key, and what it is like.
    pub channel: Channel,
    /// What it is called.
    pub label: Label,
}

/// `policy:`
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Policy {
    /// Templates with their edition, in order: `france@2026-08`.
    pub extends: Vec<String>,
    /// Channels beside those that every workspace has.
    #[serde(default)]
    pub channels: Vec<DeclaredChannel>,
    /// Where circumstances are found.
    pub person: PersonPaths,
    /// The workspace's own, then those of the templates.
    pub rules: Vec<PolicyRule>,
    /// How long somebody who does nothing stays.
    #[serde(default)]
    pub prospects: Option<Prospects>,
    /// What happens to people whom no purpose keeps any more; `None`: they stay, and no purpose uses them.
    #[serde(default)]
    pub retention: Option<Then>,
}

/// What a rule is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// For what.
    pub purpose: &'a Purpose,
    /// How.
    pub channel: Channel,
    /// Her country, `US` or `US-CA`.
    pub country: &'a str,
    /// Addressed in her profession.
    pub business: bool,
    /// When.
    pub at: Timestamp,
}

impl Purpose {
    /// Commercial prospection?
    pub fn is_marketing(&self) -> bool {
        self.terms.marketing.unwrap_or(!matches!(self.basis, Basis::Contract | Basis::LegalObligation))
    }

    /// The text in force.
    pub fn text(&self) -> Option<&PurposeText> {
        self.terms.texts.last()
    }

    /// Whether a grant given for this version of the text still counts. The version, which a proof has to be read for, is asked only
    /// where it matters.
    pub fn takes_version(&self, version: impl FnOnce() -> Option<String>) -> bool {
        let texts = &self.terms.texts;
        match texts.iter().rposition(|text| text.ask_anew) {
            None => true,
            Some(first) => version().is_some_and(|version| texts[first..].iter().any(|text| text.version == version)),
        }
    }
}

impl About {
    /// Whether the rule speaks of this case, its first instant apart.
    fn fits(&self, case: &Case<'_>) -> bool {
        (self.purposes.is_empty() || self.purposes.contains(&case.purpose.key))
            && self.marketing.is_none_or(|marketing| marketing == case.purpose.is_marketing())
            && speaks_of(&self.channels, case.channel)
            && (self.countries.is_empty() || covers(&self.countries, case.country))
            && self.business.is_none_or(|business| business == case.business)
            && self.professional.is_none_or(|professional| professional == case.purpose.terms.professional)
    }
}

/// Whether a rule's channels take one in: none are all, and what is said of a channel holds for those that are declared like it.
pub fn speaks_of(channels: &[Channel], channel: Channel) -> bool {
    channels.is_empty() || channels.contains(&channel) || channels.contains(&channel.like())
}

/// Whether a list of countries and groups takes a country in: `US` takes in `US-CA`, not the other way round.
pub fn covers(list: &[String], country: &str) -> bool {
    let whole = country.split('-').next().unwrap_or(country);
    list.iter().any(|item| item == country || item == whole || (item == "EEA" && EEA.contains(&whole)))
}

impl Policy {
    /// The rules that speak of a case.
    pub fn rules_for<'a>(&'a self, case: Case<'a>) -> impl Iterator<Item = &'a PolicyRule> {
        self.rules.iter().filter(move |rule| rule.about.from.is_none_or(|from| from <= case.at) && rule.about.fits(&case))
    }

    /// What no choice means in a case. A rule that would let through what rests on consent counts only if it names the purpose:
    /// a template must not turn silence into a yes.
    pub fn unknown(&self, case: Case<'_>) -> Meaning {
        let by_basis = match case.purpose.basis {
            Basis::Consent => Meaning::Refused,
            Basis::Contract | Basis::LegitimateInterest | Basis::LegalObligation => Meaning::Allowed,
            Basis::SoftOptIn if matches!(case.channel.like(), Channel::Email | Channel::Sms) => Meaning::Customer,
            Basis::SoftOptIn => Meaning::Refused,
        };
        let said = self.rules_for(case).find_map(|rule| {
            let unknown = rule.unknown?;
            let rests_on_a_yes = matches!(case.purpose.basis, Basis::Consent | Basis::SoftOptIn);
            let opens = unknown == Meaning::Allowed || (by_basis == Meaning::Refused && unknown == Meaning::Customer);
            let loosens = rests_on_a_yes && opens && rule.about.purposes.is_empty();
            (!loosens).then_some(unknown)
        });
        said.unwrap_or(by_basis)
    }

    /// Whether a yes has to be for the channel itself.
    pub fn asks_for_the_channel(&self, case: Case<'_>) -> bool {
        self.rules_for(case).any(|rule| rule.own_consent)
    }

    /// How long a grant counts.
    pub fn expires_after(&self, case: Case<'_>) -> Option<Span> {
        case.purpose.terms.expires_after.or_else(|| self.rules_for(case).find_map(|rule| rule.expires_after))
    }

    /// When a person who chose may be asked again.
    pub fn ask_again_after(&self, case: Case<'_>) -> Option<Span> {
        case.purpose.terms.ask_again_after.or_else(|| self.rules_for(case).find_map(|rule| rule.ask_again_after))
    }

    /// The least age in years.
    pub fn age_min(&self, case: Case<'_>) -> Option<u32> {
        self.rules_for(case).filter_map(|rule| rule.age_min).chain(case.purpose.terms.age_min).max()
    }

    /// The next instant after `at` from which another rule speaks of the case.
    pub fn changes_after(&self, case: Case<'_>) -> Timestamp {
        let starts = self.rules.iter().filter(|rule| rule.about.fits(&case)).filter_map(|rule| rule.about.from);
        starts.filter(|from| *from > case.at).min().unwrap_or(Timestamp::MAX)
    }

    /// Every age at which a grant of this purpose may stop counting somewhere.
    pub fn validities(&self, purpose: &Purpose) -> Vec<Span> {
        match purpose.terms.expires_after {
            Some(span) => vec![span],
            None => self.rules.iter().filter_map(|rule| rule.expires_after).collect(),
        }
    }

    /// Which events are acts of the person.
    pub fn act_names(&self) -> ActNames {
        self.prospects.as_ref().map(|prospects| prospects.names.clone()).unwrap_or_default()
    }

    /// Whether anything is counted.
    pub fn counts_contacts(&self) -> bool {
        self.rules.iter().any(|rule| rule.frequency.is_some())
    }

    /// As `workspace.yaml` has it: templates by name, own rules written out.
    pub fn to_json(&self) -> Value {
        let paths = [
            ("country", &self.person.country),
            ("region", &self.person.region),
            ("timezone", &self.person.timezone),
            ("birth_date", &self.person.birth_date),
            ("business", &self.person.business),
        ];
        let person: Map<String, Value> =
            paths.into_iter().filter_map(|(name, path)| Some((name.into(), json!(path.as_ref()?.to_string())))).collect();
        let own: Vec<Value> = self.rules.iter().filter(|rule| rule.template.is_none()).map(rule_json).collect();
        let mut json = json!({"extends": self.extends, "person": person, "rules": own});
        if !self.channels.is_empty() {
            let declared = self.channels.iter().map(|DeclaredChannel { channel, label }| {
                (channel.as_str().to_owned(), json!({"like": channel.like(), "label": label_json(label)}))
            });
            json["channels"] = Value::Object(declared.collect());
        }
        if let Some(prospects) = &self.prospects {
            json["prospects"] = prospects.to_json();
        }
        if let Some(then) = self.retention {
            json["retention"] = json!({"then": then});
        }
        json
    }
}

fn put<T: Serialize>(map: &mut Map<String, Value>, name: &str, value: &Option<T>) {
    if let Some(value) = value {
        map.insert(name.into(), json!(value));
    }
}

fn put_list<T: Serialize>(map: &mut Map<String, Value>, name: &str, list: &[T]) {
    if !list.is_empty() {
        map.insert(name.into(), json!(list));
    }
}

/// A rule as it would be written.
pub fn rule_json(rule: &PolicyRule) -> Value {
    let mut about = Map::new();
    put_list(&mut about, "purposes", &rule.about.purposes);
    put(&mut about, "marketing", &rule.about.marketing);
    put_list(&mut about, "channels", &rule.about.channels);
    put_list(&mut about, "countries", &rule.about.countries);
    put(&mut about, "business", &rule.about.business);
    put(&mut about, "professional", &rule.about.professional);
    put(&mut about, "from", &rule.about.from);
    let mut json = Map::new();
    if !about.is_empty() {
        json.insert("for".into(), Value::Object(about));
    }
    put(&mut json, "unknown", &rule.unknown);
    put(&mut json, "expires_after", &rule.expires_after);
    put(&mut json, "ask_again_after", &rule.ask_again_after);
    if let Some(hours) = &rule.hours {
        let days: Vec<&str> = DAYS.iter().enumerate().filter(|(n, _)| hours.days & (1 << n) != 0).map(|(_, day)| *day).collect();
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let between: Vec<String> =
            hours.between.iter().map(|(from, until)| format!("{}-{}", clock(*from), clock(*until))).collect();
        let mut map = Map::from_iter([("days".into(), json!(days)), ("between".into(), json!(between))]);
        put(&mut map, "holidays", &hours.holidays);
        json.insert("hours".into(), Value::Object(map));
    }
    put(&mut json, "frequency", &rule.frequency);
    put(&mut json, "own_consent", &rule.own_consent.then_some(true));
    put(&mut json, "age_min", &rule.age_min);
    put(&mut json, "transfers", &rule.transfers);
    put(&mut json, "source", &rule.source);
    Value::Object(json)
}

/// The days of a week, as they are written.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The terms of a purpose as they would be written, beside its basis.
pub fn terms_json(terms: &Terms, json: &mut Map<String, Value>) {
    let label = super::text::label_json(&terms.label);
    if label.as_object().is_some_and(|label| !label.is_empty()) {
        json.insert("label".into(), label);
    }
    if !terms.texts.is_empty() {
        let texts: Vec<Value> = terms
            .texts
            .iter()
            .map(|text| {
                let mut json = super::text::label_json(&text.words);
                json["version"] = json!(text.version);
                if text.ask_anew {
                    json["ask_anew"] = json!(true);
                }
                json
            })
            .collect();
        json.insert("texts".into(), json!(texts));
    }
    put_list(json, "partners", &terms.partners);
    put(json, "retention", &terms.retention);
    put(json, "age_min", &terms.age_min);
    put_list(json, "channels", &terms.channels);
    put(json, "marketing", &terms.marketing);
    put(json, "professional", &terms.professional.then_some(true));
    put(json, "expires_after", &terms.expires_after);
    put(json, "ask_again_after", &terms.ask_again_after);
    if let Some(customer) = &terms.customer {
        json.insert("customer".into(), json!({"has": customer.has.to_string(), "informed": customer.informed.to_string()}));
    }
    if let Some(fields) = &terms.fields {
        json.insert("fields".into(), json!(fields.iter().map(ToString::to_string).collect::<Vec<_>>()));
    }
}
