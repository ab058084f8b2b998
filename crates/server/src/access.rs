//! The copy of a person's data (GDPR, article 15) and the portable part of it (article 20): JSON, CSV, or a document to read.

use std::fmt::Write as _;

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jumelle_engine::RequestKind;
use jumelle_model::workspace::SourceKind;
use jumelle_profile::{Person, consents_json, profile_json, signals_json};
use jumelle_segment::{Language, explain_verdict};
use serde_json::{Map, Value, json};

use crate::preference_words::channel_name;
use crate::proof_page::{STYLE, escape};
use crate::{App, Problem};

/// Events of one copy. Whoever has more gets the newest, and the copy says so.
const EVENTS_MAX: usize = 100_000;
/// Events that the document to read shows; the files have them all.
const EVENTS_SHOWN: usize = 500;

/// Whether it is a form that a copy has.
pub(crate) fn is_format(format: &str) -> Result<(), Problem> {
    match format {
        "json" | "csv" | "html" => Ok(()),
        other => Err(Problem::bad_request(format!("{other:?} is not json, csv or html")).with("field", "format")),
    }
}

/// The copy as an answer.
pub(crate) fn answer(app: &App, person: &Person, kind: RequestKind, format: &str, lang: &str) -> Result<Response, Problem> {
    is_format(format)?;
    let copy = match kind {
        RequestKind::Portability => portable(app, person)?,
        _ => whole(app, person, lang)?,
    };
    let named = |extension: &str| format!("attachment; filename=\"data.{extension}\"");
    let store = (header::CACHE_CONTROL, "no-store".to_owned());
    Ok(match format {
        "csv" => {
            let headers = [
                (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
                (header::CONTENT_DISPOSITION, named("csv")),
                store,
            ];
            (headers, csv(&copy)).into_response()
        }
        "html" => {
            let policy =
                "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
                (header::CONTENT_SECURITY_POLICY, policy.to_owned()),
                store,
            ];
            (headers, page(&copy, lang)).into_response()
        }
        _ => ([(header::CONTENT_DISPOSITION, named("json")), store], Json(copy)).into_response(),
    })
}

fn events(app: &App, person: &Person) -> Result<(Vec<Value>, bool), Problem> {
    let page = app.engine.shared().events_of(person.id, None, EVENTS_MAX)?;
    Ok((page.items, page.next.is_some()))
}

