//! The ledger: roots, verification, and the proof for one person.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jumelle_engine::Shared;
use jumelle_ledger::{Against, Choice, LedgerError, Proof, Root, Statement, Text, Under};
use jumelle_model::Workspace;
use jumelle_model::ids::{DeliveryId, ProfileId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::profiles::find;
use crate::{App, Problem, proof_document, proof_page, proof_pdf};

/// `GET /v1/ledger/roots`
pub async fn roots(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let items = blocking(&app, |shared| shared.ledger.roots(shared.wall.now())).await?;
    Ok(Json(json!({"items": items, "next": null})))
}

/// `{"keys": [HEX], "roots": [ROOT]}`, both optional.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyRequest {
    keys: Vec<String>,
    roots: Vec<Root>,
}

/// `POST /v1/ledger/verify`
pub async fn verify(State(app): State<App>, body: String) -> Result<Json<Value>, Problem> {
    let request: VerifyRequest = match body.trim() {
        "" => VerifyRequest::default(),
        body => serde_json::from_str(body)
            .map_err(|error| Problem::bad_request(format!("{error}; write {{\"keys\": [hexadecimal], \"roots\": […]}}")))?,
    };
    let against = Against { keys: request.keys, roots: request.roots };
    let verified = blocking(&app, move |shared| shared.ledger.verify(&against)).await?;
    Ok(Json(json!(verified)))
}

/// `?identifier=&format=&lang=`
#[derive(Deserialize)]
pub struct ProofQuery {
    identifier: String,
    format: Option<String>,
    lang: Option<String>,
}

/// `GET /v1/privacy/proof`
pub async fn proof(State(app): State<App>, Query(query): Query<ProofQuery>) -> Result<Response, Problem> {
    let format = query.format.as_deref().unwrap_or("json");
    if !["json", "html", "pdf"].contains(&format) {
        return Err(Problem::bad_request(format!("{format:?} is not json, html or pdf")).with("field", "format"));
    }
    let ids = ids_of(&app, &query.identifier)?;
    let (asked, locale) = (ids.clone(), app.engine.shared().definitions().workspace.settings.locale.clone());
    // Said while she was one with somebody else, of whom nothing is told.
    let (ids, about_her) = app.engine.shared().in_ledger(&ids)?;
    let proof = blocking(&app, move |shared| shared.ledger.prove(&ids, shared.wall.now(), about_her)).await?;
    let mut document = document(&app.engine.shared().definitions().workspace, &query.identifier, &asked, &proof);
    let splits = asked.first().map(|id| app.engine.shared().splits_of(*id)).transpose()?.unwrap_or_default();
    document["splits"] = splits.iter().map(|split| json!({"at": split.at, "reason": split.reason})).collect();
    if format == "json" {
        return Ok(Json(document).into_response());
    }
    let words = proof_document::Words::of(query.lang.as_deref().unwrap_or(&locale));
    let read = proof_document::document(&document, words);
    if format == "pdf" {
        let headers = [
            (header::CONTENT_TYPE, "application/pdf"),
            (header::CONTENT_DISPOSITION, proof_pdf::DISPOSITION),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let set = tokio::task::spawn_blocking(move || proof_pdf::pdf(&read, &document)).await;
        let failed = |error: String| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the PDF was not made", error);
        let bytes = set.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
        return Ok((headers, bytes).into_response());
    }
    // The page is a document to print: it has one style sheet and nothing that runs.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    Ok((headers, proof_page::page(&read)).into_response())
}

async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(Arc<Shared>) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, Problem> {
    let shared = app.engine.shared().clone();
    let done = tokio::task::spawn_blocking(move || work(shared)).await;
    let stopped = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "the work on the ledger did not end");
    Ok(done.map_err(stopped)??)
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "ledger error", error.to_string())
    }
}

/// The ids that a person has or had; of somebody erased those that her tombstones name.
fn ids_of(app: &App, identifier: &str) -> Result<Vec<ProfileId>, Problem> {
    let shared = app.engine.shared();
    let found = find(app, identifier);
    let mut ids: Vec<ProfileId> = Vec::new();
    if let Ok(person) = &found {
        ids.push(person.id);
        ids.extend(person.known.absorbed.iter().copied());
    }
    ids.extend(identifier.parse::<ProfileId>());
    if let Some((namespace, value)) = identifier.split_once(':')
        && let Ok(identifier) = jumelle_identify::identifier_of(&shared.definitions().workspace, namespace, value)
    {
        let key = identifier.key();
        for tombstone in shared.history.tombstones() {
            let tombstone = tombstone?;
            ids.extend(tombstone.keys.contains(&key).then_some(tombstone.profile));
        }
    }
    // The one that she has now stays the first.
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    match (found, ids.is_empty()) {
        (Err(problem), true) => Err(problem),
        _ => Ok(ids),
    }
}

