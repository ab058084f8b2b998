//! `policy:`, and what purposes, destinations and activations say that it bears on.

use super::definition::{Known, channel_words, field_path, label};
use super::reader::Reader;
use super::rule::span;
use super::settings::instant;
use crate::consent::Channel;
use crate::time::Span;
use crate::workspace::node::{Key, Node, Value, get, join, read};
use crate::workspace::policy::prospects::WARN_BEFORE;
use crate::workspace::policy::{
    About, ActNames, Calendar, Case, Customer, DAYS, DeclaredChannel, Frequency, Hours, Meaning, Policy, PolicyRule, Prospects,
    PurposeText, TEMPLATES, Terms, Then, template,
};
use crate::workspace::{FieldPath, Workspace};

/// Keys of a purpose beside its basis and the signals that it is read from.
pub const TERMS: [&str; 12] = [
    "label",
    "texts",
    "partners",
    "retention",
    "age_min",
    "channels",
    "marketing",
    "professional",
    "expires_after",
    "ask_again_after",
    "customer",
    "fields",
];
/// Rules of one policy, at most.
const RULES_MAX: usize = 500;
/// Versions of one purpose's text, partners of one purpose, at most.
const ITEMS_MAX: usize = 200;
/// Bytes of a version's name, at most.
const VERSION_BYTES_MAX: usize = 64;
/// Times of opening in one day, at most.
const BETWEEN_MAX: usize = 8;
/// Channels of a workspace's own, at most.
const DECLARED_MAX: usize = 50;
const MINUTES_OF_A_DAY: u16 = 1_440;

pub fn terms(reader: &mut Reader, known: &Known<'_>, entries: &[(Key, Node)], path: &str) -> Terms {
    let mut terms = Terms { label: label(reader, entries, path), ..Terms::default() };
    if let Some(node) = get(entries, "texts") {
        terms.texts = texts(reader, node, &join(path, "texts"));
    }
    if let Some(node) = get(entries, "partners") {
        terms.partners = items(reader, node, &join(path, "partners"), |reader, node, path| reader.name(node, path));
    }
    if let Some(node) = get(entries, "channels") {
        terms.channels = channels(reader, node, &join(path, "channels"));
    }
    let mut of = |name: &str| get(entries, name).and_then(|node| span(reader, node, &join(path, name)));
    (terms.retention, terms.expires_after, terms.ask_again_after) = (of("retention"), of("expires_after"), of("ask_again_after"));
    terms.age_min = get(entries, "age_min").and_then(|node| reader.integer(node, &join(path, "age_min"), 1..=99));
    terms.professional =
        get(entries, "professional").and_then(|node| reader.flag(node, &join(path, "professional"))).unwrap_or_default();
    terms.marketing = get(entries, "marketing").and_then(|node| reader.flag(node, &join(path, "marketing")));
    if let Some(node) = get(entries, "customer") {
        terms.customer = customer(reader, known, node, &join(path, "customer"));
    }
    if let Some(node) = get(entries, "fields") {
        let fields = items(reader, node, &join(path, "fields"), |reader, node, path| field_path(reader, known, node, path));
        terms.fields = Some(fields);
    }
    terms
}

pub fn items<T>(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    mut read: impl FnMut(&mut Reader, &Node, &str) -> Option<T>,
) -> Vec<T> {
    let items = reader.list(node, path).unwrap_or_default();
    if items.len() > ITEMS_MAX {
        reader.at(node, path, format!("{ITEMS_MAX} at most, not {}", items.len()));
        return Vec::new();
    }
    items.iter().enumerate().filter_map(|(n, item)| read(reader, item, &format!("{path}[{n}]"))).collect()
}

fn texts(reader: &mut Reader, node: &Node, path: &str) -> Vec<PurposeText> {
    let mut seen: Vec<String> = Vec::new();
    items(reader, node, path, |reader, node, path| {
        let entries = reader.map(node, path)?;
        reader.only(entries, path, &["version", "fr", "en", "ask_anew"]);
        let Some(version_node) = get(entries, "version") else {
            reader.at(node, path, "a text has a version, which choices name: version: \"2026-08\"");
            return None;
        };
        let version = reader.name(version_node, &join(path, "version"))?;
        if version.len() > VERSION_BYTES_MAX {
            reader.at(version_node, &join(path, "version"), format!("a version has {VERSION_BYTES_MAX} bytes at most"));
        }
        if seen.contains(&version) {
            reader.at(version_node, &join(path, "version"), format!("the version {version:?} stands here twice"));
        }
        seen.push(version.clone());
        let mut of = |language: &str| get(entries, language).and_then(|node| reader.text(node, &join(path, language)));
        let words = crate::workspace::Label { fr: of("fr"), en: of("en") };
        if words.fr.is_none() && words.en.is_none() {
            reader.at(node, path, "a text has words: fr, en or both");
        }
        let ask_anew = get(entries, "ask_anew").and_then(|node| reader.flag(node, &join(path, "ask_anew"))).unwrap_or(false);
        Some(PurposeText { version, words, ask_anew })
    })
}