/// Everything.
fn whole(app: &App, person: &Person, lang: &str) -> Result<Value, Problem> {
    let shared = app.engine.shared();
    let definitions = shared.definitions();
    let (workspace, plan) = (&definitions.workspace, &definitions.plan);
    let now = shared.now();
    let (events, truncated) = events(app, person)?;
    let language = if lang == "fr" { Language::Fr } else { Language::En };
    let label = |label: &jumelle_model::workspace::Label, key: &str| -> String {
        let (first, second) = if lang == "fr" { (&label.fr, &label.en) } else { (&label.en, &label.fr) };
        first.as_deref().or(second.as_deref()).unwrap_or(key).to_owned()
    };
    let purposes: Vec<Value> = workspace
        .purposes
        .iter()
        .map(|purpose| {
            json!({
                "key": purpose.key, "name": label(&purpose.terms.label, &purpose.key), "basis": purpose.basis,
                "retention": purpose.terms.retention.map(|span| span.to_string()), "partners": purpose.terms.partners,
            })
        })
        .collect();
    let sources: Vec<Value> = workspace.sources.iter().map(|source| json!({"key": source.key, "kind": source.kind})).collect();
    let recipients: Vec<Value> = shared
        .recipients_of(person.id)?
        .into_iter()
        .map(|recipient| {
            let destination = workspace.destination(&recipient.destination);
            let mut json = json!(recipient);
            json["country"] = json!(destination.and_then(|destination| destination.country.as_deref()));
            json["transfer"] = json!(destination.and_then(|destination| destination.transfer.as_deref()));
            json
        })
        .collect();
    let facts = person.facts(workspace, plan);
    let decisions: Vec<Value> = workspace
        .segments
        .iter()
        .enumerate()
        .filter(|(_, segment)| person.memberships.contains_key(&segment.key))
        .map(|(n, segment)| {
            json!({
                "segment": segment.key, "name": label(&segment.label, &segment.key), "since": person.memberships.get(&segment.key),
                "why": explain_verdict(plan, workspace, n, &facts, now, language),
            })
        })
        .collect();
    let sent = shared.deliveries_of(person.id, None, EVENTS_MAX)?;
    let messages: Vec<Value> = sent
        .items
        .iter()
        .map(|delivery| {
            let message = &delivery.message;
            let data: Map<String, Value> = message
                .data
                .iter()
                .map(|(field, text)| (field.clone(), serde_json::from_str(text).unwrap_or(Value::Null)))
                .collect();
            json!({
                "at": delivery.at, "destination": message.destination, "type": message.kind, "purpose": message.purpose,
                "channel": message.channel, "state": delivery.state, "data": data,
            })
        })
        .collect();
    let keys: Vec<u128> = person.known.identifiers.keys().map(jumelle_model::Identifier::key).collect();
    let is_hers = |id| id == person.id || person.known.absorbed.contains(&id);
    let requests: Vec<Value> = shared
        .requests()?
        .into_iter()
        .filter(|request| is_hers(request.profile))
        .map(|request| {
            json!({"kind": request.kind, "state": request.state, "asked_at": request.asked_at, "deadline": request.deadline,
                "identity": request.identity})
        })
        .collect();
    let preferences = &workspace.preferences;
    Ok(json!({
        "version": 1, "kind": "access", "made_at": now,
        "controller": {"name": preferences.name.as_deref().unwrap_or(&workspace.settings.key), "contact": preferences.contact,
            "notice": preferences.notice},
        "profile": profile_json(workspace, plan, person, now),
        "consents": consents_json(workspace, plan, person, now),
        "purposes": purposes, "sources": sources, "recipients": recipients, "automated_decisions": decisions,
        "messages": messages, "events": events, "events_truncated": truncated,
        "signals": signals_json(&person.known.choices), "joins": shared.joins_of(person.id)?, "requests": requests,
        "quarantine": shared.quarantined_about(&keys)?,
    }))
}

/// What she provided herself, by what she did and said: nothing that was computed, decided, sent, or that the house brought in files.
fn portable(app: &App, person: &Person) -> Result<Value, Problem> {
    let shared = app.engine.shared();
    let definitions = shared.definitions();
    let workspace = &definitions.workspace;
    let hers = |source: &str| workspace.source(source).is_none_or(|source| source.kind != SourceKind::File);
    let (mut events, truncated) = events(app, person)?;
    events.retain(|event| event["source"].as_str().is_some_and(hers));
    let identifiers: Vec<Value> = person
        .known
        .identifiers
        .iter()
        .filter(|(_, seen)| hers(&seen.first.1))
        .map(|(identifier, seen)| json!({"namespace": identifier.namespace, "value": identifier.value, "first_seen": seen.first.0.time}))
        .collect();
    let traits: Map<String, Value> = person
        .known
        .traits
        .iter()
        .filter(|(_, value)| hers(&value.source))
        .map(|(key, value)| (key.clone(), serde_json::from_str(&value.json).unwrap_or(Value::Null)))
        .collect();
    let consents: Vec<Value> = consents_json(workspace, &definitions.plan, person, shared.now())
        .into_iter()
        .filter(|consent| consent["source"].as_str().is_some_and(hers))
        .map(|consent| {
            json!({"purpose": consent["purpose"], "channel": consent["channel"], "for": consent["for"], "state": consent["state"],
                "since": consent["since"]})
        })
        .collect();
    Ok(json!({
        "version": 1, "kind": "portability", "made_at": shared.now(), "identifiers": identifiers, "traits": traits,
        "consents": consents, "events": events, "events_truncated": truncated,
    }))
}

