//! What a destination gives a connector: checked against the manifest, secrets apart.

use regex::Regex;
use serde_json::{Map, Value};

use crate::manifest::{Manifest, Setting, SettingType};
use crate::problem::Fault;
use crate::template::Line;

/// How a given secret is shown.
pub const MASK: &str = "••••••";

/// Settings with which requests are rendered, and the workspace's country.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    pub(crate) values: Value,
    /// ISO 3166-1 alpha-2: of telephone numbers without country code.
    pub country: String,
}

/// What becomes of secrets in a preview.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secrets {
    /// Given ones are written out.
    Shown,
    /// Given ones are masked.
    Masked,
}

impl Settings {
    /// For sending: every secret is given, as text.
    pub fn new(manifest: &Manifest, given: Map<String, Value>, country: &str) -> Settings {
        let mut values = given;
        for (name, setting) in &manifest.settings {
            if let (false, Some(default)) = (values.contains_key(name), &setting.default) {
                values.insert(name.clone(), default.clone());
            }
        }
        Settings { values: Value::Object(values), country: country.to_owned() }
    }

    /// For a preview: `<name>` stands where a setting is missing.
    pub fn preview(manifest: &Manifest, given: Map<String, Value>, country: &str, secrets: Secrets) -> Settings {
        let mut settings = Settings::new(manifest, given, country);
        for (name, setting) in &manifest.settings {
            let given = settings.values.get(name).is_some_and(|value| !value.is_null());
            if !given && (setting.secret || setting.required) {
                settings.values[name] = format!("<{name}>").into();
            } else if given && setting.secret && secrets == Secrets::Masked {
                settings.values[name] = MASK.into();
            }
        }
        settings
    }

    /// A text of them.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_str()
    }
}

/// What does not hold in the settings of a destination. Secrets may be `{env: NAME}` or `{sealed: …}`.
pub fn check(manifest: &Manifest, given: &Map<String, Value>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, value) in given {
        match manifest.settings.get(name) {
            None => {
                let known: Vec<&str> = manifest.settings.keys().map(String::as_str).collect();
                let message = format!("{} has no such setting; it has {}", manifest.connector, known.join(", "));
                faults.push(Fault::at(name, message));
            }
            Some(setting) => faults.extend(wrong(setting, value).map(|message| Fault::at(name, message))),
        }
    }
    for (name, setting) in &manifest.settings {
        if setting.required && given.get(name).is_none_or(Value::is_null) {
            faults.push(Fault::at(name, format!("{} needs it: {}", manifest.connector, setting.label.en)));
        }
    }
    faults
}

fn wrong(setting: &Setting, value: &Value) -> Option<String> {
    if setting.secret && (value.get("env").is_some_and(Value::is_string) || value.get("sealed").is_some_and(Value::is_string)) {
        return None;
    }
    let written = match (setting.kind, value) {
        (SettingType::Boolean, Value::Bool(_)) => return None,
        (SettingType::Boolean, _) => return Some(format!("{} is not true or false", shown(setting, value))),
        (SettingType::Integer, Value::Number(number)) if number.is_i64() => number.to_string(),
        (SettingType::Integer, _) => return Some(format!("{} is not a whole number", shown(setting, value))),
        // YAML reads an account number as a number.
        (_, Value::Number(number)) => number.to_string(),
        (_, Value::String(text)) => text.clone(),
        _ => return Some(format!("{} is not a text", shown(setting, value))),
    };
    if setting.kind == SettingType::Url
        && let Some(problem) = address_problem(setting, &written)
    {
        return Some(problem);
    }
    if setting.kind == SettingType::Template
        && let Err(problem) = template(&written)
    {
        return Some(problem);
    }
    if !setting.one_of.is_empty() && !setting.one_of.contains(&written) {
        return Some(format!("{} is not one of {}", shown(setting, value), setting.one_of.join(", ")));
    }
    let test = setting.test.as_ref().and_then(|test| Regex::new(&format!("^(?:{test})$")).ok())?;
    (!test.is_match(&written)).then(|| {
        let example = setting.example.as_ref().map(|example| format!("; for example {example}")).unwrap_or_default();
        format!("{} does not look like one{example}", shown(setting, value))
    })
}

fn address_problem(setting: &Setting, written: &str) -> Option<String> {
    if setting.schemes.is_empty() {
        let is_web = written.starts_with("https://") || written.starts_with("http://");
        return (!is_web).then(|| format!("{written:?} is not a web address"));
    }
    let rest = setting.schemes.iter().find_map(|scheme| written.strip_prefix(scheme.as_str())?.strip_prefix("://"));
    let authority = rest.unwrap_or_default().split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Some("user and password do not belong in an address; they have settings of their own".into());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let port_holds = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => !host.is_empty() && port.parse::<u16>().is_ok(),
        _ => true,
    };
    let path_holds = |rest: &str| !rest.contains(|c: char| c.is_whitespace() || c.is_control() || "?#".contains(c));
    if authority.is_empty() || !authority.chars().all(plain) || !port_holds || !rest.is_some_and(path_holds) {
        let forms: Vec<String> = setting.schemes.iter().map(|scheme| format!("{scheme}://host:port")).collect();
        return Some(format!("{written:?} is not an address; write {}", forms.join(" or ")));
    }
    None
}

/// A text with holes about the person. `Err`: what does not hold.
pub(crate) fn template(written: &str) -> Result<Line, String> {
    let line = Line::parse(written)?;
    if let Some(path) = line.paths().find(|path| !ABOUT_HER.contains(&path.root()) || path.member().is_none()) {
        return Err(format!(
            "${{{path}}} is not about the person; write ${{data.FIELD}} for a field of the activation's map, ${{message.segment}} or ${{unsubscribe.url}}"
        ));
    }
    Ok(line)
}

/// What a text of a setting may look at.
const ABOUT_HER: [&str; 4] = ["data", "row", "message", "unsubscribe"];

/// A secret does not stand in a message.
fn shown(setting: &Setting, value: &Value) -> String {
    if setting.secret { "the secret".into() } else { value.to_string() }
}
