//! The rights of a person, asked by staff: access, portability, rectification, erasure, restriction, objection; and the requests.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jumelle_engine::{
    Draft, ExtensionReason, IdentityCheck, RefusalReason, RequestKind, RequestState, RequestStep, RightsRequest, step_draft,
};
use jumelle_model::Identifier;
use jumelle_model::workspace::preferences::{FREQUENCY_TRAIT, PAUSE_TRAIT};
use jumelle_profile::Person;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::links::record_event;
use crate::profiles::{find, find_caught_up};
use crate::tokens::Identity;
use crate::{App, Problem, access};

/// The source of what staff records.
const SOURCE: &str = "privacy";

/// `{"identifier": "email:ana@example.org", "identity": "callback"?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightRequest {
    identifier: String,
    #[serde(default = "by_staff")]
    identity: IdentityCheck,
    /// For access: `access` (default) or `portability`.
    scope: Option<String>,
    /// For access: `json` (default), `csv` or `html`.
    format: Option<String>,
    /// For access: `fr` or `en`.
    lang: Option<String>,
    /// For restriction: `true` ends it.
    #[serde(default)]
    lift: bool,
    /// For objection: only this purpose.
    purpose: Option<String>,
    /// For rectification: traits with their right values.
    #[serde(default)]
    traits: Map<String, Value>,
    /// For rectification: wrong identifiers with the right ones.
    #[serde(default)]
    identifiers: Vec<Correction>,
}

/// `{"from": "email:ana@exmaple.org", "to": "email:ana@example.org"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Correction {
    from: String,
    to: String,
}

fn by_staff() -> IdentityCheck {
    IdentityCheck::Staff
}

fn read(body: &str) -> Result<RightRequest, Problem> {
    serde_json::from_str(body)
        .map_err(|error| Problem::bad_request(format!("{error}; write {{\"identifier\": \"email:ana@example.org\"}}")))
}

/// The name and value under which an event says it is she; the profile's id is none.
fn names(person: &Person) -> Result<Value, Problem> {
    let first = person.known.identifiers.keys().next();
    let identifier = first.ok_or_else(|| Problem::not_found("nobody is known by this identifier"))?;
    Ok(json!([{"type": identifier.namespace, "id": identifier.value, "collection": "users", "encoding": "none"}]))
}

fn new_id() -> u64 {
    rand::random()
}

fn asked(app: &App, person: &Person, kind: RequestKind, identity: IdentityCheck, by: &str) -> Result<RequestStep, Problem> {
    let recipients = app.engine.shared().recipients_of(person.id)?;
    Ok(RequestStep::Asked { kind, identity, by: by.to_owned(), recipients })
}

/// A request that waits.
pub(crate) async fn ask(
    app: &App,
    person: &Person,
    kind: RequestKind,
    identity: IdentityCheck,
    by: &str,
) -> Result<u64, Problem> {
    // Pressed twice, it is one request.
    let open = app
        .engine
        .shared()
        .requests()?
        .into_iter()
        .find(|known| known.profile == person.id && known.kind == kind && known.state == RequestState::Received);
    if let Some(open) = open {
        return Ok(open.id);
    }
    let id = new_id();
    let step = asked(app, person, kind, identity, by)?;
    app.engine.intake().submit(vec![step_draft(id, person.id, &step)], true).await?;
    count(kind);
    Ok(id)
}

/// A request that is done at once.
pub(crate) async fn note_done(
    app: &App,
    person: &Person,
    kind: RequestKind,
    identity: IdentityCheck,
    by: &str,
) -> Result<u64, Problem> {
    let id = new_id();
    let steps = [asked(app, person, kind, identity, by)?, RequestStep::Done { by: by.to_owned() }];
    let drafts: Vec<Draft> = steps.iter().map(|step| step_draft(id, person.id, step)).collect();
    app.engine.intake().submit(drafts, true).await?;
    count(kind);
    Ok(id)
}

/// Erases, with its request, in one durable step.
pub(crate) async fn erase_person(app: &App, person: &Person, identity: IdentityCheck, by: &str) -> Result<u64, Problem> {
    // A request that waited for the identity check is this one.
    let shared = app.engine.shared();
    let open = shared
        .requests()?
        .into_iter()
        .find(|known| known.profile == person.id && known.kind == RequestKind::Erase && known.state == RequestState::Received);
    let id = open.as_ref().map_or_else(new_id, |open| open.id);
    let first = match open {
        None => asked(app, person, RequestKind::Erase, identity, by)?,
        Some(_) => RequestStep::Identified { identity, by: by.to_owned() },
    };
    let done = RequestStep::Done { by: by.to_owned() };
    let before = vec![step_draft(id, person.id, &first)];
    match app.engine.erase(person.id, before, vec![step_draft(id, person.id, &done)]).await? {
        Some(_) => {
            count(RequestKind::Erase);
            Ok(id)
        }
        None => Err(Problem::not_found("nobody is known by this identifier")),
    }
}

