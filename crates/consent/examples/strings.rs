//! Reads consent strings, one a line, from standard input; writes one line of JSON for each: what it says (`read`) and the string
//! written again (`again`), or what is wrong with it (`malformed`). `tests/strings` compares with independent encoders by it.

use std::io::{BufRead, Write};

use jumelle_consent::signals::AnyString;
use serde_json::json;

fn main() -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let answer = match AnyString::decode(&line?) {
            Ok(AnyString::Tcf(string)) => json!({"read": string.to_json(), "again": string.encode()}),
            Ok(AnyString::Gpp(string)) => json!({"read": string.to_json(), "again": string.encode()}),
            Err(malformed) => json!({"malformed": malformed.to_string()}),
        };
        writeln!(out, "{answer}")?;
    }
    out.flush()
}
