//! The definitions of a workspace: what `workspace.yaml` says, after validation.

mod difference;
pub mod file;
mod json;
mod node;
mod parse;
pub mod policy;
pub mod preferences;
pub mod reduce;
pub mod schedule;
mod signals;
pub mod take_back;
mod text;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use difference::{Change, ChangeKind, Difference};
pub use parse::{PROBLEMS_MAX, Problem, Problems};
pub use signals::{CategoryChoice, GppChoice, OptOut, SignalsRead, Strings, TcfChoice};
pub use text::{place_of, read_yaml, rule_json};

use crate::consent::{Basis, Channel};
use crate::number::{Currency, Decimal};
use crate::outcome::{OPENINGS, REPORTED};
use crate::rule::{EventQuery, Rule};
use crate::time::{Span, Timestamp};

/// Everything a team defines. Built only by [`Workspace::parse`], so every reference in it resolves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Workspace {
    /// `workspace:` the house itself.
    pub settings: Settings,
    /// Where events come from, by key.
    pub sources: Vec<Source>,
    /// Namespaces in the order of trust, the most trusted first.
    pub identifiers: Vec<NamespaceRule>,
    /// What data may be used for.
    pub purposes: Vec<Purpose>,
    /// `consent.strings:` what signals of a browser mean for the purposes.
    #[serde(default)]
    pub strings: Strings,
    /// What holds for all of them, by channel and country.
    #[serde(default)]
    pub policy: policy::Policy,
    /// `preferences:` the page on which people see and change what they chose.
    #[serde(default)]
    pub preferences: preferences::Preferences,
    /// Computed traits.
    pub traits: Vec<ComputedTrait>,
    /// Segments.
    pub segments: Vec<Segment>,
    /// Tools.
    pub destinations: Vec<Destination>,
    /// Segment → destination.
    pub activations: Vec<Activation>,
    /// By segment, the rules that name other segments, as they are written (JSON): the rule of the [`Segment`] itself has
    /// taken those others in, and must not keep them as they were when they change.
    #[serde(default)]
    written: BTreeMap<String, String>,
}

/// `workspace: {key, locale, timezone, country, currency, rates}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Key of the workspace.
    pub key: String,
    /// `fr` or `en`: the language of explanations by default.
    pub locale: String,
    /// IANA name.
    pub timezone: String,
    /// ISO 3166-1 alpha-2, for telephone numbers written without country code. Default: from `locale` (fr → FR, en → GB).
    pub country: String,
    /// Sums are in this currency.
    pub currency: Currency,
    /// `rates: {GBP: [{from: 2011-01-01, rate: 1.17}]}`: one unit of the other currency in the workspace's, by start date.
    pub rates: Vec<ExchangeRate>,
}

/// A dated rate of exchange into the workspace's currency.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExchangeRate {
    /// The other currency.
    pub currency: Currency,
    /// Valid from this instant until the next rate of the same currency.
    pub from: Timestamp,
    /// Units of the workspace's currency for one unit of the other.
    pub rate: Decimal,
}

/// How a source speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Browser tag or SDK.
    Web,
    /// Mobile SDK.
    App,
    /// Server-side SDK, till, back office.
    Server,
    /// Files; no write key, imported by an administrator.
    File,
}

/// The vocabulary of a source's events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vocabulary {
    /// Segment e-commerce specification.
    Segment,
    /// Google Analytics 4, translated.
    Ga4,
}

/// Where events come from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Its key.
    pub key: String,
    /// What it is.
    pub kind: SourceKind,
    /// The key that collection asks for; unique. None only for files.
    pub write_key: Option<String>,
    /// How its events are named.
    pub vocabulary: Vocabulary,
    /// `consents: any | choices | device`: how far its word on consent goes. None said: any, but for a public key
    /// ([`Source::hears`]).
    #[serde(default)]
    pub consents: Option<Heard>,
    /// `requires: PURPOSE`, of kind web only: the browser tag stores and sends nothing before this purpose allows it.
    pub requires: Option<String>,
    /// `set_aside: {user_agents: ["*bot*"], rate: {events: 1000, per: 1m}}`: whose events are kept apart as a robot's.
    #[serde(default)]
    pub set_aside: Option<SetAside>,
    /// `reduce: [{purpose: analytics, to: counted}]`: what is left of events whose purpose is refused. The first that holds decides.
    #[serde(default)]
    pub reduce: Vec<reduce::Reduce>,
}