/// One line per value: what it is about, which of them, where in it, and the value.
fn csv(copy: &Value) -> String {
    let mut out = String::from("table,item,field,value\r\n");
    let cell = |text: &str| {
        // A cell that a spreadsheet would take for a formula is text (OWASP, "CSV injection").
        let text = match text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err() {
            true => format!("'{text}"),
            false => text.to_owned(),
        };
        match text.contains(['"', ',', '\n', '\r']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text,
        }
    };
    for (table, value) in copy.as_object().into_iter().flatten() {
        let items: Vec<&Value> = match value {
            Value::Array(items) => items.iter().collect(),
            one => vec![one],
        };
        for (n, item) in items.into_iter().enumerate() {
            let mut leaves = Vec::new();
            flatten("", item, &mut leaves);
            for (field, value) in leaves {
                let _ = write!(out, "{},{},{},{}\r\n", cell(table), n + 1, cell(&field), cell(&value));
            }
        }
    }
    out
}

fn flatten(path: &str, value: &Value, leaves: &mut Vec<(String, String)>) {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| flatten(&join(key), value, leaves)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| flatten(&join(&(n + 1).to_string()), value, leaves));
        }
        Value::Null => {}
        Value::String(text) => leaves.push((path.to_owned(), text.clone())),
        other => leaves.push((path.to_owned(), other.to_string())),
    }
}

struct Words {
    lang: &'static str,
    access: &'static str,
    portability: &'static str,
    made: &'static str,
    controller: &'static str,
    identifiers: &'static str,
    traits: &'static str,
    computed: &'static str,
    consents: &'static str,
    purposes: &'static str,
    recipients: &'static str,
    decisions: &'static str,
    messages: &'static str,
    events: &'static str,
    requests: &'static str,
    quarantine: &'static str,
    nothing: &'static str,
    more: &'static str,
    rights: &'static str,
    every_channel: &'static str,
}

const FRENCH: Words = Words {
    lang: "fr",
    access: "Copie de vos données",
    portability: "Les données que vous avez fournies",
    made: "Établie le",
    controller: "Responsable du traitement",
    identifiers: "Comment nous vous reconnaissons",
    traits: "Ce que nous savons de vous",
    computed: "Ce que nous en calculons",
    consents: "Ce que vous avez choisi",
    purposes: "Pourquoi nous utilisons vos données",
    recipients: "Qui a reçu vos données",
    decisions: "Groupes dans lesquels un programme vous range, et pourquoi",
    messages: "Ce qui a été transmis à ces outils",
    events: "Ce que vous avez fait",
    requests: "Vos demandes",
    quarantine: "Ce que nous avons reçu sous votre nom sans pouvoir le lire",
    nothing: "Rien.",
    more: "Les plus récents ; le fichier JSON ou CSV les contient tous.",
    rights: "Vous pouvez demander la rectification, l'effacement ou la limitation de ces données, vous opposer à leur utilisation, et saisir l'autorité de contrôle (en France, la CNIL).",
    every_channel: "tous les canaux",
};

const ENGLISH: Words = Words {
    lang: "en",
    access: "A copy of your data",
    portability: "The data that you provided",
    made: "Made on",
    controller: "Controller",
    identifiers: "How we recognise you",
    traits: "What we know of you",
    computed: "What we compute from it",
    consents: "What you chose",
    purposes: "Why we use your data",
    recipients: "Who received your data",
    decisions: "Groups that a program puts you in, and why",
    messages: "What was handed to these tools",
    events: "What you did",
    requests: "Your requests",
    quarantine: "What came in under your name and could not be read",
    nothing: "Nothing.",
    more: "The newest; the JSON or CSV file has them all.",
    rights: "You may ask for correction, erasure or restriction of this data, object to its use, and complain to the supervisory authority (in the United Kingdom the ICO).",
    every_channel: "every channel",
};

