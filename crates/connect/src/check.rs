//! A connector's folder, read and checked: every fault at once, each at its place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use crate::cases::Case;
use crate::connector::{AuthLines, Body, Connector, Files, Lookup, Op, Request, Require, RowErrors, Rule, Step};
use crate::manifest::{self, Auth, Body as WrittenBody, Manifest, OpName, RemovalMode, Request as WrittenRequest, Then};
use crate::path::{Condition, Path};
use crate::problem::{Fault, Faults};
use crate::template::{Line, Seen, Template};
use crate::wire::Wire;

/// Bytes of a manifest, at most.
pub const MANIFEST_BYTES_MAX: usize = 256 * 1024;
/// People of one request, at most, whatever the manifest says: a request is held in memory.
pub const ROWS_MAX: usize = 10_000;
/// Steps of one operation, at most.
const STEPS_MAX: usize = 8;

/// Members that carry consent in the bodies of the tools we know: a literal in one of them refuses to load.
const CONSENT_NAMES: [&str; 36] = [
    "consent",
    "adUserData",
    "adPersonalization",
    "ad_user_data",
    "ad_personalization",
    "email_subscribe",
    "push_subscribe",
    "emailBlacklisted",
    "smsBlacklisted",
    "$email_marketing",
    "$sms_marketing",
    "data_processing_options",
    "gdpr_consent",
    "marketing_opt_in",
    "opt_in",
    "optin",
    "subscription_status",
    "status_if_new",
    "unsubscribed",
    "unsubscribed_from_emails",
    "HasOptedOutOfEmail",
    "tcString",
    "tcf",
    "gdpr",
    "marketing_consent",
    "customer_consent",
    "ad_storage",
    "adStorageConsent",
    "adUserDataConsent",
    "adPersonalizationConsent",
    "limited_data_use",
    "eu_consent",
    "gdpr_applies",
    "tc_string",
    "us_privacy",
    "gpp",
];

impl Connector {
    /// Reads a folder whole: manifest, README, icon and cases. All faults at once.
    pub fn load(key: &str, files: &Files) -> Result<Connector, Faults> {
        let manifest = read_manifest(files)?;
        let mut check = Check {
            faults: Vec::new(),
            settings: manifest.settings.keys().cloned().collect(),
            rows: BTreeSet::new(),
            says_how_to_stop: false,
        };
        check.rows = manifest.fields.keys().cloned().collect();
        if manifest.connector != key {
            check.at("connector", format!("{:?} stands in the folder {key:?}; they are the same", manifest.connector));
        }
        check.settings(&manifest);
        check.consent(&manifest);
        check.removal(&manifest);
        let require = check.require(&manifest);
        let ops = check.ops(&manifest);
        let auth = check.auth(&manifest);
        let outcome = check.outcome(&manifest);
        let test = manifest.test.as_ref().and_then(|test| check.request("test", test, &manifest));
        let group_by = manifest.batch.group_by.iter().enumerate().filter_map(|(n, path)| {
            let at = format!("batch.group_by[{n}]");
            Path::parse(path).map_err(|error| check.faults.push(Fault::at(at, error))).ok()
        });
        let group_by = group_by.collect();
        if !(1..=ROWS_MAX).contains(&manifest.batch.rows) {
            check.at("batch.rows", format!("a request carries 1 to {ROWS_MAX} people"));
        }
        let bytes_max = match &manifest.batch.bytes {
            None => usize::MAX,
            Some(text) => parse_bytes(text).unwrap_or_else(|| {
                check.at("batch.bytes", format!("{text:?} is not a size; write 500KB or 5MB"));
                usize::MAX
            }),
        };
        let linger = parse_duration(&manifest.batch.linger).unwrap_or_else(|| {
            check.at("batch.linger", format!("{:?} is not a duration; write 5s", manifest.batch.linger));
            Duration::ZERO
        });
        let limit = manifest.rate.limit.as_ref().and_then(|text| {
            let found = parse_rate(text);
            if found.is_none() {
                check.at("rate.limit", format!("{text:?} is not a rate; write 10/s, 250/min or 100/h"));
            }
            found
        });
        let readme = files.get("README.md").cloned().unwrap_or_default();
        for heading in ["## Français", "## English"] {
            if !readme.contains(heading) {
                check.at("README.md", format!("it says in both languages how to get the credentials; {heading:?} is missing"));
            }
        }
        let icon = files.get("icon.svg").cloned().unwrap_or_default();
        if !icon.contains("<svg") || icon.contains("<script") || icon.contains("href") {
            check.at("icon.svg", "an icon is a plain SVG, without scripts and links");
        }
        if let Some(name) = &manifest.rate.setting
            && !manifest.settings.contains_key(name)
        {
            check.at("rate.setting", format!("{name:?} is not one of the settings"));
        }
        let says_how_to_stop = check.says_how_to_stop;
        let cases = check.cases(files, &ops);
        if !check.faults.is_empty() {
            return Err(Faults(check.faults));
        }
        Ok(Connector {
            manifest,
            readme,
            icon,
            cases,
            ops,
            require,
            outcome,
            test,
            auth,
            group_by,
            bytes_max,
            linger,
            limit,
            says_how_to_stop,
        })
    }
}

