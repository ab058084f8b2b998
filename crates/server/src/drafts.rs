//! Before it goes live: an activation looked at for one person and for all of them, and a destination's test call.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use jumelle_activate::{Trial, test_destination};
use jumelle_connect::check_workspace;
use jumelle_consent::{Evidence, Reason};
use jumelle_engine::ActivationDraft;
use jumelle_model::Workspace;
use jumelle_model::workspace::Destination;
use jumelle_segment::Plan;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::blocking::blocking;
use crate::definitions::origin;
use crate::profiles::find;
use crate::roles::Role;
use crate::tokens::Identity;
use crate::{App, Problem};

/// Key of a draft that has none yet.
const UNNAMED: &str = "preview_activation";

/// `{"activation": {…}, "key": "mail", "profile": "email:ana@example.org"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DraftRequest {
    /// As it would stand under `activations` in `workspace.yaml`.
    activation: Value,
    /// Its key: that of one in force, or a new one.
    key: Option<String>,
    /// Whom to look at.
    profile: Option<String>,
}

/// The definitions in force with a draft in them.
struct Drafted {
    workspace: Workspace,
    plan: Plan,
    key: String,
}

impl DraftRequest {
    fn read(body: &str) -> Result<DraftRequest, Problem> {
        serde_json::from_str(body).map_err(|error| {
            Problem::bad_request(format!("{error}; write {{\"activation\": {{…}}}}, and \"key\" and \"profile\" if wanted"))
        })
    }

    fn drafted(&self, app: &App) -> Result<Drafted, Problem> {
        let key = self.key.clone().filter(|key| !key.is_empty()).unwrap_or_else(|| UNNAMED.to_owned());
        let in_force = app.engine.shared().definitions();
        let workspace = in_force.workspace.replace("activations", &key, Some(&self.activation.to_string()))?;
        check_workspace(&app.engine.dispatcher().catalogue(), &workspace, "")?;
        let plan = Plan::compile(&workspace);
        Ok(Drafted { workspace, plan, key })
    }
}

impl Drafted {
    fn with<T>(&self, app: &App, ask: impl FnOnce(&ActivationDraft<'_>) -> Result<T, Problem>) -> Result<T, Problem> {
        let catalogue = app.engine.dispatcher().catalogue();
        let activation = self.workspace.activation(&self.key);
        let activation = activation.ok_or_else(|| Problem::bad_request("the activation is not understood"))?;
        ask(&ActivationDraft { workspace: &self.workspace, plan: &self.plan, catalogue: &catalogue, activation })
    }
}

/// `POST /v1/activations/preview`: the very requests that would leave for one person, and what the gate says. Whoever may not open a
/// person's page looks at members of the segment alone: of these the activation would tell the tool the same.
pub async fn preview(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    body: String,
) -> Result<Json<Value>, Problem> {
    let request = DraftRequest::read(&body)?;
    let profile = request.profile.clone().ok_or_else(|| Problem::bad_request("say whom to look at").with("field", "profile"))?;
    let sees_people = matches!(identity.role, Role::Admin);
    if !sees_people && profile.contains(':') {
        let detail = "a marketer chooses among the members of the segment, by profile id; searching people is for other roles";
        return Err(Problem::forbidden(detail).with("field", "profile"));
    }
    let drafted = request.drafted(&app)?;
    let Identity { role, name, .. } = identity;
    blocking(move || {
        let person = find(&app, &profile).map_err(|problem| problem.with("field", "profile"))?;
        let look = drafted.with(&app, |draft| Ok(app.engine.shared().look(draft, &person)?))?;
        if !look.is_member && !sees_people {
            return Err(Problem::forbidden("she is not a member of this segment").with("field", "profile"));
        }
        tracing::info!(by = %name, profile = %look.profile, activation = drafted.key, "somebody looked at what would leave");
        let mut shown = json!(look.shown);
        if role != Role::Admin {
            veil(&drafted, &mut shown);
        }
        let gate = match &look.gate {
            Ok(Evidence::Granted(standing)) => json!({"open": true, "granted_since": standing.since}),
            Ok(Evidence::Basis(basis)) => json!({"open": true, "basis": basis}),
            Ok(Evidence::TakesBack) => json!({"open": true}),
            Err(reason) => json!({"open": false, "reason": reason.to_string(), "gate": Reason::to_json(reason)}),
        };
        Ok(Json(json!({
            "profile": look.profile, "label": jumelle_profile::label(&drafted.workspace, &person), "member": look.is_member,
            "gate": gate, "empty": look.empty, "shown": shown, "at": look.at,
        })))
    })
    .await
}

/// Of a webhook's or gateway's address, what only the administrator sees.
fn veil(drafted: &Drafted, shown: &mut Value) {
    let destination = drafted.workspace.activation(&drafted.key).map(|activation| activation.destination.as_str());
    let destination = destination.and_then(|key| drafted.workspace.destination(key));
    let Some(base) = destination.map(|destination| destination.url.as_str()).filter(|url| !url.is_empty()) else { return };
    for request in shown["requests"].as_array_mut().into_iter().flatten() {
        if let Some(url) = request["url"].as_str() {
            let rest = url.strip_prefix(base.trim_end_matches('/')).unwrap_or_default().to_owned();
            request["url"] = format!("{}{rest}", origin(base)).into();
        }
    }
}

/// `POST /v1/activations/audience`: members of the segment, those whom the gate lets through, and why it holds back the others.
pub async fn audience(State(app): State<App>, body: String) -> Result<Json<Value>, Problem> {
    let request = DraftRequest::read(&body)?;
    let drafted = request.drafted(&app)?;
    blocking(move || {
        let audience = drafted.with(&app, |draft| Ok(app.engine.shared().audience(draft)?))?;
        Ok(Json(json!(audience)))
    })
    .await
}

/// `{"key": "crm_mail", "definition": {…}}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestRequest {
    /// Key of the destination that it is for: secrets that are sealed open under it alone.
    key: Option<String>,
    /// As it would stand under `destinations` in `workspace.yaml`; `connector` may be left out.
    definition: serde_json::Map<String, Value>,
}

