//! `/v1/allowed`: the gate for tools that ask at their own time of sending.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use jumelle_consent::{Reason, Tongue};
use jumelle_engine::{Answer, Question};
use jumelle_model::consent::Channel;
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{App, Problem};

/// Questions of one call, at most.
const QUESTIONS_MAX: usize = 1_000;
/// A permit is valid for so long unless less is asked, in seconds.
const PERMIT_S: i64 = 300;
/// And at most.
const PERMIT_S_MAX: i64 = 3_600;

/// `?destination=&purpose=&channel=&id=NAMESPACE:VALUE&permit=true`
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct AllowedQuery {
    destination: Option<String>,
    purpose: Option<String>,
    channel: Option<String>,
    id: Option<String>,
    permit: Option<String>,
    permit_seconds: Option<String>,
}

/// `{"destination", "purpose", "channel", "ids": ["email:ana@example.org", …], "permit": true?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedRequest {
    destination: String,
    purpose: String,
    channel: String,
    ids: Vec<String>,
    #[serde(default)]
    permit: bool,
    permit_seconds: Option<i64>,
}

#[derive(Serialize)]
struct Page<'a> {
    items: Vec<Said<'a>>,
    next: Option<String>,
}

struct Asked<'a> {
    destination: &'a str,
    purpose: &'a str,
    channel: Channel,
    permit_s: Option<i64>,
}

/// `GET /v1/allowed`
pub async fn one(State(app): State<App>, Query(query): Query<AllowedQuery>) -> Result<Response, Problem> {
    let needed = |value: &Option<String>, field: &'static str| {
        value.clone().filter(|value| !value.is_empty()).ok_or_else(|| {
            Problem::bad_request("ask ?destination=KEY&purpose=KEY&channel=email&id=email:ana@example.org").with("field", field)
        })
    };
    let (destination, purpose) = (needed(&query.destination, "destination")?, needed(&query.purpose, "purpose")?);
    let (channel, id) = (needed(&query.channel, "channel")?, needed(&query.id, "id")?);
    let wants_permit = query.permit.as_deref() == Some("true");
    let seconds = match &query.permit_seconds {
        Some(text) => Some(text.parse().map_err(|_| seconds_problem())?),
        None => None,
    };
    let asked = asked(&app, &destination, &purpose, &channel, wants_permit, seconds)?;
    let answered = answer(&app, &asked, &id)?;
    Ok(Json(answered.said(&app, &asked)).into_response())
}

/// `POST /v1/allowed`: many names at once, for one destination, purpose and channel.
pub async fn many(State(app): State<App>, body: String) -> Result<Response, Problem> {
    let request: AllowedRequest = serde_json::from_str(&body).map_err(|error| {
        Problem::bad_request(format!(
            "{error}; write {{\"destination\": KEY, \"purpose\": KEY, \"channel\": \"email\", \"ids\": [\"email:ana@example.org\"]}}"
        ))
    })?;
    if request.ids.len() > QUESTIONS_MAX {
        return Err(Problem::bad_request(format!("{QUESTIONS_MAX} ids at most in one call")).with("field", "ids"));
    }
    let asked = asked(&app, &request.destination, &request.purpose, &request.channel, request.permit, request.permit_seconds)?;
    let answered: Result<Vec<Answered<'_>>, Problem> = request.ids.iter().map(|id| answer(&app, &asked, id)).collect();
    let answered = answered?;
    let items = answered.iter().map(|answered| answered.said(&app, &asked)).collect();
    Ok(Json(Page { items, next: None }).into_response())
}

fn seconds_problem() -> Problem {
    Problem::bad_request(format!("a permit is valid for 1 to {PERMIT_S_MAX} seconds")).with("field", "permit_seconds")
}