fn read_manifest(files: &Files) -> Result<Manifest, Faults> {
    let one = |path: &str, message: String| Faults(vec![Fault::at(path, message)]);
    let Some(text) = files.get("connector.yaml") else {
        return Err(one("connector.yaml", "the folder has none".into()));
    };
    if text.len() > MANIFEST_BYTES_MAX {
        return Err(one("connector.yaml", format!("{} bytes; a manifest has {MANIFEST_BYTES_MAX} at most", text.len())));
    }
    let value = jumelle_model::workspace::read_yaml(text).map_err(|problems| {
        Faults(problems.0.into_iter().map(|problem| Fault::at("connector.yaml", problem.to_string())).collect())
    })?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        one(&path, error.into_inner().to_string())
    })
}

struct Check {
    faults: Vec<Fault>,
    settings: BTreeSet<String>,
    /// What templates may read as `row.NAME`.
    rows: BTreeSet<String>,
    /// A body has the link that stops such messages.
    says_how_to_stop: bool,
}

impl Check {
    fn at(&mut self, path: &str, message: impl Into<String>) {
        self.faults.push(Fault::at(path, message));
    }

    fn take<T>(&mut self, path: &str, found: Result<T, String>) -> Option<T> {
        found.map_err(|message| self.at(path, message)).ok()
    }

    fn settings(&mut self, manifest: &Manifest) {
        const TAKEN: [&str; 16] = [
            "connector",
            "url",
            "secret",
            "allow_private",
            "concurrency",
            "country",
            "transfer",
            "paused",
            "strings",
            "base_url",
            "settings",
            "map",
            "confirm_within",
            "removal",
            "retire",
            "inbound",
        ];
        for (name, setting) in &manifest.settings {
            let path = format!("settings.{name}");
            if TAKEN.contains(&name.as_str()) && !(name == "url" || name == "secret") {
                self.at(&path, "every destination has a field of this name already");
            }
            if let Some(test) = &setting.test
                && let Err(error) = Regex::new(&format!("^(?:{test})$"))
            {
                self.at(&format!("{path}.test"), format!("not a regular expression: {error}"));
            }
            let wires: Vec<_> = setting.schemes.iter().map(|scheme| Wire::of_scheme(scheme)).collect();
            let one_wire = wires.iter().all(|wire| wire.is_some() && *wire == wires[0]);
            if !one_wire || (!wires.is_empty() && setting.kind != manifest::SettingType::Url) {
                self.at(
                    &format!("{path}.schemes"),
                    "schemes are of a setting of type url, and of one wire: smtps and smtp, or postgresql",
                );
            }
            if setting.secret && setting.default.is_some() {
                self.at(&format!("{path}.default"), "a secret has no default");
            }
        }
    }

