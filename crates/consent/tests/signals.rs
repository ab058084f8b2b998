//! What signals mean by a workspace's policy.

use jumelle_consent::signals::{Verdict, of_categories, of_gcm, of_gpc, of_gpp, of_tcf};
use jumelle_consent::strings::{Few, GppSection, GppString, Ids, PublisherTc, Restriction, RestrictionType, TcString};
use jumelle_model::Workspace;
use jumelle_model::consent::{Channel, ConsentState};
use jumelle_model::time::Timestamp;
use proptest::prelude::*;

const POLICY: &str = "
purposes:
  analytics: {basis: consent, tcf: [1, 8], gcm: [analytics_storage], gpc: false}
  advertising: {basis: consent, gcm: [ad_storage, ad_user_data]}
  audience: {basis: legitimate_interest}
  loyalty: {basis: consent, gpc: false}
  marketing: {basis: consent, gpc: false}
consent:
  strings:
    tcf:
      vendor: 755
      choices:
        advertising: {purposes: [2, 3], special_features: [1], channels: [display, retargeting]}
        audience: {legitimate_interests: [9]}
        loyalty: {publisher: [5], custom: [2], channels: [personalization]}
    gpp: {choices: {advertising: {opt_outs: [sale, targeted_advertising], channels: [partner_sharing, display]}}}
    categories: {choices: {marketing: {categories: [Advertising, Email]}}}
";