/// How far a source's word on consent goes. A refusal is heard from each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Heard {
    /// Whatever it says.
    Any,
    /// Choices, and no more: it lifts no signal (a restriction, an objection, a bounce …).
    Choices,
    /// A yes for the event's own device alone.
    Device,
}

impl Source {
    /// How far its word goes. The key of a site or an app is public: whoever has it may say no for anybody, and open nothing again
    /// that a person, a tool or a list has closed.
    pub fn hears(&self) -> Heard {
        self.consents.unwrap_or(match self.kind {
            SourceKind::Web | SourceKind::App => Heard::Choices,
            SourceKind::Server | SourceKind::File => Heard::Any,
        })
    }
}

/// Whose events are kept apart: not taken for a person's, and not lost.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SetAside {
    /// User agents; `*` stands for any characters, case does not count.
    pub user_agents: Vec<String>,
    /// More events than this of one user or anonymous id.
    pub rate: Option<EventRate>,
}

/// So many events in so much time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EventRate {
    /// How many.
    pub events: u32,
    /// In which time.
    pub per: Span,
}

/// How values of a namespace are normalised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalizer {
    /// Trim white space.
    Trim,
    /// Trim and lower-case.
    Lowercase,
    /// Trim, lower-case, must look like an address.
    Email,
    /// International form (+33612345678), the workspace's country by default.
    E164,
}

/// One namespace of identifiers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NamespaceRule {
    /// Its key: `user_id`, `email` …
    pub key: String,
    /// Different values that one person may have; a join that would break it is refused. Default 100.
    pub limit: u32,
    /// Default: `email` for `email`, `e164` for `phone`, else `trim`.
    pub normalize: Normalizer,
    /// Values that identify nobody; `*` stands for any characters.
    pub block: Vec<String>,
}

/// What data may be used for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Purpose {
    /// Its key.
    pub key: String,
    /// Legal basis.
    pub basis: Basis,
    /// TCF purposes it stands for: a TC string grants it when all of them are consented to. Finer: [`Strings`].
    pub tcf: Vec<u8>,
    /// Types of Google Consent Mode it stands for: granted when all of them are, denied when one of them is.
    pub gcm: Vec<String>,
    /// A browser's Global Privacy Control counts as a denial. Default: if the basis is consent.
    pub gpc: bool,
    /// Texts, validity, channels, fields and what else it says.
    #[serde(default)]
    pub terms: policy::Terms,
}

/// A label in both languages of the house; a missing one falls back on the other, then on the key.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Label {
    /// French.
    pub fr: Option<String>,
    /// English.
    pub en: Option<String>,
}

/// A trait computed from events.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ComputedTrait {
    /// Its key.
    pub key: String,
    /// What it is called.
    pub label: Label,
    /// How it is computed.
    pub query: EventQuery,
}

/// A named set of people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// Its key.
    pub key: String,
    /// What it is called.
    pub label: Label,
    /// Who is in it.
    pub rule: Rule,
}

/// How a sealed secret begins.
pub const SEALED_PREFIX: &str = "jumelle1.";

/// A secret: read from the environment at the moment of use, sealed with a key that is not here, or written in the definition
/// (never shown again).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Secret {
    /// `{env: NAME}`
    Env(String),
    /// The text itself.
    Plain(String),
    /// `{sealed: jumelle1.…}`: only the server's key opens it.
    Sealed(String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Secret::Env(name) => write!(f, "Env({name})"),
            Secret::Plain(_) => write!(f, "Plain(…)"),
            Secret::Sealed(_) => write!(f, "Sealed(…)"),
        }
    }
}

