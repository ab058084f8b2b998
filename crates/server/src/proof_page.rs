//! The proof for one person as a document to read and print, in French or English.

use std::fmt::Write;

use serde_json::Value;

/// What the document says in one language.
pub struct Words {
    lang: &'static str,
    title: &'static str,
    about: &'static str,
    made: &'static str,
    choices: &'static str,
    choice_columns: [&'static str; 6],
    sent: &'static str,
    sent_columns: [&'static str; 6],
    erased: &'static str,
    no_text: &'static str,
    roots: &'static str,
    root_columns: [&'static str; 4],
    check: &'static str,
    none: &'static str,
    granted: &'static str,
    denied: &'static str,
    every_channel: &'static str,
    person: &'static str,
    basis: &'static str,
    takes_back: &'static str,
    open: &'static str,
    unsigned: &'static str,
    truncated: &'static str,
}

const FRENCH: Words = Words {
    lang: "fr",
    title: "Preuve des choix et des envois",
    about: "Personne",
    made: "Établie le",
    choices: "Ce qui a été choisi",
    choice_columns: ["Choisi le", "Finalité et canal", "Choix", "Pour", "Ce qui a été montré, où et comment", "Inscription"],
    sent: "Ce qui a été envoyé",
    sent_columns: ["Envoyé le", "À", "Finalité et canal", "Contenu", "En vertu de", "Résultat"],
    erased: "Effacement",
    no_text: "inscriptions effacées : leur texte n'existe plus, leur empreinte demeure",
    roots: "Racines des jours",
    root_columns: ["Jour", "Inscriptions", "Racine (RFC 6962)", "Signature Ed25519"],
    check: "Chaque ligne renvoie à une inscription du registre (jour et numéro). Le fichier JSON de cette preuve contient leur texte \
            exact et le chemin jusqu'à la racine signée du jour ; un programme indépendant de 60 lignes, dans la documentation, le vérifie.",
    none: "Rien.",
    granted: "accordé",
    denied: "refusé",
    every_channel: "tous les canaux",
    person: "la personne",
    basis: "base légale",
    takes_back: "retrait de la personne de l'outil",
    open: "jour en cours",
    unsigned: "non signée",
    truncated: "Les inscriptions les plus anciennes ne figurent pas dans ce document.",
};

const ENGLISH: Words = Words {
    lang: "en",
    title: "Proof of choices and messages",
    about: "Person",
    made: "Made on",
    choices: "What was chosen",
    choice_columns: ["Chosen on", "Purpose and channel", "Choice", "For", "What was shown, where and how", "Entry"],
    sent: "What was sent",
    sent_columns: ["Sent on", "To", "Purpose and channel", "Content", "Under", "Result"],
    erased: "Erasure",
    no_text: "entries erased: their text is gone, their hash stays",
    roots: "Roots of the days",
    root_columns: ["Day", "Entries", "Root (RFC 6962)", "Ed25519 signature"],
    check: "Each line refers to an entry of the ledger (day and number). The JSON file of this proof has their exact text and the way \
            to the signed root of the day; an independent program of 60 lines, in the documentation, checks it.",
    none: "Nothing.",
    granted: "granted",
    denied: "denied",
    every_channel: "every channel",
    person: "the person",
    basis: "legal basis",
    takes_back: "takes the person out of the tool",
    open: "day not over",
    unsigned: "not signed",
    truncated: "The oldest entries are not in this document.",
};

impl Words {
    /// Of `fr`; English for everything else.
    pub fn of(lang: &str) -> &'static Words {
        if lang == "fr" { &FRENCH } else { &ENGLISH }
    }
}

pub(crate) const STYLE: &str = "@page{size:A4;margin:18mm 15mm}body{font:10pt/1.45 system-ui,sans-serif;color:#1b1f24;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:16pt;margin:0 0 .5rem}h2{font-size:12pt;margin:1.6rem 0 .4rem}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;border-bottom:1px solid #d5d9de;overflow-wrap:anywhere}th{font-weight:600}\
tr{break-inside:avoid}thead{display:table-header-group}code{font-size:8pt}p{max-width:46rem}@media print{body{margin:0;padding:0}}";

/// The document.
pub fn page(proof: &Value, words: &Words) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut out, proof, words);
    out
}