/// What codes say to a person: code, French, English.
const CODES: [(&str, &str, &str); 18] = [
    ("granted", "accordé", "granted"),
    ("denied", "refusé", "refused"),
    ("consent", "votre consentement", "your consent"),
    ("contract", "un contrat avec vous", "a contract with you"),
    ("legitimate_interest", "notre intérêt légitime", "our legitimate interest"),
    ("legal_obligation", "une obligation légale", "a legal obligation"),
    ("soft_opt_in", "vos achats de produits analogues", "your purchases of similar products"),
    ("segment.entered", "ajout à un groupe", "added to a group"),
    ("segment.exited", "retrait d'un groupe", "taken out of a group"),
    ("profile.updated", "mise à jour", "updated"),
    ("consent.withdrawn", "retrait de votre consentement", "your consent was withdrawn"),
    ("profile.erased", "effacement", "erased"),
    ("queued", "en attente", "waiting"),
    ("sent", "envoyé", "sent"),
    ("blocked", "retenu", "held back"),
    ("dead", "abandonné", "given up"),
    ("identify", "coordonnées transmises", "details given"),
    ("page", "page consultée", "page viewed"),
];

/// A code in the person's words; what is none stays as it is.
fn said(words: &Words, code: &Value) -> String {
    let known = code.as_str().and_then(|code| CODES.iter().find(|(known, ..)| *known == code));
    known.map_or_else(|| text(code), |(_, french, english)| if words.lang == "fr" { french } else { english }.to_string())
}

/// An instant to the minute.
fn moment(value: &Value) -> String {
    let written =
        value.as_str().filter(|written| written.len() >= 16 && written.is_char_boundary(16) && written.is_char_boundary(10));
    written.map_or_else(|| text(value), |written| escape(&format!("{} {} UTC", &written[..10], &written[11..16])))
}

/// The document.
fn page(copy: &Value, lang: &str) -> String {
    let words = if lang == "fr" { &FRENCH } else { &ENGLISH };
    let is_portable = copy["kind"] == "portability";
    let title = if is_portable { words.portability } else { words.access };
    let mut out = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1><p>{}: {}",
        words.lang,
        words.made,
        moment(&copy["made_at"])
    );
    if !is_portable {
        let controller = &copy["controller"];
        let _ = write!(
            out,
            "<br>{}: {} {} {}",
            words.controller,
            text(&controller["name"]),
            text(&controller["contact"]),
            text(&controller["notice"])
        );
    }
    out.push_str("</p>");
    let person = if is_portable { copy } else { &copy["profile"] };
    section(
        &mut out,
        words,
        words.identifiers,
        rows(&person["identifiers"], |item| {
            vec![text(&item["namespace"]), text(&item["value"]), moment(&item["first_seen"]), text(&item["source"])]
        }),
    );
    section(&mut out, words, words.traits, members(&person["traits"]));
    if !is_portable {
        section(&mut out, words, words.computed, members(&person["computed"]));
    }
    section(
        &mut out,
        words,
        words.consents,
        rows(&copy["consents"], |item| {
            let channel = item["channel"].as_str().map_or(words.every_channel, |key| {
                jumelle_model::consent::Channel::parse(key).map_or(key, |channel| channel_name(channel, words.lang))
            });
            vec![
                text(&item["purpose"]),
                channel.to_owned(),
                said(words, &item["state"]),
                moment(&item["since"]),
                text(&item["source"]),
            ]
        }),
    );
    if !is_portable {
        section(
            &mut out,
            words,
            words.purposes,
            rows(&copy["purposes"], |item| {
                vec![text(&item["name"]), said(words, &item["basis"]), text(&item["retention"]), list(&item["partners"])]
            }),
        );
        section(
            &mut out,
            words,
            words.recipients,
            rows(&copy["recipients"], |item| {
                let dates = format!("{} – {}", moment(&item["first"]), moment(&item["last"]));
                vec![
                    text(&item["destination"]),
                    list(&item["purposes"]),
                    dates,
                    format!("{} {}", text(&item["country"]), text(&item["transfer"])),
                ]
            }),
        );
        section(
            &mut out,
            words,
            words.decisions,
            rows(&copy["automated_decisions"], |item| {
                vec![text(&item["name"]), moment(&item["since"]), text(&item["why"]["text"])]
            }),
        );
        section(
            &mut out,
            words,
            words.messages,
            rows(&copy["messages"], |item| {
                vec![
                    moment(&item["at"]),
                    text(&item["destination"]),
                    said(words, &item["type"]),
                    said(words, &item["state"]),
                    leaves(&item["data"]),
                ]
            }),
        );
    }
    let events = rows(&copy["events"], |item| {
        let name = if item["event"].is_null() { said(words, &item["type"]) } else { text(&item["event"]) };
        vec![moment(&item["timestamp"]), name, text(&item["source"]), leaves(&item["properties"])]
    });
    let is_cut = events.len() > EVENTS_SHOWN;
    section(&mut out, words, words.events, events.into_iter().take(EVENTS_SHOWN).collect());
    if is_cut || copy["events_truncated"] == true {
        let _ = write!(out, "<p>{}</p>", words.more);
    }
    if !is_portable {
        let asked =
            |item: &Value| vec![moment(&item["asked_at"]), text(&item["kind"]), text(&item["state"]), moment(&item["deadline"])];
        section(&mut out, words, words.requests, rows(&copy["requests"], asked));
        let aside = |item: &Value| vec![moment(&item["at"]), text(&item["source"]), text(&item["message"]), text(&item["body"])];
        section(&mut out, words, words.quarantine, rows(&copy["quarantine"], aside));
    }
    let _ = write!(out, "<p>{}</p></body></html>", words.rights);
    out
}