fn customer(reader: &mut Reader, known: &Known<'_>, node: &Node, path: &str) -> Option<Customer> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["has", "informed"]);
    let (Some(has), Some(informed)) = (get(entries, "has"), get(entries, "informed")) else {
        reader.at(node, path, "a customer is {has: computed.orders, informed: traits.informed}: she bought, and was told");
        return None;
    };
    let (has, informed) =
        (person_path(reader, known, has, &join(path, "has")), { person_path(reader, known, informed, &join(path, "informed")) });
    Some(Customer { has: has?, informed: informed? })
}

/// A trait or computed trait.
fn person_path(reader: &mut Reader, known: &Known<'_>, node: &Node, path: &str) -> Option<FieldPath> {
    let found = field_path(reader, known, node, path)?;
    if matches!(found, FieldPath::Trait(_) | FieldPath::Computed(_)) {
        return Some(found);
    }
    reader.at(node, path, format!("{found} is an identifier; write traits.… or computed.…"));
    None
}

fn channels(reader: &mut Reader, node: &Node, path: &str) -> Vec<Channel> {
    let words = channel_words(reader);
    items(reader, node, path, |reader, node, path| reader.choice(node, path, &words))
}

/// `FR`, `US-CA` and, where groups are taken, `EEA`.
pub fn country(reader: &mut Reader, node: &Node, path: &str, groups: bool) -> Option<String> {
    let text = reader.text(node, path)?;
    let (whole, part) = text.split_once('-').map_or((text.as_str(), None), |(whole, part)| (whole, Some(part)));
    let is_part =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let holds = whole.len() == 2 && whole.bytes().all(|byte| byte.is_ascii_uppercase()) && part.is_none_or(is_part);
    if holds || (groups && text == "EEA") {
        return Some(text);
    }
    let or_group = if groups { ", US-CA or EEA" } else { " or US-CA" };
    reader.at(node, path, format!("{text:?} is not a country; write two capital letters such as FR{or_group}"));
    None
}

/// `policy.channels`, read before everything that may name one.
pub fn declared_channels(reader: &mut Reader, node: &Node) -> Vec<DeclaredChannel> {
    let Value::Map(entries) = &node.value else { return Vec::new() };
    let Some(node) = get(entries, "channels") else { return Vec::new() };
    let path = "policy.channels";
    let entries = reader.map(node, path).unwrap_or_default();
    if entries.len() > DECLARED_MAX {
        reader.at(node, path, format!("{DECLARED_MAX} at most, not {}", entries.len()));
        return Vec::new();
    }
    let mut found: Vec<DeclaredChannel> = Vec::new();
    for (key, node) in entries {
        let path = join(path, &key.text);
        let Some(entries) = reader.map(node, &path) else { continue };
        reader.only(entries, &path, &["like", "label"]);
        let Some(like) = get(entries, "like") else {
            reader.at(
                node,
                &path,
                "a channel says which one it is like, whose address, hours and silence it shares: {like: sms}",
            );
            continue;
        };
        let words = Channel::ALL.map(|channel| (channel.as_str(), channel));
        let Some(like) = reader.choice(like, &join(&path, "like"), &words) else { continue };
        match Channel::declared(&key.text, like) {
            None if Channel::parse(&key.text).is_some() => {
                reader.at_key(key, &path, format!("every workspace has a channel {}", key.text));
            }
            None => reader.at_key(
                key,
                &path,
                "a channel's name has lower-case letters, digits and _, begins with a letter, 40 at most",
            ),
            Some(channel) => found.push(DeclaredChannel { channel, label: label(reader, entries, &path) }),
        }
    }
    found
}

