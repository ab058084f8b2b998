//! The TC string, version 2.

use jumelle_model::time::Timestamp;
use serde_json::{Value, json};

use super::bits::{Reader, Writer};
use super::ids::{Few, Ids};
use super::{Malformed, check_length};

/// Bits of the purposes' fields.
const PURPOSES: usize = 24;
/// Bits of the special features' field.
const SPECIAL_FEATURES: usize = 12;
/// Microseconds of a tenth of a second, the unit of a TC string's times.
const TENTH_MICROS: i64 = 100_000;
/// Strings made after 30 September 2023 need policy version 4 (TCF 2.2).
const POLICY_4_SINCE: Timestamp = Timestamp(1_696_118_400_000_000);
/// Strings made after 28 February 2026 need the segment of disclosed vendors (TCF 2.3).
const DISCLOSED_SINCE: Timestamp = Timestamp(1_772_323_200_000_000);

/// Everything that a TC string says. Fields are named as in the model of `@iabtechlabtcf/core`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcString {
    /// When it was first made; to the day since the policies of 2021.
    pub created: Timestamp,
    /// When it was last changed: the day of the choice.
    pub last_updated: Timestamp,
    /// The consent platform's id.
    pub cmp_id: u16,
    /// Its version.
    pub cmp_version: u16,
    /// Number of the screen on which was chosen.
    pub consent_screen: u8,
    /// ISO 639-1, upper case.
    pub consent_language: [u8; 2],
    /// Version of the Global Vendor List.
    pub vendor_list_version: u16,
    /// Version of the TCF policies.
    pub policy_version: u8,
    /// Of one site or a group of sites; the other scope, global, is dead.
    pub is_service_specific: bool,
    /// The platform's own words in place of the standard's.
    pub use_non_standard_texts: bool,
    /// 1 precise location, 2 device scan.
    pub special_feature_optins: Few,
    /// Purposes consented to.
    pub purpose_consents: Few,
    /// Purposes whose legitimate interest was disclosed and not objected to.
    pub purpose_legitimate_interests: Few,
    /// Purpose 1 was not disclosed at all: its bit is no consent.
    pub purpose_one_treatment: bool,
    /// ISO 3166-1 alpha-2, upper case.
    pub publisher_country_code: [u8; 2],
    /// Vendors consented to.
    pub vendor_consents: Ids,
    /// Vendors whose legitimate interest was disclosed and not objected to.
    pub vendor_legitimate_interests: Ids,
    /// The publisher's restrictions, by purpose and type.
    pub publisher_restrictions: Vec<Restriction>,
    /// Vendors that were shown; `None`: the segment is not there.
    pub vendors_disclosed: Option<Ids>,
    /// Vendors that the publisher allows (a retired segment); `None`: it is not there.
    pub vendors_allowed: Option<Ids>,
    /// What was chosen for the publisher itself; `None`: the segment is not there.
    pub publisher: Option<PublisherTc>,
}

/// The segment PublisherTC.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PublisherTc {
    /// Standard purposes consented to.
    pub consents: Few,
    /// Standard purposes on the publisher's legitimate interest.
    pub legitimate_interests: Few,
    /// How many purposes the publisher added: 0 to 63.
    pub num_custom_purposes: u8,
    /// Those consented to.
    pub custom_consents: Few,
    /// Those on legitimate interest.
    pub custom_legitimate_interests: Few,
}

/// What the publisher restricts for a purpose, and for which vendors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restriction {
    /// TCF purpose.
    pub purpose: u8,
    /// How.
    pub kind: RestrictionType,
    /// For whom.
    pub vendors: Ids,
}

/// How a purpose is restricted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RestrictionType {
    /// Not at all.
    NotAllowed,
    /// Only by consent.
    RequireConsent,
    /// Only by legitimate interest.
    RequireLegitimateInterest,
    /// The standard gives it no meaning; taken as not allowed.
    Undefined,
}