fn write(out: &mut String, proof: &Value, words: &Words) -> std::fmt::Result {
    let identifier = escape(proof["identifier"].as_str().unwrap_or_default());
    write!(
        out,
        "<!doctype html><html lang=\"{}\"><meta charset=\"utf-8\"><title>{}: {identifier}</title>",
        words.lang, words.title
    )?;
    write!(out, "<style>{STYLE}</style><h1>{}</h1>", words.title)?;
    write!(out, "<p>{}: <strong>{identifier}</strong><br>{}: {}</p>", words.about, words.made, text(&proof["made_at"]))?;
    if proof["truncated"] == true {
        write!(out, "<p><strong>{}</strong></p>", words.truncated)?;
    }
    table(out, words.choices, &words.choice_columns, items(&proof["choices"]), words, |choice| {
        let state = if choice["state"] == "granted" { words.granted } else { words.denied };
        let shown = if choice["shown"].is_null() {
            escape(choice["source"].as_str().unwrap_or_default())
        } else {
            fields(&choice["shown"])
        };
        vec![
            text(&choice["chosen_at"]),
            purpose(choice, words),
            format!("<strong>{state}</strong>"),
            address(&choice["address"]).unwrap_or_else(|| words.person.into()),
            shown,
            place(&choice["entry"]),
        ]
    })?;
    table(out, words.sent, &words.sent_columns, items(&proof["sent"]), words, |sent| {
        let under = match &sent["under"] {
            Value::String(_) => words.takes_back.to_owned(),
            Value::Object(under) if under.contains_key("basis") => format!("{}: {}", words.basis, text(&under["basis"])),
            under => format!("{}<br>{}", place(&sent["choice"]), text(&under["choice"]["since"])),
        };
        let outcome = match &sent["outcome"] {
            Value::Null => "–".to_owned(),
            outcome => format!("{} {}<br>{}", text(&outcome["state"]), text(&outcome["status"]), text(&outcome["at"])),
        };
        let to = address(&sent["address"]).map(|address| format!("<br>{address}")).unwrap_or_default();
        let entries: Vec<String> = items(&sent["let_out"]).iter().map(|attempt| place(&attempt["entry"])).collect();
        vec![
            format!("{}<br>{}", text(&sent["at"]), entries.join("<br>")),
            format!("{}{to}", text(&sent["destination"])),
            purpose(sent, words),
            format!("{}<br>{}", text(&sent["type"]), fields(&sent["data"])),
            under,
            outcome,
        ]
    })?;
    let erasures = items(&proof["erasures"]);
    if !erasures.is_empty() {
        write!(out, "<h2>{}</h2>", words.erased)?;
        for erasure in erasures {
            let (at, entries, place) = (text(&erasure["at"]), text(&erasure["entries"]), place(&erasure["entry"]));
            write!(out, "<p>{at}: {entries} {} ({place})</p>", words.no_text)?;
        }
    }
    let roots: Vec<Value> = proof["roots"].as_object().map(|roots| roots.values().cloned().collect()).unwrap_or_default();
    table(out, words.roots, &words.root_columns, &roots, words, |root| {
        let open = if root["closed"] == true { String::new() } else { format!("<br>{}", words.open) };
        let signature =
            root["signature"].as_str().map_or_else(|| words.unsigned.to_owned(), |hex| format!("<code>{}</code>", escape(hex)));
        vec![
            format!("{}{open}", text(&root["day"])),
            text(&root["size"]),
            format!("<code>{}</code>", text(&root["root"])),
            signature,
        ]
    })?;
    write!(out, "<p>{}</p></html>", words.check)
}

fn table(
    out: &mut String,
    title: &str,
    columns: &[&str],
    rows: &[Value],
    words: &Words,
    cells: impl Fn(&Value) -> Vec<String>,
) -> std::fmt::Result {
    write!(out, "<h2>{title}</h2>")?;
    if rows.is_empty() {
        return write!(out, "<p>{}</p>", words.none);
    }
    write!(out, "<table><thead><tr>")?;
    columns.iter().try_for_each(|column| write!(out, "<th scope=\"col\">{column}</th>"))?;
    write!(out, "</tr></thead><tbody>")?;
    for row in rows {
        write!(out, "<tr>")?;
        cells(row).iter().try_for_each(|cell| write!(out, "<td>{cell}</td>"))?;
        write!(out, "</tr>")?;
    }
    write!(out, "</tbody></table>")
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn purpose(value: &Value, words: &Words) -> String {
    let channel = value["channel"].as_str().map_or_else(|| words.every_channel.to_owned(), escape);
    format!("{} · {channel}", text(&value["purpose"]))
}

fn address(value: &Value) -> Option<String> {
    let (namespace, value) = (value.get(0)?.as_str()?, value.get(1)?.as_str()?);
    Some(escape(&format!("{namespace}: {value}")))
}

fn place(value: &Value) -> String {
    if value.is_null() { "–".to_owned() } else { format!("{} n° {}", text(&value["day"]), text(&value["index"])) }
}

fn fields(value: &Value) -> String {
    let Some(object) = value.as_object() else { return text(value) };
    object.iter().map(|(field, value)| format!("{}: {}", escape(field), text(value))).collect::<Vec<_>>().join("<br>")
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
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

    #[test]
    fn what_was_sent_to_us_stays_text() {
        let proof = serde_json::json!({
            "identifier": "email:<script>alert(1)</script>", "made_at": "2026-03-01T00:00:00Z",
            "choices": [{"state": "granted", "purpose": "marketing", "channel": null, "address": ["email", "<b>"], "shown": {"<i>": "<u>"},
                "entry": {"day": "2026-03-01", "index": 3}}],
        });
        for lang in ["fr", "en"] {
            let page = page(&proof, Words::of(lang));
            assert!(["<script", "<b>", "<i>", "<u>"].iter().all(|tag| !page.contains(tag)), "{page}");
            assert!(page.contains("&lt;u&gt;") && page.contains("2026-03-01 n° 3"), "{page}");
        }
    }
}
