//! The gate: the one place where a message becomes sendable.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jumelle_model::Workspace;
use jumelle_model::consent::{Basis, Channel, ConsentState, Signal};
use jumelle_model::message::Message;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::ConsentString;
use jumelle_model::workspace::policy::{About, Case, Frequency, Meaning, PolicyRule, covers, speaks_of};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::choices::{Choices, Standing};
use crate::hours::closed_until;
use crate::reason::{Reason, Tongue};

/// A message that the gate has let through, with what let it through. Only [`clear`] makes one; it is not `Clone`, and it is
/// meant to be used at once: a later sending passes the gate again.
///
/// It can be looked at:
///
/// ```
/// # use jumelle_consent::Cleared;
/// # use jumelle_model::message::Message;
/// fn look(cleared: &Cleared) -> &Message {
///     cleared.message()
/// }
/// ```
///
/// It cannot be put together elsewhere:
///
/// ```compile_fail,E0451
/// # use jumelle_consent::{Cleared, Evidence};
/// # use jumelle_model::message::Message;
/// fn forge(message: Message) -> Cleared {
///     Cleared { message, evidence: Evidence::TakesBack, unsubscribe: None, strings: Vec::new() }
/// }
/// ```
///
/// And it cannot be read from a text, as a message can:
///
/// ```
/// # use jumelle_model::message::Message;
/// fn read(json: &str) -> Message {
///     serde_json::from_str(json).unwrap()
/// }
/// ```
///
/// ```compile_fail,E0277
/// # use jumelle_consent::Cleared;
/// fn read(json: &str) -> Cleared {
///     serde_json::from_str(json).unwrap()
/// }
/// ```
#[derive(PartialEq, Eq, Debug)]
pub struct Cleared {
    message: Message,
    evidence: Evidence,
    unsubscribe: Option<String>,
    strings: Vec<(ConsentString, String)>,
}

/// What let a message through.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A grant that stands.
    Granted(Standing),
    /// The purpose's legal basis asks for no grant, and nobody objected.
    Basis(Basis),
    /// It takes the person back out of a tool that had received her: allowed always.
    TakesBack,
}

impl Evidence {
    /// `granted`, the legal basis, or `takes_back`.
    pub fn code(&self) -> &'static str {
        match self {
            Evidence::Granted(_) => "granted",
            Evidence::Basis(basis) => basis_name(*basis),
            Evidence::TakesBack => "takes_back",
        }
    }

    /// One sentence.
    pub fn sentence(&self, tongue: Tongue) -> String {
        match (self, tongue) {
            (Evidence::Granted(standing), Tongue::En) => format!("granted on {} ({})", standing.since, standing.source),
            (Evidence::Granted(standing), Tongue::Fr) => format!("accordé le {} ({})", standing.since, standing.source),
            (Evidence::Basis(basis), Tongue::En) => {
                format!("allowed on the legal basis {}; nobody objected", basis_name(*basis))
            }
            (Evidence::Basis(basis), Tongue::Fr) => {
                format!("permis sur la base légale {} ; aucune opposition", basis_name(*basis))
            }
            (Evidence::TakesBack, Tongue::En) => "takes somebody out".into(),
            (Evidence::TakesBack, Tongue::Fr) => "retire une personne".into(),
        }
    }
}

fn basis_name(basis: Basis) -> &'static str {
    match basis {
        Basis::Consent => "consent",
        Basis::Contract => "contract",
        Basis::LegitimateInterest => "legitimate_interest",
        Basis::LegalObligation => "legal_obligation",
        Basis::SoftOptIn => "soft_opt_in",
    }
}

/// A message that stays in the house, and why.
#[derive(Debug)]
pub struct Refused {
    /// What would have been sent.
    pub message: Message,
    /// Why not.
    pub reason: Reason,
}

/// What a destination last received about a person for an activation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// The address or device it carried.
    pub address: Option<(String, String)>,
    /// The fields it carried.
    pub data: Vec<(String, String)>,
}

/// What the gate is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Purpose key.
    pub purpose: &'a str,
    /// How it would reach her.
    pub channel: Channel,
    /// The address or device of the channel that it would use, if any.
    pub address: Option<&'a (String, String)>,
    /// Destination key; none where nothing is sent yet (a rule of a segment).
    pub destination: Option<&'a str>,
}