/// `POST /v1/connectors/{key}/test`: tries a destination that is not there yet.
pub async fn test_draft(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(connector): Path<String>,
    body: String,
) -> Result<Json<Value>, Problem> {
    // What does not parse is not repeated: it may hold a secret.
    let request: TestRequest = serde_json::from_str(&body).map_err(|_| {
        Problem::bad_request(
            "write {\"definition\": {…}}, the settings as they would stand in workspace.yaml, and \"key\" if wanted",
        )
    })?;
    const BUILT_IN: [&str; 2] = ["webhook", "file"];
    let catalogue = app.engine.dispatcher().catalogue();
    if !BUILT_IN.contains(&connector.as_str()) && catalogue.get(&connector).is_none() {
        return Err(Problem::not_found(format!("there is no connector {connector:?}")));
    }
    let mut definition = request.definition;
    definition.insert("connector".into(), connector.into());
    let key = request.key.filter(|key| !key.is_empty()).unwrap_or_else(|| "preview_destination".to_owned());
    let in_force = app.engine.shared().definitions();
    let workspace = in_force.workspace.replace("destinations", &key, Some(&Value::Object(definition).to_string()))?;
    check_workspace(&catalogue, &workspace, "")?;
    let destination = workspace.destination(&key).cloned();
    let destination = destination.ok_or_else(|| Problem::bad_request("the definition is not understood"))?;
    test(&app, &identity, &destination).await
}

/// `POST /v1/destinations/{key}/test`: tries one that is there.
pub async fn test_in_force(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(key): Path<String>,
) -> Result<Json<Value>, Problem> {
    let definitions = app.engine.shared().definitions();
    let destination = definitions.workspace.destination(&key).cloned();
    let destination = destination.ok_or_else(|| Problem::not_found(format!("there is no destination {key:?}")))?;
    test(&app, &identity, &destination).await
}

async fn test(app: &App, identity: &Identity, destination: &Destination) -> Result<Json<Value>, Problem> {
    let catalogue = app.engine.dispatcher().catalogue();
    let country = app.engine.shared().definitions().workspace.settings.country.clone();
    let trial = test_destination(destination, &catalogue, &country).await;
    let mut answer = json!(trial);
    let outcome = answer["outcome"].as_str().unwrap_or_default().to_owned();
    tracing::info!(by = %identity.name, destination = destination.key, connector = destination.connector, outcome, "a test call");
    metrics::counter!("jumelle_test_calls_total", "connector" => destination.connector.clone(), "outcome" => outcome)
        .increment(1);
    // Whoever is not let in gave the wrong credentials: these are the fields to look at.
    if let Trial::Refused { status: None | Some(401 | 403), .. } = trial {
        let secret = catalogue.get(&destination.connector).map(|connector| {
            let settings = connector.manifest.settings.iter().filter(|(_, setting)| setting.secret);
            settings.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        });
        answer["fields"] = json!(secret.unwrap_or_else(|| vec!["secret".to_owned()]));
    }
    Ok(Json(answer))
}