pub fn policy(reader: &mut Reader, known: &Known<'_>, node: &Node) -> Policy {
    let mut policy = Policy::default();
    let path = "policy";
    let Some(entries) = reader.map(node, path) else { return policy };
    reader.only(entries, path, &["extends", "channels", "person", "rules", "prospects", "retention"]);
    if let Some(node) = get(entries, "person") {
        let path = join(path, "person");
        let entries = reader.map(node, &path).unwrap_or_default();
        reader.only(entries, &path, &["country", "region", "timezone", "birth_date", "business"]);
        let mut of = |name: &str| get(entries, name).and_then(|node| person_path(reader, known, node, &join(&path, name)));
        policy.person.country = of("country");
        policy.person.region = of("region");
        policy.person.timezone = of("timezone");
        policy.person.birth_date = of("birth_date");
        policy.person.business = of("business");
    }
    if let Some(node) = get(entries, "prospects") {
        policy.prospects = prospects(reader, node, &join(path, "prospects"));
    }
    if let Some(node) = get(entries, "retention") {
        policy.retention = retention(reader, known, node, &join(path, "retention"));
    }
    if let Some(node) = get(entries, "rules") {
        policy.rules = rules(reader, Some(known), node, &join(path, "rules"));
    }
    if let Some(node) = get(entries, "extends") {
        let names = items(reader, node, &join(path, "extends"), extends);
        for name in names {
            let Some(found) = template(&name) else { continue };
            policy.extends.push(format!("{}@{}", found.name, found.edition));
            // A shipped template reads without a problem: a test says so of each.
            if let Ok((root, _)) = read(found.text)
                && let Value::Map(entries) = &root.value
                && let Some(node) = get(entries, "rules")
            {
                let mut own = Reader::new(Vec::new());
                policy.rules.extend(
                    rules(&mut own, None, node, "rules")
                        .into_iter()
                        .map(|rule| PolicyRule { template: Some(found.name.to_owned()), ..rule }),
                );
            }
        }
    }
    policy
}

/// `{after: 1095d, then: erase}`
fn prospects(reader: &mut Reader, node: &Node, path: &str) -> Option<Prospects> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["after", "then", "warn_before", "customers", "acts", "passive"]);
    let (Some(after), Some(then)) = (get(entries, "after"), get(entries, "then")) else {
        reader.at(
            node,
            path,
            "prospects say how long they stay and what happens then: {after: 1095d, then: report}, or ask, or erase",
        );
        return None;
    };
    let then = reader.choice(then, &join(path, "then"), &Then::WORDS);
    let after = span(reader, after, &join(path, "after"));
    let mut of = |name: &str| get(entries, name).and_then(|node| span(reader, node, &join(path, name)));
    let (warn_before, customers) = (of("warn_before"), of("customers"));
    let mut names = |name: &str| match get(entries, name) {
        Some(node) => items(reader, node, &join(path, name), |reader, node, path| reader.name(node, path)),
        None => Vec::new(),
    };
    let names = ActNames { acts: names("acts"), passive: names("passive") };
    let (after, then) = (after?, then?);
    if let (Some(warn_before), Some(node)) = (warn_before, get(entries, "warn_before"))
        && warn_before >= after
    {
        reader.at(node, &join(path, "warn_before"), format!("{warn_before} is not shorter than after: {after}"));
    }
    let by_default = WARN_BEFORE.min(Span(after.0 / 2));
    Some(Prospects { after, then, warn_before: warn_before.unwrap_or(by_default), customers, names })
}

/// `{then: erase}`: of people whom no purpose keeps any more.
fn retention(reader: &mut Reader, known: &Known<'_>, node: &Node, path: &str) -> Option<Then> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["then"]);
    let Some(then) = get(entries, "then") else {
        reader.at(node, path, "retention says what happens to people whom no purpose keeps any more: {then: report}, or erase");
        return None;
    };
    let then = reader.choice(then, &join(path, "then"), &[("report", Then::Report), ("erase", Then::Erase)]);
    let for_good: Vec<&str> = known.purposes.iter().copied().filter(|purpose| !known.retained.contains(purpose)).collect();
    if !for_good.is_empty() || known.purposes.is_empty() {
        let which = match for_good.as_slice() {
            [] => "no purpose is declared".to_owned(),
            [one] => format!("{one} has none"),
            several => format!("{} have none", several.join(", ")),
        };
        reader.at(node, path, format!("people are kept until the retention of every purpose is over, and {which}"));
    }
    then
}

fn extends(reader: &mut Reader, node: &Node, path: &str) -> Option<String> {
    let text = reader.text(node, path)?;
    if template(&text).is_some() {
        return Some(text);
    }
    let mut known = TEMPLATES.map(|template| template.name).to_vec();
    known.dedup();
    match text.split_once('@').filter(|(name, _)| known.contains(name)) {
        Some((name, edition)) => {
            let editions: Vec<&str> = TEMPLATES.iter().filter(|known| known.name == name).map(|known| known.edition).collect();
            reader.at(node, path, format!("{name} has no edition {edition:?}; there is {}", editions.join(", ")));
        }
        None => {
            reader.is_known(node, path, "template", &text, known);
        }
    }
    None
}

