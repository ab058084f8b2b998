//! Consents by API, and consent strings explained.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jumelle_collect::decode_single;
use jumelle_consent::signals::AnyString;
use jumelle_consent::strings::{GppString, TcString};
use jumelle_model::event::EventKind;
use jumelle_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::collect::{make_message_id, submit};
use crate::{App, Problem};

/// `{"identifiers": {"email": "ana@example.org"}, "consents": […], "source": KEY?, "messageId": ID?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentRequest {
    identifiers: Map<String, Value>,
    consents: Value,
    source: Option<String>,
    #[serde(rename = "messageId")]
    message_id: Option<String>,
}

/// `POST /v1/consents`: an event like any other; the answer comes when the gate knows of it.
pub async fn record(State(app): State<App>, body: String) -> Result<Json<Value>, Problem> {
    let request: ConsentRequest = serde_json::from_str(&body).map_err(|error| {
        Problem::bad_request(format!("{error}; write {{\"identifiers\": {{\"email\": …}}, \"consents\": [{{\"purpose\": …, \"channel\": …, \"state\": …}}]}}"))
    })?;
    let definitions = app.engine.shared().definitions();
    let mut external = Vec::new();
    for (namespace, value) in &request.identifiers {
        let Some(text) = value.as_str() else {
            return Err(Problem::bad_request(format!("{namespace} is a text")).with("field", format!("identifiers.{namespace}")));
        };
        jumelle_identify::identifier_of(&definitions.workspace, namespace, text)
            .map_err(|error| Problem::bad_request(error).with("field", format!("identifiers.{namespace}")))?;
        external.push(json!({"type": namespace, "id": text, "collection": "users", "encoding": "none"}));
    }
    if external.is_empty() {
        return Err(Problem::bad_request("name the person by at least one identifier").with("field", "identifiers"));
    }
    if let Some(source) = &request.source
        && definitions.workspace.source(source).is_none()
    {
        return Err(Problem::bad_request(format!("there is no source {source:?}")).with("field", "source"));
    }
    let event = json!({
        "type": "track", "event": "Consent Recorded",
        "messageId": request.message_id.unwrap_or_else(make_message_id),
        "context": {"externalIds": external, "consents": request.consents},
    });
    let decoded =
        decode_single(&event.to_string(), Some(EventKind::Track), &app.collect_limits(), Timestamp::now(), &mut make_message_id)
            .map_err(|rejected| Problem::bad_request(rejected.message))?;
    if let Some(rejected) = decoded.rejected.first() {
        return Err(Problem::bad_request(rejected.message.clone())
            .with("field", rejected.field.clone())
            .with("rule", rejected.rule));
    }
    let source: Arc<str> = request.source.as_deref().unwrap_or("api").into();
    let answer = submit(&app, &source, decoded, Vec::new()).await?;
    Ok(Json(json!({"success": true, "accepted": answer.accepted, "duplicates": answer.duplicates})))
}

/// `{"tcf": STRING}` or `{"gpp": STRING}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum DecodeRequest {
    /// A TC string.
    Tcf(String),
    /// A GPP string.
    Gpp(String),
}

/// `POST /v1/consents/decode`: a string field by field, and what the workspace makes of it. Nothing is recorded.
pub async fn decode(State(app): State<App>, body: String) -> Result<Json<Value>, Problem> {
    let request: DecodeRequest = serde_json::from_str(&body)
        .map_err(|error| Problem::bad_request(format!("{error}; write {{\"tcf\": \"C…\"}} or {{\"gpp\": \"D…\"}}")))?;
    let (field, rule, decoded) = match &request {
        DecodeRequest::Tcf(text) => ("tcf", "tcf_string", TcString::decode(text).map(|string| AnyString::Tcf(Box::new(string)))),
        DecodeRequest::Gpp(text) => ("gpp", "gpp_string", GppString::decode(text).map(AnyString::Gpp)),
    };
    let string =
        decoded.map_err(|malformed| Problem::bad_request(malformed.to_string()).with("field", field).with("rule", rule))?;
    Ok(Json(string.explain(&app.engine.shared().definitions().workspace, Timestamp::now())))
}
