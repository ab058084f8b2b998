//! Consent strings: read or refused with a reason; what was read is written again and reads the same; no malformed one grants.
#![no_main]

use jumelle_consent::signals::{AnyString, of_gpp, of_tcf};
use jumelle_model::Workspace;
use jumelle_model::time::Timestamp;
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_767_225_600_000_000);
const WORKSPACE: &str = "
purposes: {a: {basis: consent}, b: {basis: legitimate_interest}}
consent:
  strings:
    tcf: {vendor: 3, choices: {a: {purposes: [1, 2], custom: [1], channels: [onsite]}, b: {legitimate_interests: [7]}}}
    gpp: {choices: {b: {opt_outs: [sale, sharing, targeted_advertising, sensitive], channels: [partner_sharing]}}}
";

fuzz_target!(|text: &str| {
    let workspace = Workspace::parse(WORKSPACE).expect("a workspace");
    let (again, verdicts) = match AnyString::decode(text) {
        Err(malformed) => return assert!(!malformed.problem.is_empty()),
        Ok(AnyString::Tcf(string)) => (string.encode(), of_tcf(&workspace, &string, NOW)),
        Ok(AnyString::Gpp(string)) => (string.encode(), of_gpp(&workspace, &string, NOW)),
    };
    assert_eq!(AnyString::decode(&again), AnyString::decode(text), "{again}");
    assert!(verdicts.iter().all(|verdict| verdict.is_of_device() || verdict.state == jumelle_model::ConsentState::Denied));
});
