//! `workspace.yaml`: refused with problems, or read; what is read is written and read back the same.
#![no_main]

use jumelle_model::Workspace;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Workspace::parse(text) {
        Ok(workspace) => {
            let again = Workspace::parse(&workspace.to_text()).expect("what was read is written so that it can be read");
            assert_eq!(workspace, again);
        }
        Err(problems) => assert!(!problems.0.is_empty() && !problems.to_string().is_empty()),
    }
});