    /// Invariant: what a tool is told of consent comes from the gate; no connector says it by itself.
    fn consent(&mut self, manifest: &Manifest) {
        let consent = &manifest.consent;
        match (&consent.none, consent.fields.is_empty()) {
            (None, true) => self.at("consent", "a connector says how consent is told (fields), or why it is not (none: reason)"),
            (Some(reason), true) if reason.trim().len() < 20 => {
                self.at("consent.none", "the reason is a sentence, for the person who answers for it");
            }
            (Some(_), false) => self.at("consent.none", "fields are there, so a reason for their absence does not stand"),
            _ => {}
        }
        for (name, field) in &consent.fields {
            let states = [&field.granted, &field.basis, &field.left, &field.withdrawn, &field.erased];
            let written = states.iter().any(|state| state.is_some());
            if written != (field.gate == manifest::GateSignal::State) {
                self.at(
                    &format!("consent.fields.{name}"),
                    "gate: state says what each state is written as; other signals are sent as they are",
                );
            }
            if field.granted.is_some() && (field.granted == field.withdrawn || field.granted == field.erased) {
                self.at(&format!("consent.fields.{name}"), "a grant and a withdrawal are not written the same");
            }
        }
    }

    fn removal(&mut self, manifest: &Manifest) {
        let removal = &manifest.removal;
        if matches!(removal.mode, RemovalMode::None | RemovalMode::Expiry)
            && removal.reason.as_deref().unwrap_or_default().len() < 20
        {
            self.at("removal.reason", "a connector that cannot take a person back says why");
        }
        if removal.mode == RemovalMode::Row && !manifest.ops.contains_key(&OpName::Remove) {
            self.at("ops.remove", "removal.mode is row, so there is an operation that removes");
        }
        if removal.mode != RemovalMode::None && removal.longest_delay.as_deref().is_none_or(|text| parse_duration(text).is_none())
        {
            self.at("removal.longest_delay", "how long the tool takes to forget at most, by its own word: 24h");
        }
    }