/// About whom.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// What she chose.
    pub choices: &'a Choices,
    /// What is known of her that a policy looks at.
    pub circumstances: &'a Circumstances,
    /// Earlier messages to her, in any order: those that the policy may count.
    pub contacts: &'a [Contact],
}

/// What is known of a person that a policy looks at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Circumstances {
    /// `FR`, `US-CA`; none: the workspace's.
    pub country: Option<String>,
    /// IANA name; none (or none that is known): the workspace's.
    pub timezone: Option<String>,
    /// Day of birth.
    pub born: Option<Date>,
    /// Addressed in her profession.
    pub business: bool,
    /// Purposes for which she is a customer who was told.
    pub customer_for: Vec<String>,
    /// When she last did something, and be it that she came in; none: nothing looks at it.
    pub last_act: Option<Timestamp>,
    /// Until when she wants no marketing.
    pub paused_until: Option<Timestamp>,
    /// How often she wants to be contacted, at most.
    pub frequency: Option<Frequency>,
}

/// One earlier message to a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// When it was queued or sent.
    pub at: Timestamp,
    /// How.
    pub channel: Channel,
    /// Purpose key.
    pub purpose: String,
}

/// Open or not, and until when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What opens it, or why it is closed.
    pub outcome: Result<Evidence, Reason>,
    /// When the passing of time alone may next change that; `MAX`: never.
    pub next: Timestamp,
}

/// Open, or closed for a moment only.
pub trait OkOrSoon {
    /// Whether nothing but hours, frequency or a pause of the tool stands in the way.
    fn is_ok_or_soon(&self) -> bool;
}

impl OkOrSoon for Result<Evidence, Reason> {
    fn is_ok_or_soon(&self) -> bool {
        self.as_ref().err().is_none_or(Reason::is_momentary)
    }
}

/// Decides for a purpose, a channel, an address and a destination at an instant.
pub fn decide(workspace: &Workspace, asked: Asked<'_>, party: Party<'_>, at: Timestamp) -> Verdict {
    let mut next = Timestamp::MAX;
    let outcome = passes(workspace, asked, party, at, &mut next);
    Verdict { outcome, next }
}

/// The checks in their order: what holds until somebody does something comes before what passes by itself.
fn passes(
    workspace: &Workspace,
    asked: Asked<'_>,
    party: Party<'_>,
    at: Timestamp,
    next: &mut Timestamp,
) -> Result<Evidence, Reason> {
    let Some(purpose) = workspace.purpose(asked.purpose) else {
        return Err(Reason::NoPurpose { purpose: asked.purpose.to_owned() });
    };
    let channel = asked.channel;
    if !purpose.terms.channels.is_empty() && !purpose.terms.channels.contains(&channel) {
        return Err(Reason::ChannelNotDeclared { purpose: purpose.key.clone(), channel });
    }
    if let Some(standing) = party.choices.signal(Signal::Restriction, channel, asked.address, at) {
        return Err(Reason::Restricted { since: standing.since });
    }
    if let Some(standing) = party.choices.signal(Signal::Bounce, channel, asked.address, at) {
        return Err(Reason::Bounced { channel, since: standing.since });
    }
    let country = party.circumstances.country.as_deref().unwrap_or(&workspace.settings.country);
    let case = Case { purpose, channel, country, business: party.circumstances.business, at };
    *next = (*next).min(workspace.policy.changes_after(case));
    let evidence = consents(workspace, case, asked, party, next)?;
    is_kept(case, party, next)?;
    not_paused(case, party, next)?;
    old_enough(workspace, case, party, next)?;
    may_be_transferred(workspace, case, asked)?;
    if let Some(destination) = asked.destination.filter(|key| workspace.destination(key).is_some_and(|found| found.paused)) {
        return Err(Reason::DestinationPaused { destination: destination.to_owned() });
    }
    in_hours(workspace, case, party, next)?;
    not_too_often(workspace, case, party, next)?;
    Ok(evidence)
}

