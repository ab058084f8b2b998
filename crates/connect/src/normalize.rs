//! Named normalisers and hashes: a closed set, each with the rule that the partner publishes.
//!
//! A value that is nothing after normalisation drops its cell, never the batch. Whether a value is hashed already is declared by
//! the manifest (`hashed_from`) and checked; it is never guessed from what the value looks like.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

/// How a value is written before it is hashed or sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalizer {
    /// White space around it out; the rest as it is. External ids, first-party ids.
    Trim,
    /// `trim`, lower case. Mobile advertising ids, user names.
    Lower,
    /// `trim`, upper case.
    Upper,
    /// `trim`, lower case, one `@`. Meta, TikTok, Snapchat, Pinterest, LinkedIn, Criteo, Microsoft, Brevo, Mailchimp and most others:
    /// "remove leading and trailing spaces, convert to lower case".
    Email,
    /// Google: `email`, inner spaces out; for gmail.com and googlemail.com the dots of the local part out, a `+tag` kept
    /// (`googleads/data-manager-python`, `UserDataFormatter.format_email_address`).
    EmailGoogle,
    /// Unified ID 2.0 (The Trade Desk): `email`; for gmail.com the dots and what follows `+` out
    /// (unifiedid.com/docs/getting-started/gs-normalization-encoding).
    EmailUid2,
    /// `+33612345678`. A number without country code is one of the workspace's country.
    E164,
    /// `33612345678`: E.164 without the plus. Meta, Snapchat.
    E164Digits,
    /// `612345678`: the national significant number, without country code. LiveRamp.
    NationalDigits,
    /// Google: trim, lower case, titles out (`UserDataFormatter.format_given_name`).
    GivenNameGoogle,
    /// Google: trim, lower case, generation and degree suffixes out (`UserDataFormatter.format_family_name`).
    FamilyNameGoogle,
    /// Meta, Snapchat, TikTok: lower case, no punctuation, letters of every alphabet kept.
    NameMeta,
    /// Meta: lower case letters only; no spaces, digits or punctuation.
    CityMeta,
    /// Meta: lower case, no spaces, no dashes.
    PostcodeMeta,
    /// Spaces around it out, inner ones kept, upper case (`75002`, `SW1A 1AA`). Google sends it clear.
    PostcodeGoogle,
    /// ISO 3166-1 alpha-2 in lower case.
    CountryLower,
    /// ISO 3166-1 alpha-2 in upper case.
    CountryUpper,
    /// `2001-12-31`, from ISO dates and times, `20011231` and `31/12/2001` (day first).
    DateIso,
    /// `20011231`.
    DateCompact,
    /// `m` or `f`, from m, f, male, female, homme, femme, h.
    GenderMeta,
    /// Digits only.
    Digits,
}