fn count(kind: RequestKind) {
    let kind = serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    metrics::counter!("jumelle_rights_requests_total", "kind" => kind).increment(1);
}

fn checked(request: &RightRequest) -> Result<(), Problem> {
    if request.identity == IdentityCheck::Pending {
        let detail = "say how it is known that it is she: link, account, callback, in_person, document or staff";
        return Err(Problem::bad_request(detail).with("field", "identity"));
    }
    Ok(())
}

fn shown(app: &App, id: u64) -> Result<Value, Problem> {
    let shared = app.engine.shared();
    let request = shared.request(id)?.ok_or_else(|| Problem::not_found("there is no such request"))?;
    let fan_out = shared.fan_out(&request)?;
    Ok(request.to_json(fan_out, shared.now()))
}

/// `POST /v1/privacy/access`: everything that is known, where from, what for, and who received it.
pub async fn access(State(app): State<App>, Extension(caller): Extension<Identity>, body: String) -> Result<Response, Problem> {
    let request = read(&body)?;
    checked(&request)?;
    let kind = match request.scope.as_deref() {
        None | Some("access") => RequestKind::Access,
        Some("portability") => RequestKind::Portability,
        Some(other) => {
            return Err(Problem::bad_request(format!("{other:?} is not access or portability")).with("field", "scope"));
        }
    };
    let format = request.format.as_deref().unwrap_or("json");
    access::is_format(format)?;
    let person = find_caught_up(&app, &request.identifier).await?;
    note_done(&app, &person, kind, request.identity, &caller.name).await?;
    let locale = app.engine.shared().definitions().workspace.settings.locale.clone();
    access::answer(&app, &person, kind, format, request.lang.as_deref().unwrap_or(&locale))
}

/// `POST /v1/privacy/erase`: the person leaves history and tables; tools that had received her are told.
pub async fn erase(State(app): State<App>, Extension(caller): Extension<Identity>, body: String) -> Result<Json<Value>, Problem> {
    let request = read(&body)?;
    checked(&request)?;
    let person = find_caught_up(&app, &request.identifier).await?;
    let (id, events) = (person.id, person.known.events);
    let asked = erase_person(&app, &person, request.identity, &caller.name).await?;
    Ok(Json(json!({"erased": id, "events": events, "request": shown(&app, asked)?})))
}

/// `POST /v1/privacy/restrict`: kept, and not used, until it is lifted.
pub async fn restrict(
    State(app): State<App>,
    Extension(caller): Extension<Identity>,
    body: String,
) -> Result<Json<Value>, Problem> {
    let request = read(&body)?;
    checked(&request)?;
    let (state, kind) = if request.lift { ("lifted", RequestKind::Lift) } else { ("on", RequestKind::Restrict) };
    let choice = json!({"signal": "restriction", "state": state, "proof": {"method": "request"}});
    Ok(Json(choose(&app, &request, kind, &caller, vec![choice], Map::new()).await?))
}

/// `POST /v1/privacy/object`: no marketing, whatever its basis; or not this purpose.
pub async fn object(
    State(app): State<App>,
    Extension(caller): Extension<Identity>,
    body: String,
) -> Result<Json<Value>, Problem> {
    let request = read(&body)?;
    let choice = match &request.purpose {
        None => json!({"signal": "objection", "state": "on", "proof": {"method": "request"}}),
        Some(purpose) => {
            if app.engine.shared().definitions().workspace.purpose(purpose).is_none() {
                return Err(Problem::bad_request(format!("there is no purpose {purpose:?}")).with("field", "purpose"));
            }
            json!({"purpose": purpose, "state": "denied", "proof": {"method": "request"}})
        }
    };
    Ok(Json(choose(&app, &request, RequestKind::Object, &caller, vec![choice], Map::new()).await?))
}