/// A tool that receives people: a webhook, or one of the declared connectors.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Destination {
    /// Its key.
    pub key: String,
    /// `webhook`, or a connector's key. Whether there is such a connector is not looked at here: a workspace of the history is
    /// read whatever connectors there are today.
    pub connector: String,
    /// Where messages are posted. Of a declared connector: `base_url`, another host in place of the tool's (only with
    /// `allow_private`), or empty.
    pub url: String,
    /// Of a declared connector: its settings, each a JSON text; a secret is `{"env": "NAME"}` or `{"sealed": "…"}`.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// Signs them (Standard Webhooks); `whsec_<base64>` or any text of at least 16 bytes.
    pub secret: Option<Secret>,
    /// Allows loopback, private and link-local addresses.
    pub allow_private: bool,
    /// Requests at once, at most. Default 8.
    pub concurrency: u32,
    /// Where it processes what it receives: ISO 3166-1 alpha-2, or 3166-2.
    #[serde(default)]
    pub country: Option<String>,
    /// What a transfer there rests on: the contract's name, as the team calls it.
    #[serde(default)]
    pub transfer: Option<String>,
    /// `paused: true`: nobody new goes there and nothing is updated; whoever leaves is taken out all the same.
    #[serde(default)]
    pub paused: bool,
    /// `strings: [tcf, gpp]`: it gets the string on which a grant rests, as it came.
    #[serde(default)]
    pub strings: Vec<ConsentString>,
    /// How people are taken back out of it, and what it tells us.
    #[serde(default)]
    pub take_back: take_back::TakeBack,
    /// Of the connector `file`: what, when and how. Where to is [`Destination::url`].
    #[serde(default)]
    pub file: Option<Box<file::FileTerms>>,
}

/// A string of the IAB in which a consent management platform writes what was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsentString {
    /// Of the Transparency and Consent Framework.
    Tcf,
    /// Of the Global Privacy Platform.
    Gpp,
}

impl ConsentString {
    /// As it is written: also its member of `context.consent` in an event, and of `consent` in a message.
    pub const fn as_str(self) -> &'static str {
        match self {
            ConsentString::Tcf => "tcf",
            ConsentString::Gpp => "gpp",
        }
    }

    /// Its member in what the browser's API answers (`TCData`, `GPPData`).
    pub const fn member(self) -> &'static str {
        match self {
            ConsentString::Tcf => "tcString",
            ConsentString::Gpp => "gppString",
        }
    }
}

impl Destination {
    /// How long a removal may take to be confirmed: as said, or until the next file has been transferred, or a day.
    pub fn confirm_within(&self) -> Span {
        let of_files = || self.file.as_ref().map(|file| Span(file.longest_delay().0 + file::TRANSFER_TIME.0));
        self.take_back.confirm_within.or_else(of_files).unwrap_or(take_back::CONFIRM_WITHIN)
    }
}

/// What happens to the members present when an activation starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Initial {
    /// They are sent.
    Send,
    /// They are not; only those who enter later.
    Skip,
}

/// Keeps a destination in step with a segment, for a purpose and a channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Activation {
    /// Its key.
    pub key: String,
    /// Segment key.
    pub segment: String,
    /// Destination key.
    pub destination: String,
    /// Purpose key.
    pub purpose: String,
    /// Channel.
    pub channel: Channel,
    /// Members present at the start. Default skip.
    pub initial: Initial,
    /// Field → where its value comes from, in the order written.
    pub map: Vec<(String, FieldPath)>,
}

/// Where a mapped field comes from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FieldPath {
    /// `identifiers.NAMESPACE`
    Identifier(String),
    /// `traits.PATH`
    Trait(String),
    /// `computed.KEY`
    Computed(String),
    /// `sha256.identifiers.NAMESPACE`: the SHA-256 of the normalised value, in lower-case hexadecimal digits.
    HashedIdentifier(String),
}

impl FieldPath {
    /// Reads the written form; whether what it names is there is not looked at.
    pub fn parse(text: &str) -> Option<FieldPath> {
        let (kind, rest) = text.split_once('.')?;
        match kind {
            "identifiers" => Some(FieldPath::Identifier(rest.to_owned())),
            "traits" => Some(FieldPath::Trait(rest.to_owned())),
            "computed" => Some(FieldPath::Computed(rest.to_owned())),
            "sha256" => rest.strip_prefix("identifiers.").map(|key| FieldPath::HashedIdentifier(key.to_owned())),
            _ => None,
        }
    }
}

/// As it is written.
impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FieldPath::Identifier(namespace) => write!(f, "identifiers.{namespace}"),
            FieldPath::Trait(path) => write!(f, "traits.{path}"),
            FieldPath::Computed(key) => write!(f, "computed.{key}"),
            FieldPath::HashedIdentifier(namespace) => write!(f, "sha256.identifiers.{namespace}"),
        }
    }
}