    fn require(&mut self, manifest: &Manifest) -> Require {
        let Some(text) = &manifest.require else { return Require::Nothing };
        let inner = |prefix: &str| {
            let names = text.strip_prefix(prefix)?.strip_suffix(')')?;
            Some(names.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
        };
        let (names, any) = match (inner("any("), inner("all(")) {
            (Some(names), _) => (names, true),
            (_, Some(names)) => (names, false),
            _ => (vec![text.trim().to_owned()], false),
        };
        for name in &names {
            if !manifest.fields.contains_key(name) {
                self.at("require", format!("{name:?} is not one of the fields"));
            }
        }
        if any { Require::Any(names) } else { Require::All(names) }
    }

    fn ops(&mut self, manifest: &Manifest) -> BTreeMap<OpName, Op> {
        let mut ops = BTreeMap::new();
        for name in [OpName::Add, OpName::Update, OpName::Remove, OpName::Withdraw, OpName::Erase] {
            let stands_for = match name {
                OpName::Update => OpName::Add,
                OpName::Withdraw => OpName::Remove,
                other => other,
            };
            let Some(written) = manifest.ops.get(&name).or_else(|| manifest.ops.get(&stands_for)) else {
                match name {
                    OpName::Add => self.at("ops.add", "a connector adds people; an operation add is missing"),
                    OpName::Erase => self.at("ops.erase", "an erasure is carried on; write erase, or erase: {none: reason}"),
                    // `removal.mode` has said that there is none.
                    _ => {
                        let reason = manifest.removal.reason.clone().unwrap_or_default();
                        ops.insert(name, Op { with: Value::Null, lookup: None, steps: Vec::new(), none: Some(reason), rows: 1 });
                    }
                }
                continue;
            };
            let path = format!("ops.{}", name.as_str());
            if let Some(op) = self.op(&path, written, manifest) {
                ops.insert(name, op);
            }
        }
        ops
    }

    fn op(&mut self, path: &str, written: &manifest::Op, manifest: &Manifest) -> Option<Op> {
        let none = |reason: &String| Op {
            with: Value::Null,
            lookup: None,
            steps: Vec::new(),
            none: Some(reason.clone()),
            rows: ROWS_MAX,
        };
        if let Some(reason) = &written.none {
            if reason.trim().len() < 20 {
                self.at(&format!("{path}.none"), "the reason is a sentence that says what to do instead");
            }
            return Some(none(reason));
        }
        let mut whole = written.clone();
        if let Some(like) = written.like {
            let Some(other) = manifest.ops.get(&like).filter(|other| other.like.is_none()) else {
                self.at(
                    &format!("{path}.like"),
                    format!("there is no operation {}, or it is itself like another", like.as_str()),
                );
                return None;
            };
            if let Some(reason) = &other.none {
                return Some(none(reason));
            }
            whole = other.clone();
            whole.with.extend(written.with.clone());
            whole.lookup = written.lookup.clone().or(whole.lookup);
            whole.rows = written.rows.or(whole.rows);
            if written.request.is_some() || !written.steps.is_empty() {
                self.at(path, "like takes the other's requests; with, method, lookup and rows may differ");
            }
        }
        let mut steps = whole.steps.clone();
        steps.extend(whole.request.clone().map(|request| manifest::Step {
            request,
            save: BTreeMap::new(),
            poll: None,
            when: None,
        }));
        if let (Some(method), Some(last)) = (&written.method, steps.last_mut()) {
            last.request.method = method.clone();
        }
        if steps.is_empty() || steps.len() > STEPS_MAX {
            self.at(path, format!("an operation has a request, steps (up to {STEPS_MAX}), or none: reason"));
            return None;
        }
        let mut saved = BTreeSet::new();
        let lookup = whole.lookup.as_ref().and_then(|lookup| {
            let path = format!("{path}.lookup");
            let request = self.request(&path, &lookup.request, manifest);
            let value = self.take(&format!("{path}.value"), Path::parse(&lookup.value));
            self.rows.insert(lookup.name.clone());
            Some(Lookup { request: request?, value: value?, name: lookup.name.clone(), missing: lookup.missing })
        });
        let mut read = Vec::new();
        for (n, step) in steps.iter().enumerate() {
            let path = format!("{path}.steps[{n}]");
            let request = self.request(&path, &step.request, manifest);
            if whole.rows.unwrap_or(manifest.batch.rows) > 1
                && !manifest.batch.group_by.is_empty()
                && let Some(request) = &request
            {
                self.shared(&path, request, manifest);
            }
            let mut save = Vec::new();
            for (name, place) in &step.save {
                saved.insert(name.clone());
                save.extend(self.take(&format!("{path}.save.{name}"), Path::parse(place)).map(|place| (name.clone(), place)));
            }
            let poll = step.poll.as_ref().and_then(|poll| {
                let until = self.take(&format!("{path}.poll.until"), Condition::parse(&poll.until))?;
                let every = parse_duration(&poll.every).ok_or_else(|| format!("{:?} is not a duration", poll.every));
                Some((until, self.take(&format!("{path}.poll.every"), every)?, poll.times.clamp(1, 1_000)))
            });
            let when = step.when.as_deref().map(|text| match text.strip_prefix("not ") {
                Some(field) => (field.trim().to_owned(), false),
                None => (text.trim().to_owned(), true),
            });
            if let Some((field, _)) = &when
                && (!self.rows.contains(field) || whole.rows.unwrap_or(manifest.batch.rows) != 1)
            {
                self.at(&format!("{path}.when"), "a field or what a lookup found, and one person a request: rows: 1");
            }
            read.push(Step { request: request?, save, poll, when });
        }
        let with = Value::Object(whole.with.into_iter().collect());
        let rows = whole.rows.unwrap_or(manifest.batch.rows);
        Some(Op { with, lookup, steps: read, none: None, rows })
    }

    fn request(&mut self, path: &str, written: &WrittenRequest, manifest: &Manifest) -> Option<Request> {
        let at = format!("{path}.request.url");
        let url = self.take(&at, Line::parse(&written.url))?;
        let methods = wire_of(&url, manifest).methods();
        if !methods.contains(&written.method.as_str()) {
            self.at(&format!("{path}.request.method"), format!("{:?} is not one of {}", written.method, methods.join(", ")));
        }
        self.host(&at, &url, manifest);
        url.paths().for_each(|found| self.known(&at, found, manifest));
        let in_url = written.url.split_once('?').map_or("", |(_, query)| query).split('&');
        for (name, value) in in_url.filter_map(|parameter| parameter.split_once('=')) {
            self.consent_line(&format!("{at}.{name}"), name, value, manifest);
        }
        let mut headers = Vec::new();
        for (name, value) in &written.headers {
            let at = format!("{path}.request.headers.{name}");
            let line = self.take(&at, Line::parse(value))?;
            line.paths().for_each(|found| self.known(&at, found, manifest));
            self.consent_line(&at, name, value, manifest);
            headers.push((name.to_ascii_lowercase(), line));
        }
        let parameters = |check: &mut Check, list: &[manifest::Parameter], at: &str| {
            let read = list.iter().map(|one| {
                let at = format!("{at}.{}", one.name);
                let template = check.template(&at, &one.value, manifest)?;
                check.consent_member(&at, &one.name, &template, manifest);
                Some((one.name.clone(), template))
            });
            read.collect::<Option<Vec<_>>>()
        };
        let query = parameters(self, &written.query, &format!("{path}.request.query"))?;
        let at = format!("{path}.request.body");
        let body = match &written.body {
            None => None,
            Some(WrittenBody::Json(value)) => Some(Body::Json(self.template(&at, value, manifest)?)),
            Some(WrittenBody::Form(value)) => Some(Body::Form(self.template(&at, value, manifest)?)),
            Some(WrittenBody::Csv(columns)) => Some(Body::Csv(parameters(self, columns, &at)?)),
            Some(WrittenBody::Lines(value)) => Some(Body::Lines(self.template(&at, value, manifest)?)),
            Some(WrittenBody::Jsonl(value)) => Some(Body::Jsonl(self.template(&at, value, manifest)?)),
            Some(WrittenBody::Xml(value)) => Some(Body::Xml(self.template(&at, value, manifest)?)),
        };
        Some(Request { method: written.method.clone(), url, headers, query, body })
    }

    fn template(&mut self, path: &str, written: &Value, manifest: &Manifest) -> Option<Template> {
        let template = self.take(path, Template::parse(written))?;
        let mut paths = Vec::new();
        let (mut open, mut filled) = (Vec::new(), Vec::new());
        let mut members = Vec::new();
        template.visit(&mut |seen| match seen {
            Seen::Path(found) => paths.push(found.clone()),
            Seen::Fill(found) => filled.push(found.clone()),
            Seen::Member(name, value) => members.push((name.to_owned(), value.clone())),
            Seen::Named(prefix) => {
                let own = manifest.consent.names.iter().map(String::as_str);
                if prefix.is_empty() || CONSENT_NAMES.into_iter().chain(own).any(|name| name.starts_with(prefix)) {
                    open.push(prefix.to_owned());
                }
            }
        });
        for prefix in open {
            self.at(
                &format!("{path}.$entry"),
                format!("{prefix:?}: a name with holes begins with a text that no consent field begins with, such as in_"),
            );
        }
        paths.iter().chain(&filled).for_each(|found| self.known(path, found, manifest));
        self.says_how_to_stop |= paths.iter().any(|found| found.root() == "unsubscribe");
        for found in filled {
            let setting = manifest.settings.get(found.member().unwrap_or_default());
            if setting.is_some_and(|setting| setting.kind != manifest::SettingType::Template) {
                self.at(path, format!("{found} is not of type template, so it has no holes to fill"));
            }
        }
        for (name, value) in members {
            self.consent_member(&format!("{path}.{name}"), &name, &value, manifest);
        }
        Some(template)
    }

    /// A member, parameter or column of a name that carries consent says what the gate says.
    fn consent_member(&mut self, at: &str, name: &str, value: &Template, manifest: &Manifest) {
        let is_known = CONSENT_NAMES.contains(&name);
        if !is_known && !manifest.consent.names.iter().any(|other| other == name) {
            return;
        }
        // A name that a manifest alone calls a consent may be another thing elsewhere in it (a tag's status).
        let is_the_gates = |path: &Path| path.root() == "consent" || path.root() == "op" && !is_known;
        if value.has_value(&|path| path.is_none()) {
            self.at(
                at,
                "a consent field is never a literal: map it from the gate in consent.fields, and write {$: consent.NAME}",
            );
        }
        if value.has_value(&|path| path.is_some_and(|path| !is_the_gates(path))) {
            self.at(
                at,
                "a consent field is never a setting or what a person or message says: only the gate knows, {$: consent.NAME}",
            );
        }
    }

    /// The same of a header or a parameter in an address.
    fn consent_line(&mut self, at: &str, name: &str, value: &str, manifest: &Manifest) {
        if let Ok(line) = Line::parse(value) {
            self.consent_member(at, name, &Template::Text(line), manifest);
        }
    }

    /// What stands once in a request about several people is the first one's: they are grouped by it.
    fn shared(&mut self, path: &str, request: &Request, manifest: &Manifest) {
        let mut found = BTreeSet::new();
        let mut see = |path: &Path| {
            if ["consent", "row", "data", "attributes", "message"].contains(&path.root()) {
                found.insert(path.to_string());
            }
        };
        request.url.paths().for_each(&mut see);
        request.headers.iter().for_each(|(_, line)| line.paths().for_each(&mut see));
        request.query.iter().for_each(|(_, template)| template.shared_paths(&mut see));
        match &request.body {
            Some(Body::Json(template) | Body::Form(template) | Body::Xml(template)) => template.shared_paths(&mut see),
            // A line per person.
            Some(Body::Csv(_) | Body::Lines(_) | Body::Jsonl(_)) | None => {}
        }
        found.retain(|path| !manifest.batch.group_by.contains(path));
        if !found.is_empty() {
            let found: Vec<String> = found.into_iter().collect();
            let message =
                format!("{} would be the first one's for all people of a request: add it to batch.group_by", found.join(", "));
            self.at(path, message);
        }
    }

    /// A path names something that is there.
    fn known(&mut self, at: &str, path: &Path, manifest: &Manifest) {
        let member = path.member().unwrap_or_default();
        let holds = match path.root() {
            "settings" => self.settings.contains(member),
            "row" => self.rows.contains(member),
            "consent" => manifest.consent.fields.contains_key(member),
            "message" => ["id", "type", "at", "profile", "activation", "segment"].contains(&member),
            "data" | "attributes" | "unsubscribe" | "op" | "step" | "whole" | "" => true,
            "now" => ["unix", "unix_ms", "iso", "day"].contains(&member),
            "count" => true,
            _ => false,
        };
        if !holds {
            let message = format!(
                "{}.{member} is nothing that is known: settings, row (the fields), consent (its fields), message, data, attributes, op, step, now",
                path.root()
            );
            self.at(at, message);
        }
    }

    /// Invariant: a setting cannot redirect a token. A host is written out, or a setting that is chosen from a list or whose test
    /// lets no dot, slash or colon through. Only who runs the tool himself gives a whole address, of type url.
    fn host(&mut self, at: &str, url: &Line, manifest: &Manifest) {
        let (host, holes) = url.host();
        let whole = holes.first().and_then(|path| manifest.settings.get(path.member().unwrap_or_default()));
        if host.starts_with('*') && holes.len() == 1 && whole.is_some_and(|setting| setting.kind == manifest::SettingType::Url) {
            return;
        }
        if !host.starts_with("https://") {
            self.at(at, "an address begins with https:// and its host, or with a setting of type url");
        }
        for path in holes {
            let setting = (path.root() == "settings").then(|| manifest.settings.get(path.member().unwrap_or_default())).flatten();
            let narrow = setting.is_some_and(|setting| {
                let test = setting.test.as_ref().and_then(|test| Regex::new(&format!("^(?:{test})$")).ok());
                let lets = |text: &str| test.as_ref().is_none_or(|test| test.is_match(text));
                !setting.one_of.is_empty() || !["a.b", "a/b", "a:b", "a@b", "a#b", "a?b", "1.1"].into_iter().any(lets)
            });
            if !narrow {
                self.at(at, "a setting in a host has one_of, or a test that lets no dot, slash, colon or @ through");
            }
        }
    }

    fn auth(&mut self, manifest: &Manifest) -> AuthLines {
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, text: &str| lines.push((name.to_owned(), text.to_owned()));
        match &manifest.auth {
            Auth::None { .. } => {}
            Auth::Bearer { token } => add("token", token),
            Auth::Basic { user, password } => {
                add("user", user);
                add("password", password);
            }
            Auth::Header { headers } | Auth::Query { parameters: headers } => {
                headers.iter().for_each(|(name, text)| add(name, text))
            }
            Auth::Oauth2Client { token_url, client_id, client_secret, extra, .. } => {
                add("token_url", token_url);
                add("client_id", client_id);
                add("client_secret", client_secret);
                extra.iter().for_each(|(name, text)| add(&format!("extra.{name}"), text));
            }
            Auth::Oauth2Refresh { token_url, client_id, client_secret, refresh_token, extra, .. } => {
                add("token_url", token_url);
                add("client_id", client_id);
                add("client_secret", client_secret);
                add("refresh_token", refresh_token);
                extra.iter().for_each(|(name, text)| add(&format!("extra.{name}"), text));
            }
            Auth::Oauth2Jwt { token_url, issuer, subject, audience, private_key, .. } => {
                add("token_url", token_url);
                add("issuer", issuer);
                add("subject", subject.as_deref().unwrap_or_default());
                add("audience", audience.as_deref().unwrap_or(token_url));
                add("private_key", private_key);
            }
            Auth::TokenForKey { token_url, headers, body, .. } => {
                add("token_url", token_url);
                headers.iter().for_each(|(name, text)| add(&format!("header.{name}"), text));
                body.iter().for_each(|(name, text)| add(&format!("body.{name}"), text));
            }
            Auth::Oauth1 { consumer_key, consumer_secret, token, token_secret } => {
                add("consumer_key", consumer_key);
                add("consumer_secret", consumer_secret);
                add("token", token);
                add("token_secret", token_secret);
            }
            Auth::Hmac { secret, headers, .. } => {
                add("secret", secret);
                headers.iter().for_each(|(name, text)| add(&format!("header.{name}"), text));
            }
            Auth::StandardWebhooks { secret } => add("secret", secret),
            Auth::Wsse { user, secret } => {
                add("user", user);
                add("secret", secret);
            }
            Auth::Ovh { application_key, application_secret, consumer_key } => {
                add("application_key", application_key);
                add("application_secret", application_secret);
                add("consumer_key", consumer_key);
            }
        }
        if let Auth::TokenForKey { method, token, holds, .. } = &manifest.auth {
            if !["GET", "POST"].contains(&method.as_str()) {
                self.at("auth.method", format!("{method:?}: a token is asked for with GET or POST"));
            }
            self.take("auth.token", Path::parse(token));
            if parse_duration(holds).is_none() {
                self.at("auth.holds", format!("{holds:?} is not a duration; write 24h"));
            }
        }
        let mut read = AuthLines::new();
        for (name, text) in lines {
            let at = format!("auth.{name}");
            let Some(line) = self.take(&at, Line::parse(&text)) else { continue };
            for path in line.paths() {
                self.known(&at, path, manifest);
                if !["settings", "now"].contains(&path.root()) {
                    self.at(&at, "a key is nobody's: here are settings and now");
                }
            }
            if name == "token_url" {
                self.host(&at, &line, manifest);
            }
            read.insert(name, line);
        }
        read
    }

    fn outcome(&mut self, manifest: &Manifest) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (n, written) in manifest.outcome.iter().enumerate() {
            let path = format!("outcome[{n}]");
            let Some(when) = self.take(&format!("{path}.when"), Condition::parse(&written.when)) else { continue };
            let rows = written.rows.as_ref().and_then(|rows| self.row_errors(&format!("{path}.rows"), rows, manifest));
            if written.then == Then::Row && written.rows.is_none() {
                self.at(&path, "then: row says which people the answer names: rows");
            }
            let message = written.message.as_ref().and_then(|place| self.take(&format!("{path}.message"), Path::parse(place)));
            rules.push(Rule { when, then: written.then, rows, message });
        }
        rules
    }

