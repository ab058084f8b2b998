//! Consent receipts (after ISO/IEC TS 27560, in the words of the W3C Data Privacy Vocabulary) and the record of processing
//! activities (GDPR, article 30), both made from what the workspace says.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jumelle_consent::Standing;
use jumelle_model::Workspace;
use jumelle_model::consent::{Basis, ConsentState, Scope};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::policy::Policy;
use jumelle_model::workspace::{Label, Purpose};
use jumelle_profile::choice_ends;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::profiles::find;
use crate::proof_page::{STYLE, escape};
use crate::{App, Problem};

fn text<'a>(label: &'a Label, lang: &str, key: &'a str) -> &'a str {
    let (first, second) = if lang == "fr" { (&label.fr, &label.en) } else { (&label.en, &label.fr) };
    first.as_deref().or(second.as_deref()).unwrap_or(key)
}

fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Consent => "eu-gdpr:A6-1-a",
        Basis::Contract => "eu-gdpr:A6-1-b",
        Basis::LegalObligation => "eu-gdpr:A6-1-c",
        Basis::LegitimateInterest | Basis::SoftOptIn => "eu-gdpr:A6-1-f",
    }
}

/// `?identifier=`
#[derive(Deserialize)]
pub struct ReceiptQuery {
    identifier: String,
}

/// The profiles of DPV for records and receipts as of ISO/IEC TS 27560:2023 (<https://w3id.org/dpv/guides/consent-27560>).
const PROFILE: &str = "https://w3id.org/dpv/schema/dpv-27560";

/// `GET /v1/privacy/receipts`: a receipt with one record per choice that stands.
///
/// The fields are those of the guide's table "ISO 27560:2023, EU GDPR, and DPV". One that it calls mandatory and that nobody has said
/// (where data is stored, the controller's address, a purpose's retention) is not made up: `jumelle:missing` names it.
pub async fn receipts(State(app): State<App>, Query(query): Query<ReceiptQuery>) -> Result<Response, Problem> {
    let person = find(&app, &query.identifier)?;
    let shared = app.engine.shared();
    let definitions = shared.definitions();
    let workspace = &definitions.workspace;
    let preferences = &workspace.preferences;
    let now = shared.now();
    let controller_id = format!("urn:jumelle:controller:{}", workspace.settings.key);
    let subject = format!("urn:jumelle:profile:{}", person.id);
    let standing = person.known.choices.list().into_iter().filter(|standing| standing.signal().is_none());
    let ends = |standing: &Standing| choice_ends(workspace, &definitions.plan, &person, standing, now, Policy::expires_after);
    let records: Vec<Value> = standing
        .map(|standing| {
            let is_withdrawal = person.known.choices.is_withdrawal(&standing);
            receipt(workspace, &standing, (ends(&standing), is_withdrawal), (&controller_id, &subject), now)
        })
        .collect();
    let controller = json!({
        "@id": controller_id, "@type": "dpv:DataController", "dct:identifier": workspace.settings.key,
        "dpv:hasName": preferences.name.as_deref().unwrap_or(&workspace.settings.key), "dpv:hasContact": preferences.contact,
    });
    let receipt = json!({
        "@id": format!("urn:jumelle:receipt:{}:{}", person.id, now.0), "@type": "dpv:ConsentReceipt",
        "dct:identifier": format!("{}:{}", person.id, now.0), "dct:conformsTo": format!("{PROFILE}#receipt"),
        "dct:created": now, "dct:publisher": {"@id": controller_id}, "dct:audience": {"@id": subject},
        "dpv:hasRecordOfActivity": records,
    });
    let document = json!({
        "@context": {
            "dpv": "https://w3id.org/dpv#", "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#", "loc": "https://w3id.org/dpv/loc#",
            "dct": "http://purl.org/dc/terms/", "jumelle": "urn:jumelle:vocabulary:",
        },
        "@graph": [controller, receipt],
    });
    Ok(([(header::CONTENT_TYPE, "application/ld+json")], Json(document)).into_response())
}

