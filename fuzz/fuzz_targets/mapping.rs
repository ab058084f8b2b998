//! Mapping files of imports: refused with problems, or read.
#![no_main]

use jumelle_collect::files::Mapping;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Mapping::parse(text) {
        Ok(mapping) => {
            let _ = mapping.groups();
        }
        Err(problems) => assert!(!problems.0.is_empty() && !problems.to_string().is_empty()),
    }
});