/// Why an identifier is not put right.
pub(crate) enum NotCorrected {
    /// It names nobody, or is not hers.
    Unusable(&'static str, String),
    /// The right one is somebody else's.
    Taken,
}

/// An identifier of hers put right, as an entry of the history.
pub(crate) fn correction(app: &App, person: &Person, wrong: &Identifier, right: &str) -> Result<Draft, NotCorrected> {
    let shared = app.engine.shared();
    let right = jumelle_identify::identifier_of(&shared.definitions().workspace, &wrong.namespace, right)
        .map_err(|error| NotCorrected::Unusable("to", error))?;
    if !person.known.identifiers.contains_key(wrong) {
        return Err(NotCorrected::Unusable("from", format!("this {} is not one of this person", wrong.namespace)));
    }
    if right == *wrong {
        return Err(NotCorrected::Unusable("to", "this is the same".into()));
    }
    let other = shared.find(&right.namespace, &right.value).ok().and_then(Result::ok).flatten();
    if other.is_some_and(|other| other.id != person.id) {
        return Err(NotCorrected::Taken);
    }
    Ok(Draft::Corrected { profile: person.id, wrong: wrong.clone(), right: right.value })
}

/// A request to put identifiers right, done at once: its steps before and after are in the same durable step.
pub(crate) async fn correct(
    app: &App,
    person: &Person,
    corrections: Vec<Draft>,
    identity: IdentityCheck,
    by: &str,
) -> Result<u64, Problem> {
    let id = new_id();
    let first = step_draft(id, person.id, &asked(app, person, RequestKind::Rectify, identity, by)?);
    let done = step_draft(id, person.id, &RequestStep::Done { by: by.to_owned() });
    app.engine.intake().submit(std::iter::once(first).chain(corrections).chain([done]).collect(), true).await?;
    count(RequestKind::Rectify);
    Ok(id)
}

/// `POST /v1/privacy/rectify`: traits get their right values, wrong identifiers are replaced, and the tools that have them are told.
pub async fn rectify(
    State(app): State<App>,
    Extension(caller): Extension<Identity>,
    body: String,
) -> Result<Json<Value>, Problem> {
    let request = read(&body)?;
    checked(&request)?;
    if request.traits.is_empty() && request.identifiers.is_empty() {
        return Err(Problem::bad_request("name the traits and their right values, or the wrong and right identifiers")
            .with("field", "traits"));
    }
    // These name a person: another value of them would join or split people.
    if let Some(key) = request.traits.keys().find(|key| ["email", "phone", PAUSE_TRAIT, FREQUENCY_TRAIT].contains(&key.as_str()))
    {
        return Err(Problem::bad_request(format!(
            "{key} names a person: correct it by identifiers: [{{\"from\": …, \"to\": …}}]"
        ))
        .with("field", format!("traits.{key}")));
    }
    let mut corrected = None;
    if !request.identifiers.is_empty() {
        let person = find(&app, &request.identifier)?;
        let drafts = corrections(&app, &person, &request.identifiers)?;
        corrected = Some(correct(&app, &person, drafts, request.identity, &caller.name).await?);
    }
    let traits = request.traits.clone();
    if let Some(id) = corrected.filter(|_| traits.is_empty()) {
        return Ok(Json(json!({"request": shown(&app, id)?})));
    }
    Ok(Json(choose(&app, &request, RequestKind::Rectify, &caller, Vec::new(), traits).await?))
}

fn corrections(app: &App, person: &Person, wanted: &[Correction]) -> Result<Vec<Draft>, Problem> {
    let definitions = app.engine.shared().definitions();
    let read = |text: &str, field: String| {
        let (namespace, value) = text
            .split_once(':')
            .ok_or_else(|| Problem::bad_request("an identifier is NAMESPACE:VALUE").with("field", field.clone()))?;
        jumelle_identify::identifier_of(&definitions.workspace, namespace, value)
            .map_err(|error| Problem::bad_request(error).with("field", field))
    };
    let mut drafts = Vec::new();
    for (n, Correction { from, to }) in wanted.iter().enumerate() {
        let field = |name: &str| format!("identifiers[{n}].{name}");
        let (wrong, right) = (read(from, field("from"))?, read(to, field("to"))?);
        if wrong.namespace != right.namespace {
            let detail = format!("a {} is put right by a {0}, not by a {}", wrong.namespace, right.namespace);
            return Err(Problem::bad_request(detail).with("field", field("to")));
        }
        drafts.push(correction(app, person, &wrong, &right.value).map_err(|error| {
            match error {
                NotCorrected::Unusable(name, detail) => Problem::bad_request(detail).with("field", field(name)),
                NotCorrected::Taken => Problem::new(
                    StatusCode::CONFLICT,
                    "it is somebody else's",
                    format!(
                        "this {} belongs to another profile: is that her too, an event that names both joins them",
                        right.namespace
                    ),
                )
                .with("field", field("to"))
                .with("rule", "identifier_taken"),
            }
        })?);
    }
    Ok(drafts)
}

async fn choose(
    app: &App,
    request: &RightRequest,
    kind: RequestKind,
    caller: &Identity,
    consents: Vec<Value>,
    traits: Map<String, Value>,
) -> Result<Value, Problem> {
    let person: Arc<Person> = find_caught_up(app, &request.identifier).await?;
    // First the request, so that what the tools are told comes after it.
    let id = note_done(app, &person, kind, request.identity, &caller.name).await?;
    let mut event = json!({"context": {"externalIds": names(&person)?}});
    if traits.is_empty() {
        event["event"] = "Consent Recorded".into();
        event["context"]["consents"] = json!(consents);
    } else {
        event["type"] = "identify".into();
        event["traits"] = Value::Object(traits);
    }
    record_event(app, SOURCE, event).await?;
    Ok(json!({"request": shown(app, id)?}))
}

/// `GET /v1/privacy/requests`: the nearest deadline first.
pub async fn requests(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let shared = app.engine.shared();
    let now = shared.now();
    let mut items = Vec::new();
    for request in shared.requests()? {
        items.push(request.to_json(shared.fan_out(&request)?, now));
    }
    Ok(Json(json!({"items": items, "next": null})))
}

fn number(id: &str) -> Result<u64, Problem> {
    let digits = id.strip_prefix("req_").filter(|digits| digits.len() == 16);
    digits
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| Problem::not_found(format!("{id:?} is no request")))
}

