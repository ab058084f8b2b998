//! TC and GPP strings: what is read, what is refused and why, and that both ways agree. The independent encoders are in
//! `tests/strings`.

use jumelle_consent::strings::{Few, GppSection, GppString, Ids, PublisherTc, Restriction, RestrictionType, TcString};
use jumelle_model::time::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The example of the specification of TCF 2.3.
const EXAMPLE: &str = "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA.YAAAAAAAAAAA";
/// From the tests of `@iabgpp/cmpapi`.
const NATIONAL: &str = "DBABLA~BVQqAAAACgA.QA";

fn refused(text: &str) -> String {
    match text.as_bytes().first() {
        Some(b'D') => GppString::decode(text).expect_err(text).to_string(),
        _ => TcString::decode(text).expect_err(text).to_string(),
    }
}

#[test]
fn the_example_of_the_specification_is_read() {
    let string = TcString::decode(EXAMPLE).unwrap();
    assert_eq!((string.cmp_id, string.vendor_list_version, string.is_service_specific), (880, 48, true));
    assert!(string.vendors_disclosed.as_ref().is_some_and(|ids| ids.last().is_some()));
    let [core, disclosed, publisher] = EXAMPLE.split('.').collect::<Vec<_>>().try_into().unwrap();
    let swapped = format!("{core}.{publisher}.{disclosed}");
    assert_eq!(TcString::decode(&swapped).unwrap(), string, "segments after the core come in any order");
}

#[test]
fn what_is_malformed_says_what_is_wrong() {
    let core = EXAMPLE.split('.').next().unwrap();
    let cases: &[(&str, &str)] = &[
        ("", "string: is empty"),
        ("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA", "core: version is 1; version 2 is read (the string begins with C)"),
        (
            "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPA",
            "core: vendorLegitimateInterests is cut off: 16 bits were expected, 6 are left",
        ),
        ("CQSbk4AQSbk4=", "core: character 13 is '=', which base64url does not have"),
        ("Cé", "core: character 2 is 'é', which base64url does not have"),
        (&format!("{core}."), "segment: is empty"),
        (&format!("{core}.IDKQA4AAgAKAGQAygAAA.IDKQA4AAgAKAGQAygAAA"), "vendorsDisclosed: is there twice"),
        (&format!("{core}.{core}"), "segment: of type 0 (core) may only be the first"),
        (&format!("{core}.gAAA"), "segment: of type 4 is unknown; there are 1, 2 and 3"),
        (&format!("{core}B"), "core: goes on after its last field"),
        // Vendors disclosed, 10 at most, in ranges: one from 9 to 3; the id 0; 12.
        (
            &format!("{core}.{}", ranges(10, &[(9, Some(3))])),
            "vendorsDisclosed: vendorsDisclosed has a range that ends at 3, before",
        ),
        (&format!("{core}.{}", ranges(10, &[(0, None)])), "vendorsDisclosed: vendorsDisclosed names the id 0; ids begin at 1"),
        (
            &format!("{core}.{}", ranges(10, &[(12, None)])),
            "vendorsDisclosed: vendorsDisclosed names the id 12, but says that 10",
        ),
        ("DBABLA", "header: names 1 sections, the string has 0"),
        ("DBABLA~", "usnat: is empty"),
        ("DBABLA~BVQqAAAACgA.QA.QA", "usnat: has more than one sub-section"),
        ("DBABLA~DVQqAAAACgA", "usnat: Version is 3, which is not known"),
        ("DBABLA~B_QqAAAACgA", "usnat: SharingNotice is 3; 0, 1 and 2 have a meaning"),
        ("DBABLA~BVQq", "usnat: SensitiveDataProcessing is cut off"),
        ("DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNX", "uspv1: \"1YNX\" is not 1 and three of Y, N and -"),
        ("DCABLA~BVQqAAAACgA", "header: version is 2; version 1 is read"),
    ];
    for (text, expected) in cases {
        let told = refused(text);
        assert!(told.starts_with(expected), "{text}: {told}");
    }
    let long = format!("C{}", "A".repeat(70_000));
    assert!(refused(&long).starts_with("string: has 70001 bytes"));
}