/// Rules of a workspace, or (`known` is none) of a template.
pub fn rules(reader: &mut Reader, known: Option<&Known<'_>>, node: &Node, path: &str) -> Vec<PolicyRule> {
    let list = reader.list(node, path).unwrap_or_default();
    if list.len() > RULES_MAX {
        reader.at(node, path, format!("a policy has {RULES_MAX} rules at most, not {}", list.len()));
        return Vec::new();
    }
    list.iter().enumerate().filter_map(|(n, node)| rule(reader, known, node, &format!("{path}[{n}]"))).collect()
}

fn rule(reader: &mut Reader, known: Option<&Known<'_>>, node: &Node, path: &str) -> Option<PolicyRule> {
    let entries = reader.map(node, path)?;
    let says = ["unknown", "own_consent", "expires_after", "ask_again_after", "hours", "frequency", "age_min", "transfers"];
    reader.only(entries, path, &[&["for", "source"], says.as_slice()].concat());
    if !says.iter().any(|name| get(entries, name).is_some()) {
        reader.at(node, path, format!("a rule says something: {}", says.join(", ")));
    }
    let about = match get(entries, "for") {
        Some(node) => about(reader, known, node, &join(path, "for")),
        None => About::default(),
    };
    let words = [("refused", Meaning::Refused), ("allowed", Meaning::Allowed), ("customer", Meaning::Customer)];
    let unknown = get(entries, "unknown").and_then(|node| reader.choice(node, &join(path, "unknown"), &words));
    let own_consent =
        get(entries, "own_consent").and_then(|node| reader.flag(node, &join(path, "own_consent"))).unwrap_or_default();
    let mut of = |name: &str| get(entries, name).and_then(|node| span(reader, node, &join(path, name)));
    let (expires_after, ask_again_after) = (of("expires_after"), of("ask_again_after"));
    let hours = get(entries, "hours").and_then(|node| hours(reader, node, &join(path, "hours")));
    let frequency = get(entries, "frequency").and_then(|node| frequency(reader, node, &join(path, "frequency")));
    let age_min = get(entries, "age_min").and_then(|node| reader.integer(node, &join(path, "age_min"), 1..=99));
    let transfers = get(entries, "transfers")
        .map(|node| items(reader, node, &join(path, "transfers"), |reader, node, path| country(reader, node, path, true)));
    let source = get(entries, "source").and_then(|node| reader.text(node, &join(path, "source")));
    Some(PolicyRule {
        about,
        unknown,
        expires_after,
        ask_again_after,
        own_consent,
        hours,
        frequency,
        age_min,
        transfers,
        source,
        template: None,
    })
}

fn about(reader: &mut Reader, known: Option<&Known<'_>>, node: &Node, path: &str) -> About {
    let mut about = About::default();
    let entries = reader.map(node, path).unwrap_or_default();
    reader.only(entries, path, &["purposes", "marketing", "channels", "countries", "business", "professional", "from"]);
    if let Some(node) = get(entries, "purposes") {
        about.purposes = items(reader, node, &join(path, "purposes"), |reader, node, path| {
            reader.reference(node, path, "purpose", known.iter().flat_map(|known| known.purposes.iter().copied()))
        });
    }
    if let Some(node) = get(entries, "channels") {
        about.channels = channels(reader, node, &join(path, "channels"));
    }
    if let Some(node) = get(entries, "countries") {
        about.countries = items(reader, node, &join(path, "countries"), |reader, node, path| country(reader, node, path, true));
    }
    about.marketing = get(entries, "marketing").and_then(|node| reader.flag(node, &join(path, "marketing")));
    about.business = get(entries, "business").and_then(|node| reader.flag(node, &join(path, "business")));
    about.professional = get(entries, "professional").and_then(|node| reader.flag(node, &join(path, "professional")));
    about.from = get(entries, "from").and_then(|node| instant(reader, node, &join(path, "from")));
    about
}

