//! The proof for one person as a page to read and print.

use std::fmt::Write;

use crate::proof_document::{Cell, Document, Ink, Section};

pub(crate) const STYLE: &str = "@page{size:A4;margin:18mm 15mm}body{font:10pt/1.45 system-ui,sans-serif;color:#1b1f24;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:16pt;margin:0 0 .5rem}h2{font-size:12pt;margin:1.6rem 0 .4rem}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;border-bottom:1px solid #d5d9de;overflow-wrap:anywhere}th{font-weight:600}\
tr{break-inside:avoid}thead{display:table-header-group}code{font-size:8pt}p{max-width:46rem}@media print{body{margin:0;padding:0}}";

/// The page.
pub(crate) fn page(document: &Document) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut out, document);
    out
}

fn write(out: &mut String, document: &Document) -> std::fmt::Result {
    let [(about, identifier), (made, at)] = &document.head;
    let (lang, title, identifier) = (document.lang, document.title, escape(identifier));
    write!(out, "<!doctype html><html lang=\"{lang}\"><meta charset=\"utf-8\"><title>{title}: {identifier}</title>")?;
    write!(out, "<style>{STYLE}</style><h1>{title}</h1>")?;
    write!(out, "<p>{about}: <strong>{identifier}</strong><br>{made}: {}</p>", escape(at))?;
    if let Some(warning) = document.warning {
        write!(out, "<p><strong>{warning}</strong></p>")?;
    }
    document.sections.iter().try_for_each(|section| table(out, section, document.none))?;
    write!(out, "<p>{}</p></html>", document.check)
}

fn table(out: &mut String, section: &Section, none: &str) -> std::fmt::Result {
    write!(out, "<h2>{}</h2>", section.title)?;
    if section.rows.is_empty() {
        return write!(out, "<p>{none}</p>");
    }
    write!(out, "<table><thead><tr>")?;
    section.columns.iter().try_for_each(|column| write!(out, "<th scope=\"col\">{column}</th>"))?;
    write!(out, "</tr></thead><tbody>")?;
    for row in &section.rows {
        write!(out, "<tr>")?;
        row.iter().try_for_each(|cell| write!(out, "<td>{}</td>", lines(cell)))?;
        write!(out, "</tr>")?;
    }
    write!(out, "</tbody></table>")
}

fn lines(cell: &Cell) -> String {
    let written = cell.iter().map(|line| match line.ink {
        Ink::Plain => escape(&line.text),
        Ink::Strong => format!("<strong>{}</strong>", escape(&line.text)),
        Ink::Code => format!("<code>{}</code>", escape(&line.text)),
    });
    written.collect::<Vec<_>>().join("<br>")
}

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof_document::{Words, document};

    #[test]
    fn what_was_sent_to_us_stays_text() {
        let proof = serde_json::json!({
            "identifier": "email:<script>alert(1)</script>", "made_at": "2026-03-01T00:00:00Z",
            "choices": [{"state": "granted", "purpose": "marketing", "channel": null, "address": ["email", "<b>"], "shown": {"<i>": "<u>"},
                "entry": {"day": "2026-03-01", "index": 3}}],
        });
        for lang in ["fr", "en"] {
            let page = page(&document(&proof, Words::of(lang)));
            assert!(["<script", "<b>", "<i>", "<u>"].iter().all(|tag| !page.contains(tag)), "{page}");
            assert!(page.contains("&lt;u&gt;") && page.contains("2026-03-01 n° 3"), "{page}");
        }
    }
}