/// The proof as people and programs read it: what was chosen, what was sent under which choice, and the entries that say so.
fn document(workspace: &Workspace, identifier: &str, ids: &[ProfileId], proof: &Proof) -> Value {
    let (mut choices, mut erasures) = (Vec::new(), Vec::new());
    let mut by_receipt: HashMap<String, Value> = HashMap::new();
    let mut outcomes: HashMap<DeliveryId, Value> = HashMap::new();
    let statements: Vec<(Value, Statement)> = proof
        .entries
        .iter()
        .filter_map(|entry| Some((json!({"day": entry.day, "index": entry.index}), entry.statement()?)))
        .collect();
    let texts: Vec<(&Value, &Text)> = statements
        .iter()
        .filter_map(|(place, statement)| match statement {
            Statement::Text(text) => Some((place, &**text)),
            _ => None,
        })
        .collect();
    // The words that were in force when the choice came in.
    let words_of = |choice: &Choice| {
        let version = choice.text_version()?;
        let is_of_it = |text: &&(&Value, &Text)| {
            text.1.purpose == choice.purpose && text.1.version == version && text.1.at <= choice.received
        };
        let (place, text) = texts.iter().filter(is_of_it).max_by_key(|(_, text)| text.at)?;
        Some(json!({"version": text.version, "words": text.words, "entry": place}))
    };
    for (place, statement) in &statements {
        for choice in statement.choices() {
            for receipt in &choice.receipts {
                by_receipt.insert(receipt.clone(), place.clone());
            }
            choices.push(json!({
                "chosen_at": choice.at, "received_at": choice.received, "purpose": choice.purpose,
                "channel": choice.channel, "state": choice.state, "address": choice.address, "source": choice.source,
                "undated_import": choice.weak, "shown": choice.proof, "text": words_of(&choice), "receipts": choice.receipts, "entry": place,
            }));
        }
        match statement {
            Statement::Outcome(outcome) => {
                let told = json!({
                    "at": outcome.at, "state": outcome.state, "attempts": outcome.attempts, "status": outcome.status,
                    "reason": outcome.reason, "entry": place,
                });
                outcomes.insert(outcome.delivery, told);
            }
            Statement::Erasure(erasure) => {
                let count: usize = erasure.entries.values().map(Vec::len).sum();
                erasures.push(json!({"at": erasure.at, "profile": erasure.profile, "entries": count, "entry": place}));
            }
            _ => {}
        }
    }
    let mut sent: BTreeMap<(jumelle_model::Timestamp, DeliveryId), Value> = BTreeMap::new();
    let mut first: HashMap<DeliveryId, jumelle_model::Timestamp> = HashMap::new();
    for (place, statement) in statements {
        let Statement::Release(release) = statement else { continue };
        let at = *first.entry(release.delivery).or_insert(release.at);
        let attempt = json!({"at": release.at, "entry": place});
        let item = sent.entry((at, release.delivery)).or_insert_with(|| {
            let choice = match &release.under {
                Under::Choice { receipt, .. } => by_receipt.get(receipt).cloned(),
                _ => None,
            };
            json!({
                "at": release.at, "delivery": release.delivery, "type": release.kind, "destination": release.destination,
                "purpose": release.purpose, "channel": release.channel, "address": release.address, "data": release.data,
                "body_sha256": release.body_sha256, "under": release.under, "choice": choice,
                "outcome": outcomes.get(&release.delivery), "let_out": [],
            })
        });
        if let Some(attempts) = item["let_out"].as_array_mut() {
            attempts.push(attempt);
        }
    }
    json!({
        "version": 1, "identifier": identifier, "profiles": ids, "made_at": proof.made_at, "truncated": proof.truncated,
        "choices": choices, "sent": sent.into_values().collect::<Vec<_>>(), "erasures": erasures,
        "purposes": purposes(workspace, proof),
        "entries": proof.entries, "roots": proof.roots,
    })
}

/// What the definitions in force say of the purposes that somebody chose for: their names, and the words of each version of their
/// texts. What was shown is the `text` of a choice, which the ledger has; choices from before it did have none.
fn purposes(workspace: &Workspace, proof: &Proof) -> Value {
    let statements = proof.entries.iter().filter_map(|entry| entry.statement());
    let chosen: BTreeSet<String> = statements
        .flat_map(|statement| statement.choices().into_iter().map(|choice| choice.purpose.clone()).collect::<Vec<_>>())
        .collect();
    let said = chosen.into_iter().filter_map(|key| {
        let terms = &workspace.purpose(&key)?.terms;
        let texts: serde_json::Map<String, Value> =
            terms.texts.iter().map(|text| (text.version.clone(), json!(text.words))).collect();
        Some((key, json!({"label": terms.label, "texts": texts})))
    });
    Value::Object(said.collect())
}
