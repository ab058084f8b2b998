//! What a browser's signals mean for the purposes of a workspace: TC and GPP strings, Google Consent Mode, Global Privacy
//! Control, Segment's categories.
//!
//! Invariant: what is chosen in a browser is the device's. A verdict names channels that reach a device, or none (all of them);
//! only a denial may also concern `partner_sharing`, which has no address and is the person's.

use std::borrow::Cow;
use std::sync::Arc;

use jumelle_model::Workspace;
use jumelle_model::consent::{Channel, ConsentState};
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::{OptOut, TcfChoice};
use serde_json::{Value, json};

use crate::strings::{GppSection, GppString, Malformed, TcString, UsSection};

/// The namespace of a device.
pub const DEVICE: &str = "anonymous_id";
const DAY: Span = Span(86_400_000_000);

/// What a signal means for one purpose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Key of the workspace's purpose.
    pub purpose: String,
    /// `None`: all channels that reach the device.
    pub channel: Option<Channel>,
    /// Yes or no. A signal that says neither has no verdict.
    pub state: ConsentState,
    /// What decided, for people: `purposeConsents 1, 8`.
    pub because: Arc<str>,
    /// The day that a TC string says of itself. A grant counts from its beginning, a denial to its end.
    pub day: Option<Timestamp>,
}

impl Verdict {
    /// Of the device; else of the person.
    pub fn is_of_device(&self) -> bool {
        self.channel.is_none_or(|channel| channel.address_namespace() == Some(DEVICE))
    }

    /// When it was chosen, and whether that is weak (an undated grant).
    ///
    /// A string or category that comes with each event is no new choice each time: a grant may not outweigh a refusal that was
    /// given elsewhere in between. So where the time of the choice is not told (`told`), a TC string's grant is as old as its day
    /// allows, an undated grant is weak, and a denial is as young as the event and the string's day allow.
    pub fn time(&self, told: Option<Timestamp>, event: Timestamp) -> (Timestamp, bool) {
        match (told, self.day, self.state) {
            (Some(told), _, _) => (told, false),
            (None, Some(day), ConsentState::Granted) => (day.min(event), false),
            (None, Some(day), ConsentState::Denied) => (event.min(Timestamp((day + DAY).0 - 1)), false),
            (None, None, ConsentState::Granted) => (event, true),
            (None, None, ConsentState::Denied) => (event, false),
        }
    }
}

/// What a TC string means. `arrival`: when it came; a string that was made later than that grants nothing.
pub fn of_tcf(workspace: &Workspace, string: &TcString, arrival: Timestamp) -> Vec<Verdict> {
    let is_defect = !string.defects().is_empty() || string.last_updated > arrival;
    workspace
        .tcf_choices()
        .flat_map(|choice| {
            // A string with a defect is neither a grant of hers nor a refusal.
            let found = of_choice(&choice, workspace.strings.vendor, string)
                .filter(|(state, _)| !is_defect || *state == ConsentState::Denied);
            let day = Timestamp(string.last_updated.0.div_euclid(DAY.0) * DAY.0);
            each_channel(&choice.purpose, &choice.channels, found, Some(day))
        })
        .collect()
}