/// Why a well-formed string grants nothing. Its refusals count all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Defect {
    /// Policy version below 4, made after 30 September 2023.
    OldPolicy,
    /// Not service-specific: the global scope is dead.
    GlobalScope,
    /// Made after 28 February 2026 without the segment of disclosed vendors.
    NothingDisclosed,
}

impl Defect {
    /// One sentence.
    pub fn as_str(self) -> &'static str {
        match self {
            Defect::OldPolicy => "made after 30 September 2023 under a TCF policy before version 4",
            Defect::GlobalScope => "not service-specific: the global scope has ended",
            Defect::NothingDisclosed => "made after 28 February 2026 without the disclosed vendors that TCF 2.3 requires",
        }
    }
}

impl TcString {
    /// Reads a string, whatever the order of the segments after the core.
    pub fn decode(text: &str) -> Result<TcString, Malformed> {
        check_length(text)?;
        let mut segments = text.split('.');
        let mut string = core(segments.next().unwrap_or_default())?;
        for segment in segments {
            let kind = Reader::new("segment", segment)?.number("type", 3)?;
            let again = |part: &'static str| Malformed::new(part, "is there twice");
            match kind {
                1 if string.vendors_disclosed.is_some() => return Err(again("vendorsDisclosed")),
                2 if string.vendors_allowed.is_some() => return Err(again("vendorsAllowed")),
                3 if string.publisher.is_some() => return Err(again("publisherTC")),
                1 => string.vendors_disclosed = Some(vendors("vendorsDisclosed", segment)?),
                2 => string.vendors_allowed = Some(vendors("vendorsAllowed", segment)?),
                3 => string.publisher = Some(publisher(segment)?),
                0 => return Err(Malformed::new("segment", "of type 0 (core) may only be the first")),
                other => return Err(Malformed::new("segment", format!("of type {other} is unknown; there are 1, 2 and 3"))),
            }
        }
        Ok(string)
    }

    /// Writes it again: the shorter form of each set, segments in the order of their types. Restrictions of more than 4,095
    /// ranges, which no string can hold, are cut there.
    pub fn encode(&self) -> String {
        let mut core = Writer::default();
        core.number(2, 6);
        core.number(tenths(self.created), 36);
        core.number(tenths(self.last_updated), 36);
        core.number(self.cmp_id.into(), 12);
        core.number(self.cmp_version.into(), 12);
        core.number(self.consent_screen.into(), 6);
        core.letters(self.consent_language);
        core.number(self.vendor_list_version.into(), 12);
        core.number(self.policy_version.into(), 6);
        core.number(self.is_service_specific.into(), 1);
        core.number(self.use_non_standard_texts.into(), 1);
        core.number(self.special_feature_optins.to_bits(SPECIAL_FEATURES), SPECIAL_FEATURES);
        core.number(self.purpose_consents.to_bits(PURPOSES), PURPOSES);
        core.number(self.purpose_legitimate_interests.to_bits(PURPOSES), PURPOSES);
        core.number(self.purpose_one_treatment.into(), 1);
        core.letters(self.publisher_country_code);
        core.vendors(&self.vendor_consents);
        core.vendors(&self.vendor_legitimate_interests);
        core.number(self.publisher_restrictions.len() as u64, 12);
        for restriction in &self.publisher_restrictions {
            core.number(restriction.purpose.into(), 6);
            core.number(restriction.kind as u64, 2);
            core.ranges(&Ids::of(restriction.vendors.ranges().iter().take((1 << 12) - 1).copied().collect()));
        }
        let mut text = core.text();
        for (kind, ids) in [(1, &self.vendors_disclosed), (2, &self.vendors_allowed)] {
            if let Some(ids) = ids {
                let mut segment = Writer::default();
                segment.number(kind, 3);
                segment.vendors(ids);
                text.push('.');
                text.push_str(&segment.text());
            }
        }
        if let Some(publisher) = &self.publisher {
            let mut segment = Writer::default();
            let custom = usize::from(publisher.num_custom_purposes.min(63));
            segment.number(3, 3);
            segment.number(publisher.consents.to_bits(PURPOSES), PURPOSES);
            segment.number(publisher.legitimate_interests.to_bits(PURPOSES), PURPOSES);
            segment.number(custom as u64, 6);
            segment.number(publisher.custom_consents.to_bits(custom), custom);
            segment.number(publisher.custom_legitimate_interests.to_bits(custom), custom);
            text.push('.');
            text.push_str(&segment.text());
        }
        text
    }