/// What the person chose, how long that counts, and what silence means.
fn consents(
    workspace: &Workspace,
    case: Case<'_>,
    asked: Asked<'_>,
    party: Party<'_>,
    next: &mut Timestamp,
) -> Result<Evidence, Reason> {
    let (purpose, channel, at) = (case.purpose, case.channel, case.at);
    let standing = party.choices.counting(purpose, channel, asked.address, at, workspace.policy.asks_for_the_channel(case));
    // A grant that no longer counts is as good as none: what silence means decides, and if that is no, says why.
    let mut spent: Option<Reason> = None;
    if let Some(standing) = standing {
        let (key, since) = (purpose.key.clone(), standing.since);
        if standing.state == ConsentState::Denied {
            // A rule of a segment asks too, of everybody: nobody reads a receipt there.
            let receipt = asked.destination.map(|_| standing.receipt());
            return Err(match standing.signal() {
                Some(signal) => Reason::Objected { purpose: key, channel, signal, since, receipt },
                None => Reason::Denied { purpose: key, channel, since, receipt },
            });
        }
        let expired_at = workspace.policy.expires_after(case).map(|span| Timestamp(since.0.saturating_add(span.0)));
        if !purpose.takes_version(|| standing.text_version()) {
            let version = standing.text_version();
            let needed = purpose.text().map(|text| text.version.clone()).unwrap_or_default();
            spent = Some(Reason::OldText { purpose: key, channel, since, version, needed });
        } else if let Some(expired_at) = expired_at.filter(|expired_at| *expired_at <= at) {
            spent = Some(Reason::Expired { purpose: key, channel, since, expired_at });
        } else {
            *next = (*next).min(expired_at.unwrap_or(Timestamp::MAX));
            return Ok(Evidence::Granted(standing));
        }
    }
    let key = purpose.key.clone();
    match workspace.policy.unknown(case) {
        Meaning::Allowed => Ok(Evidence::Basis(purpose.basis)),
        Meaning::Customer if party.circumstances.customer_for.contains(&key) => Ok(Evidence::Basis(Basis::SoftOptIn)),
        Meaning::Customer => Err(spent.unwrap_or(Reason::NotACustomer { purpose: key, channel })),
        Meaning::Refused => Err(spent.unwrap_or(Reason::Unknown { purpose: key, channel })),
    }
}

/// A purpose uses nobody beyond its retention: she leaves its tools until she does something herself.
fn is_kept(case: Case<'_>, party: Party<'_>, next: &mut Timestamp) -> Result<(), Reason> {
    let (Some(retention), Some(last_act)) = (case.purpose.terms.retention, party.circumstances.last_act) else { return Ok(()) };
    let since = last_act + retention;
    if since <= case.at {
        return Err(Reason::RetentionOver { purpose: case.purpose.key.clone(), retention, since });
    }
    *next = (*next).min(since);
    Ok(())
}

/// A pause that she asked for takes her out of the tools, and ends by itself.
fn not_paused(case: Case<'_>, party: Party<'_>, next: &mut Timestamp) -> Result<(), Reason> {
    let Some(until) = party.circumstances.paused_until.filter(|until| *until > case.at) else { return Ok(()) };
    if !case.purpose.is_marketing() {
        return Ok(());
    }
    *next = (*next).min(until);
    Err(Reason::Paused { purpose: case.purpose.key.clone(), until })
}

/// Only who is known to be too young is refused; an unknown age is no refusal.
fn old_enough(workspace: &Workspace, case: Case<'_>, party: Party<'_>, next: &mut Timestamp) -> Result<(), Reason> {
    let (Some(age_min), Some(born)) = (workspace.policy.age_min(case), party.circumstances.born) else { return Ok(()) };
    // Who is born on 29 February comes of age on the 28th of other years: jiff's calendar, a day early at most.
    let of_age = born.checked_add(jiff::Span::new().years(i64::from(age_min))).ok();
    let of_age = of_age.and_then(|day| zone(workspace, party).to_timestamp(day.to_datetime(Time::midnight())).ok());
    let of_age = of_age.map_or(Timestamp::MAX, |instant| Timestamp(instant.as_microsecond()));
    if of_age <= case.at {
        return Ok(());
    }
    *next = (*next).min(of_age);
    Err(Reason::Minor { purpose: case.purpose.key.clone(), age_min })
}