fn of_choice(choice: &TcfChoice, vendor: Option<u16>, string: &TcString) -> Option<(ConsentState, String)> {
    let nobody = crate::strings::PublisherTc::default();
    let publisher = string.publisher.as_ref().unwrap_or(&nobody);
    let asked = [
        ("purposeConsents", &choice.purposes, string.purpose_consents),
        ("publisherConsents", &choice.publisher, publisher.consents),
        ("publisherCustomConsents", &choice.custom, publisher.custom_consents),
        ("specialFeatureOptins", &choice.special_features, string.special_feature_optins),
        ("purposeLegitimateInterests", &choice.legitimate_interests, string.purpose_legitimate_interests),
    ];
    let mut refused = Vec::new();
    for (field, ids, chosen) in asked {
        let missing: Vec<u8> = ids.iter().copied().filter(|id| !chosen.has(*id)).collect();
        if !missing.is_empty() {
            refused.push(format!("{field} without {}", listed(&missing)));
        }
    }
    if let Some(vendor) = vendor.filter(|_| !choice.purposes.is_empty()) {
        if !string.vendor_consents.has(vendor) {
            refused.push(format!("vendorConsents without {vendor}"));
        }
        if string.vendors_disclosed.as_ref().is_some_and(|disclosed| !disclosed.has(vendor)) {
            refused.push(format!("vendorsDisclosed without {vendor}"));
        }
        let barred: Vec<u8> = choice.purposes.iter().copied().filter(|id| string.bars_consent(*id, vendor)).collect();
        if !barred.is_empty() {
            refused.push(format!("publisherRestrictions bar {} to {vendor}", listed(&barred)));
        }
    }
    if !refused.is_empty() {
        return Some((ConsentState::Denied, refused.join("; ")));
    }
    // Where the publisher says that purpose 1 was not asked for, its bit is no consent.
    let first_was_asked = !(string.purpose_one_treatment && choice.purposes.contains(&1));
    let granted: Vec<String> = asked[..4]
        .iter()
        .filter(|(_, ids, _)| !ids.is_empty())
        .map(|(field, ids, _)| format!("{field} {}", listed(ids)))
        .collect();
    // A legitimate interest that was not objected to is no grant.
    (first_was_asked && !granted.is_empty()).then(|| (ConsentState::Granted, granted.join("; ")))
}

fn listed(ids: &[u8]) -> String {
    ids.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

/// What a GPP string means: the TC string in it, and the opt-outs of its sections of the United States.
pub fn of_gpp(workspace: &Workspace, string: &GppString, arrival: Timestamp) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (_, section) in &string.sections {
        match section {
            GppSection::TcfEuV2(string) => verdicts.extend(of_tcf(workspace, string, arrival)),
            GppSection::UspV1([_, sale, _]) => {
                for choice in workspace.strings.gpp.iter().filter(|choice| choice.opt_outs.contains(&OptOut::Sale)) {
                    let found = (*sale == b'Y').then(|| (ConsentState::Denied, "uspv1 OptOutSale".to_owned()));
                    verdicts.extend(each_channel(&choice.purpose, &choice.channels, found, None));
                }
            }
            GppSection::Us(section) => {
                for choice in &workspace.strings.gpp {
                    let out = choice.opt_outs.iter().find_map(|opt_out| opted_out(section, *opt_out));
                    let found = out.map(|field| (ConsentState::Denied, format!("{} {field}", section.name)));
                    verdicts.extend(each_channel(&choice.purpose, &choice.channels, found, None));
                }
                if section.gpc == Some(true) {
                    verdicts.extend(of_gpc(workspace));
                }
            }
            GppSection::Unread(_) => {}
        }
    }
    verdicts
}

/// The field that says so. 1 is the refusal: opted out, or no consent.
fn opted_out(section: &UsSection, opt_out: OptOut) -> Option<&'static str> {
    let field = match opt_out {
        OptOut::Sale => "SaleOptOut",
        OptOut::Sharing => "SharingOptOut",
        OptOut::TargetedAdvertising => "TargetedAdvertisingOptOut",
        OptOut::Sensitive => "SensitiveDataProcessing",
    };
    section.values(field).contains(&1).then_some(field)
}

/// What Global Privacy Control means: a denial by this device, and by the person for what has no address (sharing with partners).
pub fn of_gpc(workspace: &Workspace) -> Vec<Verdict> {
    let channels = [None, Some(Channel::PartnerSharing)];
    workspace
        .gpc_purposes()
        .flat_map(|purpose| {
            channels.map(|channel| Verdict {
                purpose: purpose.key.clone(),
                channel,
                state: ConsentState::Denied,
                because: "Global Privacy Control".into(),
                day: None,
            })
        })
        .collect()
}

/// What states of Google Consent Mode mean (`true`: granted; types that are not there say nothing): denied where one of a
/// purpose's types is, granted where all are.
pub fn of_gcm(workspace: &Workspace, states: &[(&str, bool)]) -> Vec<Verdict> {
    let of = |name: &String| states.iter().find(|(known, _)| known == name).map(|(_, granted)| *granted);
    let mut verdicts = Vec::new();
    for purpose in workspace.purposes.iter().filter(|purpose| !purpose.gcm.is_empty()) {
        let denied = purpose.gcm.iter().find(|name| of(name) == Some(false));
        let found = match denied {
            Some(name) => Some((ConsentState::Denied, format!("{name} denied"))),
            None if purpose.gcm.iter().all(|name| of(name) == Some(true)) => {
                Some((ConsentState::Granted, format!("{} granted", purpose.gcm.join(", "))))
            }
            None => None,
        };
        verdicts.extend(each_channel(&purpose.key, &[], found, None));
    }
    verdicts
}