fn policy() -> Workspace {
    Workspace::parse(POLICY).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// Everything chosen, on 10 March 2026.
fn all() -> TcString {
    let day = at("2026-03-10T00:00:00Z");
    let vendor = Ids::of(vec![(755, 755)]);
    TcString {
        created: day,
        last_updated: day,
        cmp_id: 300,
        cmp_version: 1,
        consent_screen: 1,
        consent_language: *b"FR",
        vendor_list_version: 120,
        policy_version: 5,
        is_service_specific: true,
        use_non_standard_texts: false,
        special_feature_optins: Few::of(1..=2),
        purpose_consents: Few::of(1..=11),
        purpose_legitimate_interests: Few::of([2, 7, 8, 9, 10, 11]),
        purpose_one_treatment: false,
        publisher_country_code: *b"FR",
        vendor_consents: vendor.clone(),
        vendor_legitimate_interests: Ids::default(),
        publisher_restrictions: Vec::new(),
        vendors_disclosed: Some(vendor),
        vendors_allowed: None,
        publisher: Some(PublisherTc {
            consents: Few::of([5]),
            num_custom_purposes: 3,
            custom_consents: Few::of([2]),
            ..PublisherTc::default()
        }),
    }
}

/// `advertising/display granted` …
fn said(verdicts: &[Verdict]) -> Vec<String> {
    let channel = |verdict: &Verdict| verdict.channel.map_or("*", Channel::as_str);
    let state = |verdict: &Verdict| if verdict.state == ConsentState::Granted { "granted" } else { "denied" };
    verdicts.iter().map(|verdict| format!("{}/{} {}", verdict.purpose, channel(verdict), state(verdict))).collect()
}

fn of(string: &TcString) -> Vec<String> {
    said(&of_tcf(&policy(), string, at("2026-03-11T12:00:00Z")))
}

#[test]
fn a_purpose_is_granted_when_all_that_it_needs_is() {
    let everything = [
        "advertising/display granted",
        "advertising/retargeting granted",
        "loyalty/personalization granted",
        "analytics/* granted",
    ];
    assert_eq!(of(&all()), everything, "a legitimate interest that was not objected to is no grant");
}

#[test]
fn what_is_absent_or_zero_is_a_denial() {
    type Change = fn(&mut TcString);
    let cases: [(&str, Change, &[&str]); 11] = [
        ("a purpose", |s| s.purpose_consents = Few::of([1, 2, 8]), &["advertising/display", "advertising/retargeting"]),
        ("a special feature", |s| s.special_feature_optins = Few::of([2]), &["advertising/display", "advertising/retargeting"]),
        ("a legitimate interest", |s| s.purpose_legitimate_interests = Few::of([2]), &["audience/*"]),
        ("the publisher's purpose", |s| s.publisher.as_mut().unwrap().consents = Few::default(), &["loyalty/personalization"]),
        ("a custom purpose", |s| s.publisher.as_mut().unwrap().custom_consents = Few::of([1, 3]), &["loyalty/personalization"]),
        ("the publisher's segment", |s| s.publisher = None, &["loyalty/personalization"]),
        (
            "our vendor",
            |s| s.vendor_consents = Ids::of(vec![(1, 754), (756, 800)]),
            &["advertising/display", "advertising/retargeting", "analytics/*"],
        ),
        (
            "our vendor, shown",
            |s| s.vendors_disclosed = Some(Ids::default()),
            &["advertising/display", "advertising/retargeting", "analytics/*"],
        ),
        (
            "a restriction",
            |s| s.publisher_restrictions = vec![restriction(2, RestrictionType::NotAllowed)],
            &["advertising/display", "advertising/retargeting"],
        ),
        (
            "another basis",
            |s| s.publisher_restrictions = vec![restriction(8, RestrictionType::RequireLegitimateInterest)],
            &["analytics/*"],
        ),
        (
            "consent is asked for anyway",
            |s| s.publisher_restrictions = vec![restriction(8, RestrictionType::RequireConsent)],
            &[],
        ),
    ];
    for (what, change, denied) in cases {
        let mut string = all();
        change(&mut string);
        let found: Vec<String> =
            of(&string).into_iter().filter_map(|said| said.strip_suffix(" denied").map(str::to_owned)).collect();
        assert_eq!(found, denied, "{what}");
    }
}

fn restriction(purpose: u8, kind: RestrictionType) -> Restriction {
    Restriction { purpose, kind, vendors: Ids::of(vec![(700, 800)]) }
}

#[test]
fn a_string_with_a_defect_grants_nothing_and_refuses_all_the_same() {
    type Change = fn(&mut TcString);
    let cases: [(&str, Change); 4] = [
        ("old policy", |s| s.policy_version = 3),
        ("global scope", |s| s.is_service_specific = false),
        ("no disclosed vendors in TCF 2.3", |s| s.vendors_disclosed = None),
        ("from the future", |s| s.last_updated = at("2026-03-12T00:00:00Z")),
    ];
    for (what, change) in cases {
        let mut string = all();
        change(&mut string);
        assert_eq!(of(&string), Vec::<String>::new(), "{what}");
        string.purpose_consents = Few::of([2, 3]);
        assert_eq!(of(&string), ["analytics/* denied"], "{what}");
    }
    let mut string = all();
    string.vendors_disclosed = None;
    (string.created, string.last_updated) = (at("2026-02-28T00:00:00Z"), at("2026-02-28T00:00:00Z"));
    assert_eq!(of(&string).len(), 4, "strings made before stay valid");
    string.policy_version = 3;
    (string.created, string.last_updated) = (at("2023-09-30T00:00:00Z"), at("2023-09-30T00:00:00Z"));
    assert_eq!(of(&string).len(), 4, "and so do those of the policies before");
}

#[test]
fn purpose_one_that_was_not_asked_for_is_no_consent() {
    let string = TcString { purpose_one_treatment: true, ..all() };
    assert!(!of(&string).iter().any(|said| said.starts_with("analytics")), "{:?}", of(&string));
}

#[test]
fn a_repeated_string_is_no_new_choice() {
    let (morning, evening) = (at("2026-03-10T08:00:00Z"), at("2026-03-10T20:00:00Z"));
    let (next, day) = (at("2026-03-12T10:00:00Z"), at("2026-03-10T00:00:00Z"));
    let verdict = |state, day| Verdict { purpose: "p".into(), channel: None, state, because: "".into(), day };
    let granted = verdict(ConsentState::Granted, Some(day));
    for seen in [morning, evening, next] {
        assert_eq!(granted.time(None, seen), (day, false), "a refusal in between is not outweighed");
    }
    assert_eq!(granted.time(Some(morning), next), (morning, false), "the time of the choice is told");
    let denied = verdict(ConsentState::Denied, Some(day));
    assert_eq!(denied.time(None, evening), (evening, false));
    assert_eq!(denied.time(None, next), (at("2026-03-10T23:59:59.999999Z"), false), "a grant of the next day counts");
    assert_eq!(verdict(ConsentState::Granted, None).time(None, next), (next, true), "undated: weak");
    assert_eq!(verdict(ConsentState::Denied, None).time(None, next), (next, false));
}

#[test]
fn opt_outs_refuse_and_never_grant() {
    let of = |string: &str| said(&of_gpp(&policy(), &GppString::decode(string).unwrap(), at("2026-03-11T12:00:00Z")));
    assert_eq!(of("DBABLA~BVQqAAAACgA.QA"), Vec::<String>::new(), "did not opt out: no grant");
    assert_eq!(of("DBABTA~1YNN"), Vec::<String>::new());
    let refused = ["advertising/partner_sharing denied", "advertising/display denied"];
    assert_eq!(of("DBABTA~1YYN"), refused);
    let mut string = GppString::decode("DBABLA~BVQqAAAACgA.QA").unwrap();
    let [(_, GppSection::Us(section))] = string.sections.as_mut_slice() else { panic!() };
    section.gpc = Some(true);
    let control = ["advertising/* denied", "advertising/partner_sharing denied"];
    assert_eq!(of(&string.encode()), control, "Global Privacy Control in the sub-section is the same as the header");
    assert_eq!(said(&of_gpc(&policy())), control);
}

#[test]
fn consent_mode_and_categories_need_all_of_theirs() {
    let policy = policy();
    let gcm = |states: &[(&str, bool)]| said(&of_gcm(&policy, states));
    assert_eq!(gcm(&[("ad_storage", true), ("ad_user_data", true)]), ["advertising/* granted"]);
    assert_eq!(gcm(&[("ad_storage", true)]), Vec::<String>::new(), "the other one says nothing");
    assert_eq!(gcm(&[("ad_storage", true), ("ad_user_data", false)]), ["advertising/* denied"]);
    assert_eq!(gcm(&[("analytics_storage", true)]), ["analytics/* granted"]);
    let categories = |states: &[(&str, bool)]| said(&of_categories(&policy, states));
    assert_eq!(categories(&[("Advertising", true), ("Email", true)]), ["marketing/* granted"]);
    assert_eq!(categories(&[("Advertising", true)]), ["marketing/* denied"], "what is missing was not chosen");
    assert_eq!(categories(&[]), ["marketing/* denied"]);
}

proptest! {
    /// Whatever a string says, it opens nothing but channels of a device.
    #[test]
    fn no_string_opens_an_address(text in "(C[A-Za-z0-9_.-]{40,160}|DB[A-Za-z0-9_.~-]{0,120})") {
        let policy = policy();
        let mut verdicts = Vec::new();
        if let Ok(string) = TcString::decode(&text) {
            verdicts.extend(of_tcf(&policy, &string, Timestamp::MAX));
        }
        if let Ok(string) = GppString::decode(&text) {
            verdicts.extend(of_gpp(&policy, &string, Timestamp::MAX));
        }
        for verdict in verdicts {
            prop_assert!(verdict.is_of_device() || verdict.state == ConsentState::Denied, "{verdict:?}");
        }
    }
}