/// The record of one choice, with when it ends if it is a grant, and whether it takes back one.
fn receipt(
    workspace: &Workspace,
    standing: &Standing,
    (ends, is_withdrawal): (Option<Timestamp>, bool),
    (controller, subject): (&str, &str),
    now: Timestamp,
) -> Value {
    let preferences = &workspace.preferences;
    let lang = workspace.settings.locale.as_str();
    let purpose = workspace.purpose(&standing.purpose);
    let version = standing.text_version();
    let shown = purpose.and_then(|purpose| {
        let version = version.as_deref()?;
        purpose.terms.texts.iter().find(|text| text.version == version)
    });
    let granted = standing.state == ConsentState::Granted;
    let expires = ends.filter(|_| granted);
    let is_old_text = purpose.is_some_and(|purpose| !purpose.takes_version(|| version.clone()));
    let proof = standing.proof_json().unwrap_or_default();
    let activations = || {
        let of_purpose = workspace.activations.iter().filter(|activation| activation.purpose == standing.purpose);
        of_purpose.filter(|activation| standing.channel.is_none_or(|channel| channel == activation.channel))
    };
    let recipients: BTreeSet<&str> = activations().map(|activation| activation.destination.as_str()).collect();
    let recipients: Vec<Value> = recipients
        .into_iter()
        .map(|key| {
            let country = workspace.destination(key).and_then(|destination| destination.country.as_deref());
            json!({
                "@id": format!("urn:jumelle:destination:{key}"), "@type": "dpv:Recipient", "dct:identifier": key, "dpv:hasName": key,
                "dpv:hasLocation": country.map(|country| format!("loc:{country}")),
            })
        })
        .collect();
    let mut data: BTreeSet<String> =
        activations().flat_map(|activation| activation.map.iter().map(|(_, path)| path.to_string())).collect();
    if let Scope::Address(namespace, _) = &standing.scope {
        data.insert(format!("identifiers.{namespace}"));
    }
    let data: Vec<Value> = data.into_iter().map(|field| json!({"@type": "dpv:PersonalData", "dct:identifier": field})).collect();
    let retention = purpose.and_then(|purpose| purpose.terms.retention).map(|span| span.to_string());
    let withdrawal = preferences.url.as_deref().or(preferences.contact.as_deref());
    let status = match granted {
        true if is_old_text => "dpv:ConsentInvalidated",
        true if expires.is_some_and(|expires| expires <= now) => "dpv:ConsentExpired",
        true => "dpv:ConsentGiven",
        false if is_withdrawal => "dpv:ConsentWithdrawn",
        false => "dpv:ConsentRefused",
    };
    let mut missing = vec!["storage locations", "party address"];
    let mut needs = |field: &'static str, is_there: bool| {
        if !is_there {
            missing.push(field);
        }
    };
    needs("party contact", preferences.contact.is_some());
    needs("privacy notice", version.is_some() || preferences.notice.is_some());
    needs("language", !proof["lang"].is_null());
    needs("pii information", !data.is_empty());
    needs("retention period", retention.is_some());
    needs("withdrawal method", withdrawal.is_some());
    needs("validity duration", !granted || expires.is_some());
    json!({
        "@id": format!("urn:jumelle:receipt:{}", standing.receipt()), "@type": "dpv:ConsentRecord",
        "dct:identifier": standing.receipt(), "dct:conformsTo": format!("{PROFILE}#record"),
        "dpv:hasDataSubject": {"@id": subject, "@type": "dpv:DataSubject"},
        "dpv:hasDataController": {"@id": controller},
        "dpv:hasJurisdiction": format!("loc:{}", workspace.settings.country),
        "dpv:hasProcess": {
            "@type": "dpv:Process",
            "dpv:hasPurpose": {
                "@id": format!("urn:jumelle:purpose:{}", standing.purpose), "@type": "dpv:Purpose",
                "dct:title": purpose.map_or(standing.purpose.as_str(), |purpose| text(&purpose.terms.label, lang, &purpose.key)),
            },
            "dpv:hasLegalBasis": {"@id": purpose.map_or("eu-gdpr:A6-1-a", |purpose| basis(purpose.basis))},
            "dpv:hasPersonalData": data,
            "dpv:hasRecipient": recipients,
            "dpv:hasStorageCondition": retention.map(|span| json!([{"@type": "dpv:StorageDuration", "dpv:hasDuration": span}])),
        },
        "dpv:hasConsentControl": withdrawal.map(|at| json!({"@type": "dpv:WithdrawConsent", "dpv:isExercisedAt": at})),
        "dpv:hasNotice": {
            "@type": "dpv:ConsentNotice", "dct:identifier": version, "dct:language": proof["lang"],
            "dct:description": shown.map(|shown| text(&shown.words, lang, "")), "dct:source": preferences.notice,
        },
        "dpv:hasConsentStatus": {
            "@type": status, "dpv:isIndicatedBy": {"@id": subject}, "dpv:hasIndicationMethod": proof["method"],
            "dpv:isIndicatedAtTime": standing.since, "dct:date": standing.since, "dct:valid": expires,
        },
        "jumelle:missing": missing,
        "jumelle:channel": standing.channel, "jumelle:source": standing.source, "jumelle:undated": standing.weak,
        "jumelle:for": match &standing.scope {
            Scope::Person => json!("person"),
            Scope::Address(namespace, value) => json!({namespace.as_str(): value}),
        },
        "jumelle:proof": proof,
    })
}