fn may_be_transferred(workspace: &Workspace, case: Case<'_>, asked: Asked<'_>) -> Result<(), Reason> {
    let Some(key) = asked.destination else { return Ok(()) };
    let destination = workspace.destination(key);
    if destination.is_some_and(|destination| destination.transfer.is_some()) {
        return Ok(());
    }
    let country = destination.and_then(|destination| destination.country.as_deref());
    let mut lists = workspace.policy.rules_for(case).filter_map(|rule| rule.transfers.as_deref());
    if lists.all(|list| country.is_some_and(|country| covers(list, country))) {
        return Ok(());
    }
    Err(Reason::Transfer { destination: key.to_owned(), country: country.map(str::to_owned) })
}

fn in_hours(workspace: &Workspace, case: Case<'_>, party: Party<'_>, next: &mut Timestamp) -> Result<(), Reason> {
    let mut of_rules = workspace.policy.rules_for(case).filter_map(|rule| rule.hours.as_ref()).peekable();
    if of_rules.peek().is_none() {
        return Ok(());
    }
    let zone = zone(workspace, party);
    // Of several closed ones the last to open; then all are looked at again.
    let Some(opens_at) = of_rules.filter_map(|hours| closed_until(hours, &zone, case.at)).max() else { return Ok(()) };
    *next = (*next).min(opens_at);
    Err(Reason::Hours { channel: case.channel, opens_at })
}

fn not_too_often(workspace: &Workspace, case: Case<'_>, party: Party<'_>, next: &mut Timestamp) -> Result<(), Reason> {
    let about = |contact: &Contact, rule: &PolicyRule| {
        let marketing = workspace.purpose(&contact.purpose).is_none_or(|purpose| purpose.is_marketing());
        speaks_of(&rule.about.channels, contact.channel)
            && (rule.about.purposes.is_empty() || rule.about.purposes.contains(&contact.purpose))
            && rule.about.marketing.is_none_or(|asked| asked == marketing)
    };
    let her_own = PolicyRule {
        about: About { marketing: Some(true), ..About::default() },
        frequency: party.circumstances.frequency.filter(|_| case.purpose.is_marketing()),
        ..PolicyRule::default()
    };
    for rule in workspace.policy.rules_for(case).chain([&her_own]) {
        let Some(Frequency { max, within }) = rule.frequency else { continue };
        let since = case.at.0.saturating_sub(within.0);
        let mut counted: Vec<Timestamp> = party
            .contacts
            .iter()
            .filter(|contact| contact.at.0 > since && about(contact, rule))
            .map(|contact| contact.at)
            .collect();
        counted.sort_unstable_by(|a, b| b.cmp(a));
        // The newest `max` of them fill the span: the next may be when the oldest of these leaves it.
        let Some(oldest) = counted.get(max.saturating_sub(1) as usize) else { continue };
        let opens_at = Timestamp(oldest.0.saturating_add(within.0));
        *next = (*next).min(opens_at);
        return Err(Reason::Frequency { channel: case.channel, max, within, opens_at });
    }
    Ok(())
}

fn zone(workspace: &Workspace, party: Party<'_>) -> TimeZone {
    let own = party.circumstances.timezone.as_deref().and_then(|name| TimeZone::get(name).ok());
    own.or_else(|| TimeZone::get(&workspace.settings.timezone).ok()).unwrap_or(TimeZone::UTC)
}

/// Passes a message through the gate at an instant. A message that takes a person back needs no consent, but must carry exactly
/// what `sent` says the destination had received, and no more.
#[expect(clippy::result_large_err, reason = "a refusal hands the message back, and is as ordinary as a passage")]
pub fn clear(
    workspace: &Workspace,
    message: Message,
    party: Party<'_>,
    sent: Option<&Sent>,
    at: Timestamp,
) -> Result<Cleared, Refused> {
    if message.kind.takes_back() {
        let same = sent.is_some_and(|sent| sent.data == message.data && sent.address == message.address);
        return if same {
            Ok(Cleared { message, evidence: Evidence::TakesBack, unsubscribe: None, strings: Vec::new() })
        } else {
            Err(Refused { message, reason: Reason::NeverSent })
        };
    }
    if let Some(reason) = field_not_allowed(workspace, &message) {
        return Err(Refused { message, reason });
    }
    let asked = Asked {
        purpose: &message.purpose,
        channel: message.channel,
        address: message.address.as_ref(),
        destination: Some(&message.destination),
    };
    match decide(workspace, asked, party, at).outcome {
        Ok(evidence) => Ok(Cleared { message, evidence, unsubscribe: None, strings: Vec::new() }),
        Err(reason) => Err(Refused { message, reason }),
    }
}

