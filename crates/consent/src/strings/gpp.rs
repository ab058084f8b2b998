//! The GPP string: a header that names sections, and the sections.

use serde_json::{Map, Value, json};

use super::bits::{Reader, Writer};
use super::tcf::TcString;
use super::us::UsSection;
use super::{Malformed, check_length};

/// Highest section id that is read; 27 are given out.
const SECTION_MAX: u16 = 64;

/// Everything that a GPP string says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GppString {
    /// Id and section, as they come in the string.
    pub sections: Vec<(u16, GppSection)>,
}

/// One section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GppSection {
    /// 2: a whole TC string.
    TcfEuV2(Box<TcString>),
    /// 6: notice, opt-out of sale, covered by the limited service provider agreement; each `Y`, `N` or `-`.
    UspV1([u8; 3]),
    /// 7 to 27.
    Us(UsSection),
    /// One that is not read: kept as it is, and grants and refuses nothing.
    Unread(String),
}

impl GppString {
    /// Reads a string.
    pub fn decode(text: &str) -> Result<GppString, Malformed> {
        check_length(text)?;
        let mut parts = text.split('~');
        let ids = header(parts.next().unwrap_or_default())?;
        let texts: Vec<&str> = parts.collect();
        if ids.len() != texts.len() {
            let problem = format!("names {} sections, the string has {}", ids.len(), texts.len());
            return Err(Malformed::new("header", problem));
        }
        let mut sections = Vec::with_capacity(ids.len());
        for (id, text) in ids.into_iter().zip(texts) {
            let name = name(id);
            if text.is_empty() {
                return Err(Malformed::new(name, "is empty"));
            }
            let section = match id {
                2 => {
                    let string = TcString::decode(text).map_err(|malformed| malformed.inside(&name))?;
                    GppSection::TcfEuV2(Box::new(string))
                }
                6 => usp(text)?,
                id if UsSection::is_one(id) => GppSection::Us(UsSection::decode(id, text)?),
                _ => GppSection::Unread(text.to_owned()),
            };
            sections.push((id, section));
        }
        Ok(GppString { sections })
    }

    /// Writes it again. Sections are expected with rising ids.
    pub fn encode(&self) -> String {
        let mut header = Writer::default();
        header.number(3, 6);
        header.number(1, 6);
        header.number(self.sections.len() as u64, 12);
        let mut last = 0;
        for (id, _) in &self.sections {
            header.number(0, 1);
            fibonacci(&mut header, id.saturating_sub(last));
            last = *id;
        }
        let mut text = header.text();
        for (_, section) in &self.sections {
            text.push('~');
            match section {
                GppSection::TcfEuV2(string) => text.push_str(&string.encode()),
                GppSection::UspV1(letters) => {
                    text.push('1');
                    text.extend(letters.iter().map(|letter| char::from(*letter)));
                }
                GppSection::Us(section) => text.push_str(&section.encode()),
                GppSection::Unread(unread) => text.push_str(unread),
            }
        }
        text
    }

    /// Field by field: `sectionIds`, and `sections` by name, with the fields of their specifications.
    pub fn to_json(&self) -> Value {
        let mut sections = Map::new();
        for (id, section) in &self.sections {
            let json = match section {
                GppSection::TcfEuV2(string) => string.to_json(),
                GppSection::UspV1([notice, sale, agreement]) => {
                    let letter = |byte: &u8| char::from(*byte).to_string();
                    json!({"Version": 1, "Notice": letter(notice), "OptOutSale": letter(sale), "LspaCovered": letter(agreement)})
                }
                GppSection::Us(section) => section.to_json(),
                GppSection::Unread(text) => json!({"unread": text}),
            };
            sections.insert(name(*id), json);
        }
        let ids: Vec<u16> = self.sections.iter().map(|(id, _)| *id).collect();
        json!({"version": 1, "sectionIds": ids, "sections": sections})
    }
}

/// The name of a section as the client side API has it.
fn name(id: u16) -> String {
    const NAMES: [&str; 28] = [
        "",
        "tcfeuv1",
        "tcfeuv2",
        "header",
        "signal_integrity",
        "tcfcav1",
        "uspv1",
        "usnat",
        "usca",
        "usva",
        "usco",
        "usut",
        "usct",
        "usfl",
        "usmt",
        "usor",
        "ustx",
        "usde",
        "usia",
        "usne",
        "usnh",
        "usnj",
        "ustn",
        "usmn",
        "usmd",
        "usin",
        "usky",
        "usri",
    ];
    match NAMES.get(usize::from(id)) {
        Some(name) if !name.is_empty() => (*name).to_owned(),
        _ => format!("section_{id}"),
    }
}

/// Ids rise, so none is there twice.
fn header(text: &str) -> Result<Vec<u16>, Malformed> {
    let mut bits = Reader::new("header", text)?;
    let kind = bits.number("type", 6)?;
    if kind != 3 {
        return Err(bits.malformed("type", format!("is {kind}; a GPP string has 3 (it begins with D)")));
    }
    let version = bits.number("version", 6)?;
    if version != 1 {
        return Err(bits.malformed("version", format!("is {version}; version 1 is read")));
    }
    let entries = bits.short("sectionIds", 12)?;
    let mut ids = Vec::new();
    let mut last = 0_u16;
    for _ in 0..entries {
        let is_group = bits.flag("sectionIds")?;
        let start = last.saturating_add(bits.fibonacci("sectionIds")?);
        let end = if is_group { start.saturating_add(bits.fibonacci("sectionIds")?) } else { start };
        if end > SECTION_MAX {
            return Err(bits.malformed("sectionIds", format!("names section {end}; {SECTION_MAX} at most are read")));
        }
        ids.extend(start..=end);
        last = end;
    }
    bits.end()?;
    Ok(ids)
}

/// Fibonacci code of a number of at least 1; 0 has none and becomes 1.
fn fibonacci(writer: &mut Writer, number: u16) {
    let mut left = u32::from(number.max(1));
    let mut values = vec![1_u32];
    let mut next = 2;
    while next <= left {
        values.push(next);
        next += values[values.len() - 2];
    }
    let mut code = vec![false; values.len()];
    for (n, value) in values.iter().enumerate().rev() {
        if *value <= left {
            code[n] = true;
            left -= value;
        }
    }
    code.into_iter().chain([true]).for_each(|bit| writer.number(bit.into(), 1));
}

fn usp(text: &str) -> Result<GppSection, Malformed> {
    let malformed = || Malformed::new("uspv1", format!("{text:?} is not 1 and three of Y, N and -, such as 1YNN"));
    let letters: [u8; 3] = text.strip_prefix('1').and_then(|rest| rest.as_bytes().try_into().ok()).ok_or_else(malformed)?;
    if !letters.iter().all(|letter| b"YN-".contains(letter)) {
        return Err(malformed());
    }
    Ok(GppSection::UspV1(letters))
}