/// What Segment's `categoryPreferences` mean: granted where all of a purpose's categories are true, else denied; a category that
/// is not there is not true.
pub fn of_categories(workspace: &Workspace, preferences: &[(&str, bool)]) -> Vec<Verdict> {
    let is_true = |name: &&String| preferences.iter().any(|(known, chosen)| known == name && *chosen);
    let mut verdicts = Vec::new();
    for choice in &workspace.strings.categories {
        let missing = choice.categories.iter().find(|name| !is_true(name));
        let found = match missing {
            Some(name) => (ConsentState::Denied, format!("category {name} not chosen")),
            None => (ConsentState::Granted, format!("categories {}", choice.categories.join(", "))),
        };
        verdicts.extend(each_channel(&choice.purpose, &choice.channels, Some(found), None));
    }
    verdicts
}

fn each_channel(
    purpose: &str,
    channels: &[Channel],
    found: Option<(ConsentState, String)>,
    day: Option<Timestamp>,
) -> Vec<Verdict> {
    let Some((state, because)) = found else { return Vec::new() };
    let all = [None];
    let named: Vec<Option<Channel>> = channels.iter().copied().map(Some).collect();
    let channels: &[Option<Channel>] = if named.is_empty() { &all } else { &named };
    let because: Arc<str> = because.into();
    let verdict = |channel: &Option<Channel>| Verdict {
        purpose: purpose.to_owned(),
        channel: *channel,
        state,
        because: because.clone(),
        day,
    };
    channels.iter().map(verdict).collect()
}

/// Any of the two kinds of string: TC strings begin with C, GPP strings with D.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AnyString {
    /// TCF.
    Tcf(Box<TcString>),
    /// GPP.
    Gpp(GppString),
}

impl AnyString {
    /// Reads a string by its first letter.
    pub fn decode(text: &str) -> Result<AnyString, Malformed> {
        match text.as_bytes().first() {
            Some(b'D') => GppString::decode(text).map(AnyString::Gpp),
            _ => TcString::decode(text).map(|string| AnyString::Tcf(Box::new(string))),
        }
    }

    /// The string field by field, `defects` (why a TC string grants nothing), and `policy`: what this workspace makes of it for each
    /// purpose and channel; what is not listed is unknown.
    pub fn explain(&self, workspace: &Workspace, now: Timestamp) -> Value {
        let (mut json, verdicts) = match self {
            AnyString::Tcf(string) => (string.to_json(), of_tcf(workspace, string, now)),
            AnyString::Gpp(string) => (string.to_json(), of_gpp(workspace, string, now)),
        };
        if let AnyString::Tcf(string) = self {
            json["defects"] = string.defects().iter().map(|defect| Value::from(defect.as_str())).collect();
        }
        json["policy"] = by_purpose_and_channel(workspace, &verdicts);
        json
    }
}

/// Where verdicts of one string differ, the denial counts.
fn by_purpose_and_channel(workspace: &Workspace, verdicts: &[Verdict]) -> Value {
    let mut rows: Vec<(&str, Channel, ConsentState, &str)> = Vec::new();
    for verdict in verdicts {
        let channels: Cow<'_, [Channel]> = match verdict.channel {
            Some(channel) => vec![channel].into(),
            None => workspace.channels().into_iter().filter(|channel| channel.address_namespace() == Some(DEVICE)).collect(),
        };
        for &channel in channels.iter() {
            let purpose = verdict.purpose.as_str();
            match rows.iter_mut().find(|(other, of, _, _)| *other == purpose && *of == channel) {
                Some(row) if row.2 < verdict.state => *row = (purpose, channel, verdict.state, &verdict.because),
                Some(_) => {}
                None => rows.push((purpose, channel, verdict.state, &verdict.because)),
            }
        }
    }
    rows.into_iter()
        .map(|(purpose, channel, state, because)| {
            json!({"purpose": purpose, "channel": channel, "state": state, "because": because})
        })
        .collect()
}