    fn row_errors(&mut self, path: &str, written: &manifest::RowErrors, manifest: &Manifest) -> Option<RowErrors> {
        let errors = self.take(&format!("{path}.errors"), Path::parse(&written.errors))?;
        let mut place = |name: &str, written: &Option<String>| {
            written.as_ref().and_then(|text| self.take(&format!("{path}.{name}"), Path::parse(text)))
        };
        let (index, message, key) =
            (place("index", &written.index), place("message", &written.message), place("key", &written.key));
        let only = place("only", &written.only).map(|only| (only, written.is.clone()));
        let index_regex = match &written.index_regex {
            None => None,
            Some(text) => self.take(&format!("{path}.index_regex"), Regex::new(text).map_err(|error| error.to_string())),
        };
        let ways = usize::from(index.is_some()) + usize::from(written.by_place) + usize::from(key.is_some());
        if ways != 1 {
            self.at(path, "an error finds its person by index, by_place, or key and field: one of them");
        }
        let key = match (key, &written.field) {
            (Some(key), Some(field)) if manifest.fields.contains_key(field) => Some((key, field.clone())),
            (Some(_), _) => {
                self.at(path, "key has a field beside it: one of the fields");
                None
            }
            _ => None,
        };
        Some(RowErrors {
            errors,
            only,
            index,
            first: written.first,
            index_regex,
            by_place: written.by_place,
            key,
            message,
            retry: written.retry.iter().map(|text| text.to_lowercase()).collect(),
        })
    }