/// How a normalised value is made unreadable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hash {
    /// SHA-256, lower-case hexadecimal.
    Sha256Hex,
    /// SHA-256, base64 (The Trade Desk).
    Sha256Base64,
    /// SHA-512, lower-case hexadecimal (LinkedIn).
    Sha512Hex,
    /// MD5, lower-case hexadecimal (Mailchimp's subscriber hash).
    Md5Hex,
    /// SHA-1, lower-case hexadecimal (LiveRamp telephones).
    Sha1Hex,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Hash {
    /// Of a normalised value.
    pub fn of(self, text: &str) -> String {
        match self {
            Hash::Sha256Hex => hex(&Sha256::digest(text)),
            Hash::Sha256Base64 => STANDARD.encode(Sha256::digest(text)),
            Hash::Sha512Hex => hex(&Sha512::digest(text)),
            Hash::Md5Hex => hex(&Md5::digest(text)),
            Hash::Sha1Hex => hex(&Sha1::digest(text)),
        }
    }

    /// Reads a value that is hashed already. `None`: it is not one.
    pub fn read(self, text: &str) -> Option<String> {
        let text = text.trim();
        let digits = match self {
            Hash::Sha256Hex => 64,
            Hash::Sha512Hex => 128,
            Hash::Md5Hex => 32,
            Hash::Sha1Hex => 40,
            Hash::Sha256Base64 => {
                // What the house hashes is hexadecimal; a partner that wants base64 gets the same bytes.
                let bytes = Hash::Sha256Hex.read(text)?;
                let pairs = bytes.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
                let bytes: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
                return Some(STANDARD.encode(bytes?));
            }
        };
        let lower = text.to_ascii_lowercase();
        (lower.len() == digits && lower.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(lower)
    }
}

impl Normalizer {
    /// The written form, or `None` where nothing usable is left. `country`: ISO 3166-1 alpha-2 of the workspace.
    pub fn apply(self, raw: &str, country: &str) -> Option<String> {
        let text = raw.trim();
        let found = match self {
            Normalizer::Trim => text.to_owned(),
            Normalizer::Lower => text.to_lowercase(),
            Normalizer::Upper => text.to_uppercase(),
            Normalizer::Email => email(text)?,
            Normalizer::EmailGoogle => email_google(text)?,
            Normalizer::EmailUid2 => email_uid2(text)?,
            Normalizer::E164 => phone(text, country)?,
            Normalizer::E164Digits => phone(text, country)?.trim_start_matches('+').to_owned(),
            Normalizer::NationalDigits => national(text, country)?,
            Normalizer::GivenNameGoogle => given_name_google(text),
            Normalizer::FamilyNameGoogle => family_name_google(text),
            Normalizer::NameMeta => text.to_lowercase().chars().filter(|c| !is_punctuation(*c)).collect::<String>().trim().into(),
            Normalizer::CityMeta => text.to_lowercase().chars().filter(|c| c.is_alphabetic()).collect(),
            Normalizer::PostcodeMeta => text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect(),
            Normalizer::PostcodeGoogle => text.to_uppercase(),
            Normalizer::CountryLower => alpha2(text)?.to_ascii_lowercase(),
            Normalizer::CountryUpper => alpha2(text)?.to_ascii_uppercase(),
            Normalizer::DateIso => date(text).map(|(y, m, d)| format!("{y:04}-{m:02}-{d:02}"))?,
            Normalizer::DateCompact => date(text).map(|(y, m, d)| format!("{y:04}{m:02}{d:02}"))?,
            Normalizer::GenderMeta => match text.to_lowercase().as_str() {
                "m" | "male" | "h" | "homme" => "m".into(),
                "f" | "female" | "femme" => "f".into(),
                _ => return None,
            },
            Normalizer::Digits => text.chars().filter(char::is_ascii_digit).collect(),
        };
        (!found.is_empty()).then_some(found)
    }
}

fn email(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let (local, domain) = lower.split_once('@')?;
    let holds = !local.is_empty() && domain.contains('.') && !domain.contains('@') && !lower.contains(char::is_whitespace);
    holds.then_some(lower)
}

fn email_google(text: &str) -> Option<String> {
    let lower = email(&text.chars().filter(|c| !c.is_whitespace()).collect::<String>())?;
    let (local, domain) = lower.split_once('@')?;
    match domain {
        "gmail.com" | "googlemail.com" => Some(format!("{}@{domain}", local.replace('.', ""))),
        _ => Some(lower),
    }
}

fn email_uid2(text: &str) -> Option<String> {
    let lower = email(text)?;
    let (local, domain) = lower.split_once('@')?;
    if domain != "gmail.com" {
        return Some(lower);
    }
    let local = local.split('+').next().unwrap_or_default().replace('.', "");
    (!local.is_empty()).then(|| format!("{local}@{domain}"))
}

fn parsed(text: &str, country: &str) -> Option<phonenumber::PhoneNumber> {
    let id: Option<phonenumber::country::Id> = country.parse().ok();
    let international = text.strip_prefix("00").map(|rest| format!("+{rest}"));
    let number = phonenumber::parse(id, international.as_deref().unwrap_or(text)).ok()?;
    phonenumber::is_valid(&number).then_some(number)
}

fn phone(text: &str, country: &str) -> Option<String> {
    Some(parsed(text, country)?.format().mode(phonenumber::Mode::E164).to_string())
}

fn national(text: &str, country: &str) -> Option<String> {
    Some(parsed(text, country)?.national().value().to_string())
}

fn given_name_google(text: &str) -> String {
    let lower = text.to_lowercase();
    let bare = ["mrs.", "mr.", "ms.", "dr."].iter().find_map(|title| lower.strip_prefix(title));
    bare.unwrap_or(&lower).trim().to_owned()
}

fn family_name_google(text: &str) -> String {
    const SUFFIXES: [&str; 16] =
        ["jr.", "sr.", "2nd", "3rd", "ii", "iii", "iv", "v", "vi", "cpa", "dc", "dds", "vm", "jd", "md", "phd"];
    let mut name = text.to_lowercase();
    while let Some((before, last)) = name.rsplit_once([' ', ',']) {
        if !SUFFIXES.contains(&last) || before.trim().is_empty() {
            break;
        }
        name = before.trim_end_matches([' ', ',']).to_owned();
    }
    name.trim().to_owned()
}

fn is_punctuation(c: char) -> bool {
    !c.is_alphanumeric() && !c.is_whitespace()
}

fn alpha2(text: &str) -> Option<&str> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic())).then_some(text)
}

fn date(text: &str) -> Option<(u16, u8, u8)> {
    let day = text.split(['T', ' ']).next()?;
    let (year, month, day) = if let [d, m, y] = day.split('/').collect::<Vec<_>>()[..] {
        (y, m, d)
    } else if let [y, m, d] = day.split('-').collect::<Vec<_>>()[..] {
        (y, m, d)
    } else if day.len() == 8 && day.is_ascii() {
        (&day[..4], &day[4..6], &day[6..])
    } else {
        return None;
    };
    let (year, month, day): (u16, u8, u8) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let days = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    ((1850..=2200).contains(&year) && (1..=12).contains(&month) && (1..=days).contains(&day)).then_some((year, month, day))
}
