//! The sections of the United States: `usnat` and one for each state.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::Malformed;
use super::bits::{Reader, Writer};

/// What may follow the core of a section.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// A sub-section with Global Privacy Control.
    Gpc,
    /// A sub-section with the consents for sensitive data.
    Sensitive,
    Nothing,
}

/// A section's core after its version: fields of two bits each, `NAME*N` is a list of N.
struct Layout {
    id: u16,
    name: &'static str,
    after: After,
    fields: &'static str,
}

const fn layout(id: u16, name: &'static str, after: After, fields: &'static str) -> Layout {
    Layout { id, name, after, fields }
}

/// `usnat` as its version 1 had it: 12 kinds of sensitive data, 2 of children.
const NATIONAL_1: &str = "SharingNotice SaleOptOutNotice SharingOptOutNotice TargetedAdvertisingOptOutNotice \
     SensitiveDataProcessingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut TargetedAdvertisingOptOut \
     SensitiveDataProcessing*12 KnownChildSensitiveDataConsents*2 PersonalDataConsents MspaCoveredTransaction \
     MspaOptOutOptionMode MspaServiceProviderMode";

/// From the section specifications of the Global Privacy Platform (December 2025), field names as there.
const LAYOUTS: [Layout; 21] = [
    layout(
        7,
        "usnat",
        After::Gpc,
        "SharingNotice SaleOptOutNotice SharingOptOutNotice TargetedAdvertisingOptOutNotice \
         SensitiveDataProcessingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut \
         TargetedAdvertisingOptOut SensitiveDataProcessing*16 KnownChildSensitiveDataConsents*3 PersonalDataConsents \
         MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        8,
        "usca",
        After::Gpc,
        "SaleOptOutNotice SharingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut \
         SensitiveDataProcessing*9 KnownChildSensitiveDataConsents*2 PersonalDataConsents MspaCoveredTransaction \
         MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        9,
        "usva",
        After::Nothing,
        "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*8 KnownChildSensitiveDataConsents MspaCoveredTransaction MspaOptOutOptionMode \
         MspaServiceProviderMode",
    ),
    layout(
        10,
        "usco",
        After::Gpc,
        "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*7 KnownChildSensitiveDataConsents MspaCoveredTransaction MspaOptOutOptionMode \
         MspaServiceProviderMode",
    ),
    layout(
        11,
        "usut",
        After::Nothing,
        "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SensitiveDataProcessingOptOutNotice SaleOptOut \
         TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents MspaCoveredTransaction \
         MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        12,
        "usct",
        After::Gpc,
        "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*8 KnownChildSensitiveDataConsents*3 MspaCoveredTransaction MspaOptOutOptionMode \
         MspaServiceProviderMode",
    ),
    layout(
        13,
        "usfl",
        After::Nothing,
        "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*8 KnownChildSensitiveDataConsents*3 AdditionalDataProcessingConsent \
         MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        14,
        "usmt",
        After::Gpc,
        "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*8 KnownChildSensitiveDataConsents*3 AdditionalDataProcessingConsent \
         MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        15,
        "usor",
        After::Gpc,
        "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*11 KnownChildSensitiveDataConsents*3 AdditionalDataProcessingConsent \
         MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        16,
        "ustx",
        After::Gpc,
        "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*8 KnownChildSensitiveDataConsents AdditionalDataProcessingConsent \
         MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        17,
        "usde",
        After::Gpc,
        "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*9 KnownChildSensitiveDataConsents*5 AdditionalDataProcessingConsent \
         MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        18,
        "usia",
        After::Gpc,
        "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SensitiveDataOptOutNotice SaleOptOut \
         TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents MspaCoveredTransaction \
         MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        19,
        "usne",
        After::Gpc,
        "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*8 KnownChildSensitiveDataConsents AdditionalDataProcessingConsent \
         MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        20,
        "usnh",
        After::Gpc,
        "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*8 KnownChildSensitiveDataConsents*3 AdditionalDataProcessingConsent \
         MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        21,
        "usnj",
        After::Gpc,
        "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*10 KnownChildSensitiveDataConsents*5 AdditionalDataProcessingConsent \
         MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        22,
        "ustn",
        After::Gpc,
        "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*8 KnownChildSensitiveDataConsents AdditionalDataProcessingConsent \
         MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        23,
        "usmn",
        After::Gpc,
        "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut \
         SensitiveDataProcessing*8 KnownChildSensitiveDataConsents AdditionalDataProcessingConsent \
         MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
    ),
    layout(
        24,
        "usmd",
        After::Gpc,
        "MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
         TargetedAdvertisingOptOut AdditionalDataProcessingConsent",
    ),
    layout(
        25,
        "usin",
        After::Sensitive,
        "MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
         TargetedAdvertisingOptOut KnownChildSensitiveDataConsents AdditionalDataProcessingConsent",
    ),
    layout(
        26,
        "usky",
        After::Sensitive,
        "MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
         TargetedAdvertisingOptOut KnownChildSensitiveDataConsents AdditionalDataProcessingConsent",
    ),
    layout(
        27,
        "usri",
        After::Sensitive,
        "MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
         TargetedAdvertisingOptOut KnownChildSensitiveDataConsents AdditionalDataProcessingConsent",
    ),
];