impl Workspace {
    /// The purposes that must allow it before the browser tag stores or sends anything: the one that the source requires, else
    /// every purpose whose basis is consent. Empty: the tag stays off.
    pub fn tag_requires(&self, source: &Source) -> Vec<&Purpose> {
        if source.kind != SourceKind::Web {
            return Vec::new();
        }
        match &source.requires {
            Some(required) => self.purpose(required).into_iter().collect(),
            None => self.purposes.iter().filter(|purpose| purpose.basis == Basis::Consent).collect(),
        }
    }

    /// The secrets of destinations, each with the destination's key, to be sealed.
    pub fn secrets_mut(&mut self) -> Vec<(String, &mut Secret)> {
        self.destinations
            .iter_mut()
            .flat_map(|Destination { key, secret, take_back, .. }| {
                let inbound = take_back.inbound.as_mut().map(|inbound| &mut inbound.secret);
                secret.iter_mut().chain(inbound).map(|secret| (key.clone(), secret))
            })
            .collect()
    }

    /// Every channel: those that all workspaces have, then its own.
    pub fn channels(&self) -> Vec<Channel> {
        Channel::ALL.into_iter().chain(self.policy.channels.iter().map(|declared| declared.channel)).collect()
    }

    /// Channel by name.
    pub fn channel(&self, name: &str) -> Option<Channel> {
        self.channels().into_iter().find(|channel| channel.as_str() == name)
    }

    /// Its name, as a problem lists them.
    pub fn channel_names(&self) -> String {
        self.channels().into_iter().map(Channel::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Source by write key.
    pub fn source_by_write_key(&self, write_key: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.write_key.as_deref() == Some(write_key))
    }

    /// Source by key.
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.key == key)
    }

    /// What is left of the events of a source whose purpose is refused: its own rules, and of what tools report, theirs about openings.
    pub fn reductions(&self, source: &str) -> Vec<reduce::Reduce> {
        if source != REPORTED {
            return self.source(source).map(|source| source.reduce.clone()).unwrap_or_default();
        }
        let inbound = self.destinations.iter().filter_map(|destination| destination.take_back.inbound.as_ref());
        let purposes: BTreeSet<&String> = inbound.filter_map(|inbound| inbound.opens.as_ref()).collect();
        let rule = |purpose: &String, (name, channel): (&str, Channel)| reduce::Reduce {
            purpose: purpose.clone(),
            channel: Some(channel),
            to: reduce::Reduction::Counted,
            when: reduce::ReduceWhen::NotGranted,
            events: vec![name.to_owned()],
            except: Vec::new(),
        };
        purposes.into_iter().flat_map(|purpose| OPENINGS.map(|opening| rule(purpose, opening))).collect()
    }

    /// Namespace rule and its rank of trust (0: most trusted).
    pub fn namespace(&self, key: &str) -> Option<(usize, &NamespaceRule)> {
        self.identifiers.iter().enumerate().find(|(_, rule)| rule.key == key)
    }

    /// Purpose by key.
    pub fn purpose(&self, key: &str) -> Option<&Purpose> {
        self.purposes.iter().find(|purpose| purpose.key == key)
    }

    /// Computed trait by key.
    pub fn computed(&self, key: &str) -> Option<&ComputedTrait> {
        self.traits.iter().find(|computed| computed.key == key)
    }

    /// Segment by key.
    pub fn segment(&self, key: &str) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.key == key)
    }

    /// Whether a segment comes with `policy.prospects` or `policy.retention`: it is not written, and not changed.
    pub fn is_built_in(&self, segment: &str) -> bool {
        match segment {
            policy::prospects::LAPSING | policy::prospects::LAPSED => self.policy.prospects.is_some(),
            policy::retention::RETENTION_OVER => self.policy.retention.is_some(),
            _ => false,
        }
    }

    /// Destination by key.
    pub fn destination(&self, key: &str) -> Option<&Destination> {
        self.destinations.iter().find(|destination| destination.key == key)
    }

    /// Activation by key.
    pub fn activation(&self, key: &str) -> Option<&Activation> {
        self.activations.iter().find(|activation| activation.key == key)
    }
}