fn asked<'a>(
    app: &App,
    destination: &'a str,
    purpose: &'a str,
    channel: &str,
    wants_permit: bool,
    seconds: Option<i64>,
) -> Result<Asked<'a>, Problem> {
    let definitions = app.engine.shared().definitions();
    if definitions.workspace.destination(destination).is_none() {
        return Err(Problem::bad_request(format!("there is no destination {destination:?}")).with("field", "destination"));
    }
    if definitions.workspace.purpose(purpose).is_none() {
        return Err(Problem::bad_request(format!("there is no purpose {purpose:?}")).with("field", "purpose"));
    }
    let Some(channel) = definitions.workspace.channel(channel) else {
        let known = definitions.workspace.channel_names();
        return Err(Problem::bad_request(format!("{channel:?} is not one of {known}")).with("field", "channel"));
    };
    let seconds = seconds.unwrap_or(PERMIT_S);
    if !(1..=PERMIT_S_MAX).contains(&seconds) {
        return Err(seconds_problem());
    }
    Ok(Asked { destination, purpose, channel, permit_s: wants_permit.then_some(seconds) })
}

/// What one question is answered with.
#[derive(Serialize)]
struct Said<'a> {
    allowed: bool,
    code: &'static str,
    receipt: Option<String>,
    id: &'a str,
    destination: &'a str,
    purpose: &'a str,
    channel: Channel,
    at: Timestamp,
    changes_at: Option<Timestamp>,
    known: bool,
    gate: Option<Closed<'a>>,
    fr: &'a str,
    en: &'a str,
    #[serde(flatten)]
    permit: Option<Permit>,
}

/// Why not: code, inputs and both sentences.
#[derive(Serialize)]
struct Closed<'a> {
    #[serde(flatten)]
    reason: &'a Reason,
    fr: &'a str,
    en: &'a str,
}

/// What a tool that asked for one keeps as proof, or why there is none.
#[derive(Serialize)]
struct Permit {
    permit: Option<String>,
    permit_missing: Option<&'static str>,
}

/// One of the questions, with its answer.
struct Answered<'a> {
    id: &'a str,
    answer: Answer,
    fr: String,
    en: String,
}

fn answer<'a>(app: &App, asked: &Asked<'_>, id: &'a str) -> Result<Answered<'a>, Problem> {
    let Some((namespace, value)) = id.split_once(':') else {
        return Err(Problem::bad_request(format!("{id:?} is not NAMESPACE:VALUE, for instance email:ana@example.org"))
            .with("field", "id"));
    };
    let Asked { destination, purpose, channel, .. } = *asked;
    let question = Question { purpose, channel, destination, namespace, value };
    let shared = app.engine.shared();
    let answer = shared.allowed(question).map_err(|error| Problem::bad_request(error).with("field", "id"))??;
    Ok(Answered { id, fr: answer.sentence(Tongue::Fr), en: answer.sentence(Tongue::En), answer })
}

impl Answered<'_> {
    fn said<'a>(&'a self, app: &App, asked: &Asked<'a>) -> Said<'a> {
        let Answered { id, answer, fr, en } = self;
        Said {
            allowed: answer.outcome.is_ok(),
            code: answer.code(),
            receipt: answer.receipt(),
            id,
            destination: asked.destination,
            purpose: asked.purpose,
            channel: asked.channel,
            at: answer.at,
            changes_at: answer.changes_at,
            known: answer.profile.is_some(),
            gate: answer.outcome.as_ref().err().map(|reason| Closed { reason, fr, en }),
            fr,
            en,
            permit: asked.permit_s.map(|seconds| permit(app, asked, answer, seconds)),
        }
    }
}

fn permit(app: &App, asked: &Asked<'_>, answer: &Answer, seconds: i64) -> Permit {
    if answer.outcome.is_err() {
        return Permit { permit: None, permit_missing: None };
    }
    let shared = app.engine.shared();
    let now = answer.at.0 / 1_000_000;
    // The name itself stays out: whoever has it can compare.
    let (namespace, value) = &answer.identifier;
    let subject = crate::token_hash(&format!("{namespace}:{value}"));
    let subject: String = subject.iter().map(|byte| format!("{byte:02x}")).collect();
    let claims = json!({
        "iss": "jumelle", "workspace": shared.definitions().workspace.settings.key, "sub_sha256": subject,
        "destination": asked.destination, "purpose": asked.purpose, "channel": asked.channel, "decision": answer.code(),
        "receipt": answer.receipt(), "iat": now, "exp": now + seconds,
    });
    let permit = shared.ledger.permit(&claims);
    let permit_missing = permit.is_none().then_some("the ledger has no key; start the server with JUMELLE_LEDGER_KEY");
    Permit { permit, permit_missing }
}