fn hours(reader: &mut Reader, node: &Node, path: &str) -> Option<Hours> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["days", "between", "holidays"]);
    let mut days = 0b111_1111;
    if let Some(node) = get(entries, "days") {
        let words: Vec<(&str, u8)> = DAYS.iter().enumerate().map(|(n, day)| (*day, 1 << n)).collect();
        let listed = items(reader, node, &join(path, "days"), |reader, node, path| reader.choice(node, path, &words));
        days = listed.into_iter().fold(0, |days, day| days | day);
    }
    let mut between: Vec<(u16, u16)> = vec![(0, MINUTES_OF_A_DAY)];
    if let Some(node) = get(entries, "between") {
        let path = join(path, "between");
        between = items(reader, node, &path, clock_span);
        let apart = between.windows(2).all(|pair| pair[0].1 <= pair[1].0);
        if !apart || between.len() > BETWEEN_MAX {
            reader.at(node, &path, format!("times are in order and apart, {BETWEEN_MAX} at most"));
        }
    }
    if days == 0 || between.is_empty() {
        reader.at(node, path, "hours name a day and a time at least; to close for good, leave the channel out of the purpose");
    }
    let holidays =
        get(entries, "holidays").and_then(|node| reader.choice(node, &join(path, "holidays"), &[("FR", Calendar::France)]));
    Some(Hours { days, between, holidays })
}

/// `10:00-13:00`, in minutes after midnight.
fn clock_span(reader: &mut Reader, node: &Node, path: &str) -> Option<(u16, u16)> {
    let text = reader.text(node, path)?;
    let clock = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let number = |part: &str| (part.len() == 2).then(|| part.parse::<u16>().ok())?;
        let (hour, minute) = (number(hour)?, number(minute)?);
        let minutes = hour * 60 + minute;
        (minute < 60 && minutes <= MINUTES_OF_A_DAY).then_some(minutes)
    };
    let found =
        text.split_once('-').and_then(|(from, until)| Some((clock(from)?, clock(until)?))).filter(|(from, until)| from < until);
    if found.is_none() {
        reader.at(node, path, format!("{text:?} is no time of the day; write 10:00-13:00, and two of them across midnight"));
    }
    found
}

pub fn frequency(reader: &mut Reader, node: &Node, path: &str) -> Option<Frequency> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["max", "within"]);
    let (Some(max), Some(within)) = (get(entries, "max"), get(entries, "within")) else {
        reader.at(node, path, "a frequency is {max: 4, within: 30d}");
        return None;
    };
    // The count of contacts looks at no more.
    let max = reader.integer(max, &join(path, "max"), 1..=1_000);
    let within = span(reader, within, &join(path, "within"));
    Some(Frequency { max: max?, within: within? })
}

/// An activation uses a channel and fields that its purpose has.
pub fn activations(reader: &mut Reader, workspace: &Workspace, node: &Node) {
    for (key, node) in reader.map(node, "activations").unwrap_or_default() {
        let Some(activation) = workspace.activation(&key.text) else { continue };
        let Some(purpose) = workspace.purpose(&activation.purpose) else { continue };
        let path = join("activations", &key.text);
        let Value::Map(entries) = &node.value else { continue };
        let terms = &purpose.terms;
        if !terms.channels.is_empty() && !terms.channels.contains(&activation.channel) {
            let declared: Vec<&str> = terms.channels.iter().map(|channel| channel.as_str()).collect();
            let message = format!(
                "the purpose {} does not use the channel {}; it declares {}",
                purpose.key,
                activation.channel.as_str(),
                declared.join(", ")
            );
            reader.at(get(entries, "channel").unwrap_or(node), &join(&path, "channel"), message);
        }
        let (Some(fields), Some(Node { value: Value::Map(map), .. })) = (&terms.fields, get(entries, "map")) else { continue };
        for (field, from) in &activation.map {
            if fields.contains(from) {
                continue;
            }
            let allowed = fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("the purpose {} may not send {from}; its fields are {allowed}", purpose.key);
            reader.at(get(map, field).unwrap_or(node), &join(&join(&path, "map"), field), message);
        }
    }
}

/// Where a rule looks at countries of destinations, each in use says where it is.
pub fn destinations(reader: &mut Reader, workspace: &Workspace, node: &Node) {
    let home = workspace.settings.country.as_str();
    for (key, node) in reader.map(node, "destinations").unwrap_or_default() {
        let Some(destination) = workspace.destination(&key.text) else { continue };
        if destination.country.is_some() {
            continue;
        }
        let asked =
            workspace.activations.iter().filter(|activation| activation.destination == destination.key).any(|activation| {
                workspace.purpose(&activation.purpose).is_some_and(|purpose| {
                    let case = Case {
                        purpose,
                        channel: activation.channel,
                        country: home,
                        business: false,
                        at: crate::time::Timestamp::MAX,
                    };
                    workspace.policy.rules_for(case).any(|rule| rule.transfers.is_some())
                })
            });
        if asked {
            let path = join("destinations", &key.text);
            reader.at(node, &path, "the policy looks at transfers, so a destination says where it processes data: country: FR");
        }
    }
}
