//! Every connector that comes with Jumelle is whole, and passes its cases.

use std::sync::Arc;

use jumelle_connect::{Connector, built_in_files, run_cases};

#[test]
fn every_connector_loads_and_passes_its_cases() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for (key, files) in built_in_files() {
        match Connector::load(&key, &files) {
            Err(faults) => wrong.push(format!("{key}:\n{faults}")),
            Ok(connector) => {
                for result in run_cases(&Arc::new(connector)) {
                    cases += 1;
                    wrong.extend(result.difference.map(|difference| format!("{key}: {}: {difference}", result.case)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(cases >= 5 * 15, "{cases} cases");
}