/// `GET /v1/privacy/requests/{id}`
pub async fn request(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    Ok(Json(shown(&app, number(&id)?)?))
}

/// `{"do": "identify", "identity": "callback"}`, `{"do": "extend", "months": 2, "reason": "complexity"}`,
/// `{"do": "refuse", "reason": "excessive"}`, `{"do": "fulfil"}`
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum StepRequest {
    /// It is she.
    Identify {
        /// How that is known.
        identity: IdentityCheck,
    },
    /// It takes longer.
    Extend {
        /// 1 or 2.
        months: u8,
        /// Why.
        reason: ExtensionReason,
    },
    /// It is not followed.
    Refuse {
        /// Why.
        reason: RefusalReason,
    },
    /// Done: an erasure or a restriction is carried out, an answer has been handed over.
    Fulfil,
}

/// `POST /v1/privacy/requests/{id}`: a step of staff.
pub async fn step(
    State(app): State<App>,
    Extension(caller): Extension<Identity>,
    Path(id): Path<String>,
    body: String,
) -> Result<Response, Problem> {
    let wanted: StepRequest = serde_json::from_str(&body)
        .map_err(|error| Problem::bad_request(format!("{error}; write {{\"do\": \"identify\", \"identity\": \"callback\"}}")))?;
    let number = number(&id)?;
    let shared = app.engine.shared();
    let known: RightsRequest = shared.request(number)?.ok_or_else(|| Problem::not_found("there is no such request"))?;
    if known.state != RequestState::Received {
        return Err(Problem::new(StatusCode::CONFLICT, "it is settled", "this request is done or refused"));
    }
    let by = caller.name.to_string();
    let step = match wanted {
        StepRequest::Identify { identity: IdentityCheck::Pending } => {
            return Err(Problem::bad_request("say how it is known that it is she").with("field", "identity"));
        }
        StepRequest::Identify { identity } => RequestStep::Identified { identity, by },
        StepRequest::Extend { months, .. } if !(1..=2).contains(&months) => {
            return Err(
                Problem::bad_request("an answer may take 1 or 2 months longer (GDPR, article 12(3))").with("field", "months")
            );
        }
        StepRequest::Extend { months, reason } => RequestStep::Extended { months, reason, by },
        StepRequest::Refuse { reason } => RequestStep::Refused { reason, by },
        StepRequest::Fulfil => {
            if known.identity == IdentityCheck::Pending {
                let detail = "nobody has checked that it is she; do that first: {\"do\": \"identify\", \"identity\": …}";
                return Err(Problem::new(StatusCode::CONFLICT, "identity not checked", detail).with("rule", "identity_pending"));
            }
            if known.kind == RequestKind::Erase {
                let person = find(&app, &known.profile.to_string())?;
                erase_person(&app, &person, known.identity, &by).await?;
                return Ok(Json(shown(&app, number)?).into_response());
            }
            if known.kind == RequestKind::Restrict {
                let person = find(&app, &known.profile.to_string())?;
                let choice = json!({"signal": "restriction", "state": "on", "proof": {"method": "request"}});
                let context = json!({"externalIds": names(&person)?, "consents": [choice]});
                record_event(&app, SOURCE, json!({"event": "Consent Recorded", "context": context})).await?;
            }
            RequestStep::Done { by }
        }
    };
    app.engine.intake().submit(vec![step_draft(number, known.profile, &step)], true).await?;
    Ok(Json(shown(&app, number)?).into_response())
}