/// Definitions are refused when they map too much; here it is a message that was queued under earlier ones.
fn field_not_allowed(workspace: &Workspace, message: &Message) -> Option<Reason> {
    let allowed = workspace.purpose(&message.purpose)?.terms.fields.as_ref()?;
    let map = workspace.activation(&message.activation).map(|activation| activation.map.as_slice()).unwrap_or_default();
    let (field, _) = message.data.iter().find(|(field, _)| {
        // A field that the activation no longer maps may have come from anywhere.
        !map.iter().any(|(name, from)| name == field && allowed.contains(from))
    })?;
    Some(Reason::FieldNotAllowed { purpose: message.purpose.clone(), field: field.clone() })
}

impl Cleared {
    /// What is sent.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// What let it through.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The signed link that stops such messages, if they carry one.
    pub fn unsubscribe(&self) -> Option<&str> {
        self.unsubscribe.as_deref()
    }

    /// With the signed link that stops such messages, for a mailer to put into its headers.
    pub fn with_unsubscribe(self, url: String) -> Cleared {
        Cleared { unsubscribe: Some(url), ..self }
    }

    /// With the strings on which the grant rests, as they came: for a tool that is to have them.
    pub fn with_strings(self, strings: Vec<(ConsentString, String)>) -> Cleared {
        Cleared { strings, ..self }
    }

    /// The JSON body that a webhook receives (DESIGN §6): computed from the choices, never from a setting.
    pub fn body(&self) -> Vec<u8> {
        let mut consent = Map::new();
        match &self.evidence {
            Evidence::Granted(standing) => {
                consent.insert("state".into(), "granted".into());
                consent.insert("since".into(), standing.since.to_string().into());
                consent.insert("receipt".into(), standing.receipt().into());
                for (which, string) in &self.strings {
                    consent.insert(which.as_str().into(), string.as_str().into());
                }
            }
            Evidence::Basis(basis) => {
                consent.insert("state".into(), "unknown".into());
                consent.insert("basis".into(), serde_json::to_value(basis).unwrap_or(Value::Null));
            }
            Evidence::TakesBack => {
                consent.insert("state".into(), "taken_back".into());
            }
        }
        body(&self.message, consent, self.unsubscribe.as_deref())
    }
}

/// The body of a message that the gate holds back, for people to look at: as [`Cleared::body`], with `refused` where the consent
/// would stand. Nothing that can be sent is made of it.
pub fn refused_body(message: &Message) -> Vec<u8> {
    body(message, Map::from_iter([("state".to_owned(), "refused".into())]), None)
}

fn body(message: &Message, told: Map<String, Value>, unsubscribe: Option<&str>) -> Vec<u8> {
    let mut data = Map::new();
    for (field, json) in &message.data {
        data.insert(field.clone(), serde_json::from_str(json).unwrap_or(Value::Null));
    }
    let mut consent = Map::new();
    consent.insert("purpose".into(), message.purpose.as_str().into());
    consent.insert("channel".into(), message.channel.as_str().into());
    consent.extend(told);
    let mut body = serde_json::json!({
        "id": message.id.to_string(),
        "type": message.kind.as_str(),
        "activation": message.activation,
        "segment": message.segment,
        "at": message.at.to_string(),
        "profile": message.profile.to_string(),
        "data": data,
        "consent": consent,
    });
    if let Some(url) = unsubscribe {
        body["unsubscribe"] = unsubscribe_json(url);
    }
    body.to_string().into_bytes()
}

/// The link, and the two header fields that RFC 8058 asks for: a mailer covers both by its DKIM signature.
pub fn unsubscribe_json(url: &str) -> Value {
    serde_json::json!({
        "url": url,
        "headers": {"List-Unsubscribe": format!("<{url}>"), "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    })
}