/// `?format=&lang=`
#[derive(Deserialize)]
pub struct RecordQuery {
    format: Option<String>,
    lang: Option<String>,
}

/// `GET /v1/privacy/record`: the record of processing activities.
pub async fn record(State(app): State<App>, Query(query): Query<RecordQuery>) -> Result<Response, Problem> {
    let definitions = app.engine.shared().definitions();
    let workspace = &definitions.workspace;
    let lang = query.lang.as_deref().unwrap_or(&workspace.settings.locale);
    let document = of_workspace(workspace, lang, app.engine.shared().now());
    match query.format.as_deref() {
        None | Some("json") => Ok(Json(document).into_response()),
        Some("html") => {
            let policy =
                "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
            let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
            Ok((headers, page(&document, lang)).into_response())
        }
        Some(other) => Err(Problem::bad_request(format!("{other:?} is not json or html")).with("field", "format")),
    }
}

fn of_workspace(workspace: &Workspace, lang: &str, now: Timestamp) -> Value {
    let preferences = &workspace.preferences;
    let of_purpose = |purpose: &Purpose| {
        let activations: Vec<_> = workspace.activations.iter().filter(|activation| activation.purpose == purpose.key).collect();
        let mut fields: Vec<String> =
            activations.iter().flat_map(|activation| activation.map.iter().map(|(_, path)| path.to_string())).collect();
        fields.sort();
        fields.dedup();
        let mut channels: Vec<&str> = activations.iter().map(|activation| activation.channel.as_str()).collect();
        channels.sort_unstable();
        channels.dedup();
        let mut segments: Vec<&str> = activations
            .iter()
            .filter_map(|activation| workspace.segment(&activation.segment))
            .map(|segment| text(&segment.label, lang, &segment.key))
            .collect();
        segments.dedup();
        let mut destinations: Vec<&str> = activations.iter().map(|activation| activation.destination.as_str()).collect();
        destinations.sort_unstable();
        destinations.dedup();
        let recipients: Vec<Value> = destinations
            .into_iter()
            .filter_map(|key| workspace.destination(key))
            .map(|destination| {
                json!({
                    "destination": destination.key, "connector": destination.connector, "country": destination.country,
                    "transfer": destination.transfer,
                })
            })
            .collect();
        json!({
            "key": purpose.key, "name": text(&purpose.terms.label, lang, &purpose.key), "legal_basis": purpose.basis,
            "marketing": purpose.is_marketing(), "data_subjects": segments, "categories_of_data": fields, "channels": channels,
            "recipients": recipients, "partners": purpose.terms.partners,
            "retention": purpose.terms.retention.map(|span| span.to_string()),
            "consent_expires_after": workspace.policy.validities(purpose).into_iter().min().map(|span| span.to_string()),
            "age_min": purpose.terms.age_min, "text_version": purpose.text().map(|text| text.version.clone()),
        })
    };
    let purposes: Vec<Value> = workspace.purposes.iter().map(of_purpose).collect();
    let open: Vec<Value> = workspace
        .purposes
        .iter()
        .filter(|purpose| purpose.terms.retention.is_none())
        .map(|purpose| json!({"purpose": purpose.key, "missing": "retention"}))
        .chain(
            workspace
                .destinations
                .iter()
                .filter(|destination| destination.country.is_none())
                .map(|destination| json!({"destination": destination.key, "missing": "country"})),
        )
        .chain(preferences.contact.is_none().then(|| json!({"workspace": workspace.settings.key, "missing": "contact"})))
        .collect();
    let sources: Vec<Value> = workspace.sources.iter().map(|source| json!({"key": source.key, "kind": source.kind})).collect();
    let identifiers: Vec<&str> = workspace.identifiers.iter().map(|rule| rule.key.as_str()).collect();
    json!({
        "version": 1, "made_at": now,
        "controller": {"name": preferences.name.as_deref().unwrap_or(&workspace.settings.key), "contact": preferences.contact,
            "country": workspace.settings.country},
        "activities": purposes, "sources": sources, "identifiers": identifiers,
        "policies": workspace.policy.extends,
        "security": ["access_by_role", "append_only_history", "hash_chained_ledger", "erasure_with_tombstone", "signed_links"],
        "incomplete": open,
    })
}