fn rows(list: &Value, cells: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().into_iter().flatten().map(cells).collect()
}

fn members(object: &Value) -> Vec<Vec<String>> {
    object.as_object().into_iter().flatten().map(|(key, value)| vec![escape(key), leaves(value)]).collect()
}

fn list(value: &Value) -> String {
    value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", ")
}

fn leaves(value: &Value) -> String {
    let mut found = Vec::new();
    flatten("", value, &mut found);
    let shown = found.into_iter().map(|(path, value)| match path.is_empty() {
        true => escape(&value),
        false => format!("{}: {}", escape(&path), escape(&value)),
    });
    shown.collect::<Vec<_>>().join("<br>")
}

fn section(out: &mut String, words: &Words, title: &str, rows: Vec<Vec<String>>) {
    let _ = write!(out, "<h2>{title}</h2>");
    if rows.is_empty() {
        let _ = write!(out, "<p>{}</p>", words.nothing);
        return;
    }
    out.push_str("<table><tbody>");
    for row in rows {
        let cells: String = row.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let _ = write!(out, "<tr>{cells}</tr>");
    }
    out.push_str("</tbody></table>");
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_no_second_cell() {
        let copy =
            json!({"traits": {"note": "=HYPERLINK(\"x\")", "city": "Lille, Nord", "age": -3}, "events": [{"event": "A\nB"}]});
        let csv = csv(&copy);
        assert!(csv.contains("traits,1,note,\"'=HYPERLINK(\"\"x\"\")\"\r\n"), "{csv}");
        assert!(csv.contains("traits,1,city,\"Lille, Nord\"\r\n") && csv.contains("traits,1,age,-3\r\n"), "{csv}");
        assert!(csv.contains("events,1,event,\"A\nB\"\r\n"), "{csv}");
    }

    #[test]
    fn what_was_sent_to_us_stays_text() {
        let copy = json!({"kind": "access", "profile": {"traits": {"<i>": "<script>"}}, "events": [{"event": "<b>", "properties": {"<u>": "</table>"}}]});
        for lang in ["fr", "en"] {
            let page = page(&copy, lang);
            assert!(["<script", "<b>", "<i>", "<u>"].iter().all(|tag| !page.contains(tag)), "{page}");
        }
    }
}