/// What a field says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// 0 not applicable; 1 opted out (`…OptOut`), no consent (sensitive data), or notice was given (`…Notice`); 2 the contrary.
    One(u8),
    /// One for each kind of data.
    List(Vec<u8>),
}

/// One section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsSection {
    /// `usnat`, `usca` …
    pub name: &'static str,
    /// Its id in the header.
    pub id: u16,
    /// Of the section's specification.
    pub version: u8,
    /// In the order of the specification; those of a sub-section for sensitive data last.
    pub fields: Vec<(&'static str, Value)>,
    /// Global Privacy Control; `None`: the sub-section is not there.
    pub gpc: Option<bool>,
}

impl UsSection {
    /// Whether an id is one of these sections'.
    pub(super) fn is_one(id: u16) -> bool {
        LAYOUTS.iter().any(|layout| layout.id == id)
    }

    /// Reads a section by its id.
    pub(super) fn decode(id: u16, text: &str) -> Result<UsSection, Malformed> {
        let Some(layout) = LAYOUTS.iter().find(|layout| layout.id == id) else {
            return Err(Malformed::new("section", format!("{id} is none of the United States")));
        };
        let mut parts = text.split('.');
        let mut bits = Reader::new(layout.name, parts.next().unwrap_or_default())?;
        let version = bits.short("Version", 6)? as u8;
        let Some(fields) = fields_of(layout, version) else {
            return Err(bits.malformed("Version", format!("is {version}, which is not known")));
        };
        let mut section = UsSection { name: layout.name, id, version, fields: read_fields(&mut bits, fields)?, gpc: None };
        bits.end()?;
        if let Some(more) = parts.next() {
            let mut bits = Reader::new(layout.name, more)?;
            match layout.after {
                After::Gpc => {
                    let kind = bits.short("the sub-section's type", 2)?;
                    if kind != 1 {
                        return Err(bits.malformed("the sub-section's type", format!("is {kind}; 1 (GPC) is known")));
                    }
                    section.gpc = Some(bits.flag("Gpc")?);
                }
                After::Sensitive => section.fields.extend(read_fields(&mut bits, SENSITIVE)?),
                After::Nothing => return Err(Malformed::new(layout.name, "has a sub-section; none is known")),
            }
            bits.end()?;
        }
        if parts.next().is_some() {
            return Err(Malformed::new(layout.name, "has more than one sub-section"));
        }
        Ok(section)
    }

    /// Writes it again.
    pub(super) fn encode(&self) -> String {
        let mut core = Writer::default();
        core.number(self.version.into(), 6);
        let Some(layout) = LAYOUTS.iter().find(|layout| layout.id == self.id) else { return String::new() };
        let mut after = Writer::default();
        let mut has_after = self.gpc.is_some();
        if let Some(gpc) = self.gpc {
            after.number(1, 2);
            after.number(gpc.into(), 1);
        }
        for (name, value) in &self.fields {
            let is_after = layout.after == After::Sensitive && SENSITIVE.starts_with(name);
            has_after |= is_after;
            let writer = if is_after { &mut after } else { &mut core };
            match value {
                Value::One(value) => writer.number((*value).into(), 2),
                Value::List(values) => values.iter().for_each(|value| writer.number((*value).into(), 2)),
            }
        }
        let mut text = core.text();
        if has_after {
            text.push('.');
            text.push_str(&after.text());
        }
        text
    }

    /// The values of a field; none where the section does not have it.
    pub fn values(&self, field: &str) -> &[u8] {
        match self.fields.iter().find(|(name, _)| *name == field) {
            Some((_, Value::One(value))) => std::slice::from_ref(value),
            Some((_, Value::List(values))) => values,
            None => &[],
        }
    }

    /// Field by field.
    pub fn to_json(&self) -> Json {
        let mut json = Map::new();
        json.insert("Version".into(), self.version.into());
        for (name, value) in &self.fields {
            json.insert((*name).into(), serde_json::to_value(value).unwrap_or_default());
        }
        if let Some(gpc) = self.gpc {
            json.insert("Gpc".into(), gpc.into());
        }
        Json::Object(json)
    }
}

const SENSITIVE: &str = "SensitiveDataProcessing*8";

fn fields_of(layout: &Layout, version: u8) -> Option<&'static str> {
    match (layout.name, version) {
        ("usnat", 1) => Some(NATIONAL_1),
        ("usnat", 2) => Some(layout.fields),
        ("usnat", _) => None,
        (_, 1) => Some(layout.fields),
        _ => None,
    }
}

fn read_fields(bits: &mut Reader, fields: &'static str) -> Result<Vec<(&'static str, Value)>, Malformed> {
    let mut found = Vec::new();
    for field in fields.split_whitespace() {
        let (name, count) = match field.split_once('*') {
            Some((name, count)) => (name, count.parse().ok()),
            None => (field, None),
        };
        let mut one = || match bits.short(name, 2)? {
            3 => Err(bits.malformed(name, "is 3; 0, 1 and 2 have a meaning")),
            value => Ok(value as u8),
        };
        let value = match count {
            Some(count) => Value::List((0..count).map(|_: usize| one()).collect::<Result<_, _>>()?),
            None => Value::One(one()?),
        };
        found.push((name, value));
    }
    Ok(found)
}