    /// Why it grants nothing, if so.
    pub fn defects(&self) -> Vec<Defect> {
        let made = self.created.max(self.last_updated);
        let mut defects = Vec::new();
        if self.policy_version < 4 && made >= POLICY_4_SINCE {
            defects.push(Defect::OldPolicy);
        }
        if !self.is_service_specific {
            defects.push(Defect::GlobalScope);
        }
        if self.vendors_disclosed.is_none() && made >= DISCLOSED_SINCE {
            defects.push(Defect::NothingDisclosed);
        }
        defects
    }

    /// Whether the publisher forbids a purpose to a vendor, or forbids to base it on consent.
    pub fn bars_consent(&self, purpose: u8, vendor: u16) -> bool {
        self.publisher_restrictions.iter().any(|restriction| {
            restriction.purpose == purpose
                && restriction.kind != RestrictionType::RequireConsent
                && restriction.vendors.has(vendor)
        })
    }

    /// Field by field, named as in the model of `@iabtechlabtcf/core`, sets as lists of ids. The lists of a segment that is not
    /// there are empty; `segments` says which ones are.
    pub fn to_json(&self) -> Value {
        let publisher = self.publisher.clone().unwrap_or_default();
        let segments: Vec<&str> = [
            ("core", true),
            ("vendorsDisclosed", self.vendors_disclosed.is_some()),
            ("vendorsAllowed", self.vendors_allowed.is_some()),
            ("publisherTC", self.publisher.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect();
        let restrictions: Vec<Value> = self
            .publisher_restrictions
            .iter()
            .map(|one| json!({"purposeId": one.purpose, "restrictionType": one.kind as u8, "vendors": one.vendors}))
            .collect();
        let nothing = Ids::default();
        json!({
            "version": 2,
            "created": self.created, "lastUpdated": self.last_updated,
            "cmpId": self.cmp_id, "cmpVersion": self.cmp_version, "consentScreen": self.consent_screen,
            "consentLanguage": letters(self.consent_language),
            "vendorListVersion": self.vendor_list_version, "policyVersion": self.policy_version,
            "isServiceSpecific": self.is_service_specific, "useNonStandardTexts": self.use_non_standard_texts,
            "specialFeatureOptins": self.special_feature_optins,
            "purposeConsents": self.purpose_consents,
            "purposeLegitimateInterests": self.purpose_legitimate_interests,
            "purposeOneTreatment": self.purpose_one_treatment,
            "publisherCountryCode": letters(self.publisher_country_code),
            "vendorConsents": self.vendor_consents, "vendorLegitimateInterests": self.vendor_legitimate_interests,
            "publisherRestrictions": restrictions,
            "vendorsDisclosed": self.vendors_disclosed.as_ref().unwrap_or(&nothing),
            "vendorsAllowed": self.vendors_allowed.as_ref().unwrap_or(&nothing),
            "publisherConsents": publisher.consents,
            "publisherLegitimateInterests": publisher.legitimate_interests,
            "numCustomPurposes": publisher.num_custom_purposes,
            "publisherCustomConsents": publisher.custom_consents,
            "publisherCustomLegitimateInterests": publisher.custom_legitimate_interests,
            "segments": segments,
        })
    }
}

/// As text: they are letters, by construction.
fn letters(pair: [u8; 2]) -> String {
    pair.iter().map(|letter| char::from(*letter)).collect()
}

fn tenths(at: Timestamp) -> u64 {
    u64::try_from(at.0 / TENTH_MICROS).unwrap_or(0)
}

fn core(text: &str) -> Result<TcString, Malformed> {
    let mut bits = Reader::new("core", text)?;
    let version = bits.number("version", 6)?;
    if version != 2 {
        return Err(bits.malformed("version", format!("is {version}; version 2 is read (the string begins with C)")));
    }
    // 36 bits of tenths of a second: the year 2187 at most.
    let instant = |bits: &mut Reader, field| bits.number(field, 36).map(|tenths| Timestamp(tenths as i64 * TENTH_MICROS));
    let string = TcString {
        created: instant(&mut bits, "created")?,
        last_updated: instant(&mut bits, "lastUpdated")?,
        cmp_id: bits.short("cmpId", 12)?,
        cmp_version: bits.short("cmpVersion", 12)?,
        consent_screen: bits.short("consentScreen", 6)? as u8,
        consent_language: bits.letters("consentLanguage")?,
        vendor_list_version: bits.short("vendorListVersion", 12)?,
        policy_version: bits.short("policyVersion", 6)? as u8,
        is_service_specific: bits.flag("isServiceSpecific")?,
        use_non_standard_texts: bits.flag("useNonStandardTexts")?,
        special_feature_optins: bits.few("specialFeatureOptins", SPECIAL_FEATURES)?,
        purpose_consents: bits.few("purposeConsents", PURPOSES)?,
        purpose_legitimate_interests: bits.few("purposeLegitimateInterests", PURPOSES)?,
        purpose_one_treatment: bits.flag("purposeOneTreatment")?,
        publisher_country_code: bits.letters("publisherCountryCode")?,
        vendor_consents: bits.vendors("vendorConsents")?,
        vendor_legitimate_interests: bits.vendors("vendorLegitimateInterests")?,
        publisher_restrictions: restrictions(&mut bits)?,
        vendors_disclosed: None,
        vendors_allowed: None,
        publisher: None,
    };
    bits.end()?;
    Ok(string)
}

/// By purpose and type; a pair that is there twice is one.
fn restrictions(bits: &mut Reader) -> Result<Vec<Restriction>, Malformed> {
    const FIELD: &str = "publisherRestrictions";
    let count = bits.short(FIELD, 12)?;
    let mut found: Vec<Restriction> = Vec::new();
    for _ in 0..count {
        let purpose = bits.short(FIELD, 6)? as u8;
        if !(1..=PURPOSES as u8).contains(&purpose) {
            return Err(bits.malformed(FIELD, format!("names purpose {purpose}; there are 1 to {PURPOSES}")));
        }
        let kind = match bits.number(FIELD, 2)? {
            0 => RestrictionType::NotAllowed,
            1 => RestrictionType::RequireConsent,
            2 => RestrictionType::RequireLegitimateInterest,
            _ => RestrictionType::Undefined,
        };
        // Ranges may name vendors that were deleted from the list, so no highest id is said here.
        let vendors = bits.ranges(FIELD, u16::MAX)?;
        match found.iter_mut().find(|one| one.purpose == purpose && one.kind == kind) {
            Some(one) => one.vendors = one.vendors.with(&vendors),
            None => found.push(Restriction { purpose, kind, vendors }),
        }
    }
    found.sort_by_key(|one| (one.purpose, one.kind));
    Ok(found)
}

fn vendors(part: &'static str, text: &str) -> Result<Ids, Malformed> {
    let mut bits = Reader::new(part, text)?;
    bits.number("type", 3)?;
    let ids = bits.vendors(part)?;
    bits.end()?;
    Ok(ids)
}

fn publisher(text: &str) -> Result<PublisherTc, Malformed> {
    let mut bits = Reader::new("publisherTC", text)?;
    bits.number("type", 3)?;
    let consents = bits.few("publisherConsents", PURPOSES)?;
    let legitimate_interests = bits.few("publisherLegitimateInterests", PURPOSES)?;
    let custom = usize::from(bits.short("numCustomPurposes", 6)?);
    let publisher = PublisherTc {
        consents,
        legitimate_interests,
        num_custom_purposes: custom as u8,
        custom_consents: bits.few("publisherCustomConsents", custom)?,
        custom_legitimate_interests: bits.few("publisherCustomLegitimateInterests", custom)?,
    };
    bits.end()?;
    Ok(publisher)
}