/// A segment of disclosed vendors in ranges, bit by bit.
fn ranges(id_max: u16, entries: &[(u16, Option<u16>)]) -> String {
    let mut bits = format!("001{id_max:016b}1{:012b}", entries.len());
    for (start, end) in entries {
        bits += &match end {
            Some(end) => format!("1{start:016b}{end:016b}"),
            None => format!("0{start:016b}"),
        };
    }
    base64url(&bits)
}

fn base64url(bits: &str) -> String {
    let letters: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']).collect();
    let padded = format!("{bits}{}", "0".repeat(bits.len().next_multiple_of(24) - bits.len()));
    padded.as_bytes().chunks(6).map(|six| letters[six.iter().fold(0, |n, bit| n << 1 | usize::from(*bit == b'1'))]).collect()
}

#[test]
fn the_same_set_in_both_forms_is_the_same() {
    let core = EXAMPLE.split('.').next().unwrap();
    let in_ranges = ranges(40, &[(33, Some(40)), (3, None), (5, Some(9)), (8, Some(11))]);
    let field: String =
        (1..=40).map(|id| if [3].contains(&id) || (5..=11).contains(&id) || id >= 33 { '1' } else { '0' }).collect();
    let in_bits = base64url(&format!("001{:016b}0{field}", 40));
    let of = |segment: &str| TcString::decode(&format!("{core}.{segment}")).unwrap().vendors_disclosed.unwrap();
    assert_eq!(of(&in_ranges), of(&in_bits));
    assert_eq!(of(&in_ranges).ranges(), [(3, 3), (5, 11), (33, 40)]);
    let everyone = of(&ranges(65_535, &[(1, Some(65_535))]));
    assert!(everyone.has(1) && everyone.has(65_535) && everyone.iter().count() == 65_535);
}

#[test]
fn every_range_the_format_allows_costs_a_bounded_set() {
    let core = EXAMPLE.split('.').next().unwrap();
    let entries = vec![(1, Some(65_535)); 4_095];
    let string = format!("{core}.{}", ranges(65_535, &entries));
    assert_eq!(TcString::decode(&string).unwrap().vendors_disclosed.unwrap().ranges(), [(1, 65_535)]);
}

#[test]
fn every_padding_of_a_header_is_the_same() {
    let expected = GppString::decode("DBABM~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA").unwrap();
    let [(2, GppSection::TcfEuV2(inner))] = expected.sections.as_slice() else { panic!("{expected:?}") };
    assert_eq!(**inner, TcString::decode("CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA").unwrap(), "as alone");
    for header in ["DBABMA", "DBABMAAA"] {
        let string = GppString::decode(&format!("{header}~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA")).unwrap();
        assert_eq!(string, expected);
    }
}

#[test]
fn the_national_section_is_read() {
    let string = GppString::decode(NATIONAL).unwrap();
    let [(7, GppSection::Us(section))] = string.sections.as_slice() else { panic!("{string:?}") };
    assert_eq!((section.name, section.version, section.gpc), ("usnat", 1, Some(false)));
    assert_eq!(section.values("SaleOptOut"), [2]);
    assert_eq!(section.values("SensitiveDataProcessing").len(), 12);
    assert_eq!(string.encode(), NATIONAL);
}

fn ids() -> impl Strategy<Value = Ids> {
    prop_oneof![
        vec((1..=2_000u16, 0..40u16), 0..20)
            .prop_map(|runs| Ids::of(runs.into_iter().map(|(id, more)| (id, id + more)).collect())),
        vec(1..=u16::MAX, 0..5).prop_map(|ids| Ids::of(ids.into_iter().map(|id| (id, id)).collect())),
    ]
}

fn few(last: u8) -> impl Strategy<Value = Few> {
    vec(1..=last.max(1), 0..=usize::from(last)).prop_map(Few::of)
}