    fn cases(&mut self, files: &Files, ops: &BTreeMap<OpName, Op>) -> Vec<(String, Case)> {
        let mut cases = Vec::new();
        for (name, text) in files.iter().filter(|(name, _)| name.starts_with("cases/")) {
            match Case::read_all(text) {
                Ok(found) => cases.extend(found.into_iter().map(|case| (name.clone(), case))),
                Err(error) => self.at(name, error),
            }
        }
        // Some tools answer one person at a time, or take nobody back: what there is not, needs no case.
        let partial = ops.get(&OpName::Add).is_some_and(|op| op.rows > 1);
        let sends = |op| ops.get(&op).is_some_and(|op: &Op| op.none.is_none());
        let wanted = [
            ("success", true),
            ("partial", partial),
            ("rate_limit", true),
            ("removal", sends(OpName::Remove)),
            ("erase", sends(OpName::Erase)),
        ];
        for (shows, needed) in wanted {
            if needed && !cases.iter().any(|(_, case)| case.shows == shows) {
                self.at("cases", format!("no case shows {shows}; each connector shows success, partial, rate_limit, removal and erase, where it has them"));
            }
        }
        cases
    }
}

/// How a request travels: as the setting says that is its address, else as its address begins.
fn wire_of(url: &Line, manifest: &Manifest) -> Wire {
    let setting = url.paths().next().filter(|_| url.prefix().is_empty()).and_then(|path| manifest.settings.get(path.member()?));
    let scheme = setting.and_then(|setting| setting.schemes.first());
    scheme.and_then(|scheme| Wire::of_scheme(scheme)).or_else(|| Wire::of(url.prefix())).unwrap_or(Wire::Http)
}

/// `5s`, `30d`, and `0s`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0s" {
        return Some(Duration::ZERO);
    }
    let span = jumelle_model::time::Span::parse(text)?;
    Some(Duration::from_micros(u64::try_from(span.0).ok()?))
}

fn parse_bytes(text: &str) -> Option<usize> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: usize = number.parse().ok()?;
    match unit {
        "B" => Some(number),
        "KB" => number.checked_mul(1_000),
        "MB" => number.checked_mul(1_000_000),
        _ => None,
    }
}

/// `10/s`, `250/min`, `100/h`, `1000/d`.
pub(crate) fn parse_rate(text: &str) -> Option<(u32, Duration)> {
    let (number, unit) = text.split_once('/')?;
    let number: u32 = number.parse().ok().filter(|&n| n > 0)?;
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some((number, Duration::from_secs(seconds)))
}