fn page(record: &Value, lang: &str) -> String {
    let fr = lang == "fr";
    let say = |french: &'static str, english: &'static str| if fr { french } else { english };
    let shown = |value: &Value| match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => escape(text),
        Value::Array(items) if items.is_empty() => "–".to_owned(),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => escape(text),
                Value::Object(members) => members.values().filter_map(Value::as_str).map(escape).collect::<Vec<_>>().join(" · "),
                other => escape(&other.to_string()),
            })
            .collect::<Vec<_>>()
            .join("<br>"),
        other => escape(&other.to_string()),
    };
    let title =
        say("Registre des activités de traitement (RGPD, article 30)", "Record of processing activities (GDPR, article 30)");
    let controller = &record["controller"];
    let mut out = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1><p>{}: {} {} ({})<br>{}: {}</p>",
        if fr { "fr" } else { "en" },
        say("Responsable du traitement", "Controller"),
        shown(&controller["name"]),
        shown(&controller["contact"]),
        shown(&controller["country"]),
        say("Établi le", "Made on"),
        shown(&record["made_at"])
    );
    let lines = [
        ("legal_basis", say("Base légale", "Legal basis")),
        ("data_subjects", say("Personnes concernées", "Data subjects")),
        ("categories_of_data", say("Catégories de données", "Categories of data")),
        ("channels", say("Canaux", "Channels")),
        ("recipients", say("Destinataires, pays, contrat de transfert", "Recipients, country, transfer contract")),
        ("partners", say("Partenaires", "Partners")),
        ("retention", say("Durée de conservation", "Retention")),
        ("consent_expires_after", say("Validité du consentement", "Validity of a consent")),
        ("age_min", say("Âge minimal", "Least age")),
        ("text_version", say("Version du texte", "Version of the text")),
    ];
    for activity in record["activities"].as_array().into_iter().flatten() {
        let _ = write!(out, "<h2>{}</h2><table><tbody>", shown(&activity["name"]));
        for (key, label) in lines {
            let _ = write!(out, "<tr><th scope=\"row\">{label}</th><td>{}</td></tr>", shown(&activity[key]));
        }
        out.push_str("</tbody></table>");
    }
    let _ = write!(
        out,
        "<h2>{}</h2><p>{}</p><h2>{}</h2><p>{}</p><h2>{}</h2><p>{}</p></body></html>",
        say("Sources", "Sources"),
        shown(&record["sources"]),
        say("Mesures de sécurité", "Security measures"),
        shown(&record["security"]),
        say("À compléter", "To be completed"),
        shown(&record["incomplete"])
    );
    out
}