fn strings() -> impl Strategy<Value = TcString> {
    let day = (0..70_000i64).prop_map(|days| Timestamp(days * 86_400_000_000));
    let letters = || [b'A'..=b'Z', b'A'..=b'Z'];
    let kinds = [RestrictionType::NotAllowed, RestrictionType::RequireConsent, RestrictionType::RequireLegitimateInterest];
    let restrictions = proptest::collection::btree_map((1..=24u8, select(kinds.to_vec())), ids(), 0..4);
    let publisher = (few(24), few(24), 0..=63u8).prop_flat_map(|(consents, legitimate_interests, custom)| {
        (few(custom), few(custom)).prop_map(move |(custom_consents, custom_legitimate_interests)| PublisherTc {
            consents,
            legitimate_interests,
            num_custom_purposes: custom,
            custom_consents: if custom == 0 { Few::default() } else { custom_consents },
            custom_legitimate_interests: if custom == 0 { Few::default() } else { custom_legitimate_interests },
        })
    });
    (
        (day.clone(), day, 0..4_096u16, 0..4_096u16, 0..64u8, letters(), 0..4_096u16, 0..64u8),
        (any::<bool>(), any::<bool>(), few(12), few(24), few(24), any::<bool>(), letters()),
        (ids(), ids(), restrictions, option::of(ids()), option::of(ids()), option::of(publisher)),
    )
        .prop_map(|(head, choices, sets)| TcString {
            created: head.0,
            last_updated: head.1,
            cmp_id: head.2,
            cmp_version: head.3,
            consent_screen: head.4,
            consent_language: head.5,
            vendor_list_version: head.6,
            policy_version: head.7,
            is_service_specific: choices.0,
            use_non_standard_texts: choices.1,
            special_feature_optins: choices.2,
            purpose_consents: choices.3,
            purpose_legitimate_interests: choices.4,
            purpose_one_treatment: choices.5,
            publisher_country_code: choices.6,
            vendor_consents: sets.0,
            vendor_legitimate_interests: sets.1,
            publisher_restrictions: sets
                .2
                .into_iter()
                .map(|((purpose, kind), vendors)| Restriction { purpose, kind, vendors })
                .collect(),
            vendors_disclosed: sets.3,
            vendors_allowed: sets.4,
            publisher: sets.5,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_written_is_read_again(string in strings()) {
        prop_assert_eq!(TcString::decode(&string.encode()), Ok(string));
    }

    /// A string that lost its end is refused, or has lost nothing but padding or whole segments.
    #[test]
    fn a_string_cut_anywhere_says_no_more_than_before(string in strings(), at in any::<Index>()) {
        let text = string.encode();
        let cut = &text[..at.index(text.len())];
        if let Ok(read) = TcString::decode(cut) {
            let without_segments = |string: &TcString| TcString { vendors_disclosed: None, vendors_allowed: None, publisher: None, ..string.clone() };
            prop_assert_eq!(without_segments(&read), without_segments(&string));
            prop_assert!(read.vendors_disclosed.is_none() || read.vendors_disclosed == string.vendors_disclosed);
            prop_assert!(read.vendors_allowed.is_none() || read.vendors_allowed == string.vendors_allowed);
            prop_assert!(read.publisher.is_none() || read.publisher == string.publisher);
        }
    }

    #[test]
    fn arbitrary_text_is_answered(
        text in any::<String>(),
        tcf in "C[A-Za-z0-9_.-]{0,200}",
        gpp in "DB[A-Za-z0-9_.~-]{0,120}",
    ) {
        for text in [&text, &tcf, &gpp] {
            if let Ok(string) = TcString::decode(text) {
                prop_assert_eq!(TcString::decode(&string.encode()), Ok(string));
            }
            if let Ok(string) = GppString::decode(text) {
                prop_assert_eq!(GppString::decode(&string.encode()), Ok(string));
            }
        }
    }
}
