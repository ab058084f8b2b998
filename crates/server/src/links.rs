//! Signed links: making them, and what a person does by one. What a link opens is sealed in it; nothing here asks for a token.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jumelle_collect::decode_single;
use jumelle_consent::unsubscribe_json;
use jumelle_engine::{Draft, IdentityCheck, LINK_DAYS, LINK_DAYS_MAX, Link, LinkError, LinkScope, RequestKind};
use jumelle_model::consent::{ConsentState, Scope, Signal};
use jumelle_model::event::EventKind;
use jumelle_model::identifier::Identifier;
use jumelle_model::time::{Span, Timestamp};
use jumelle_profile::Person;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::collect::make_message_id;
use crate::preference_page::{self, Said};
use crate::privacy::NotCorrected;
use crate::tokens::Identity;
use crate::{App, Problem, access, preference_form, privacy};

/// Bytes of a form, at most.
pub(crate) const FORM_BYTES_MAX: usize = 64 * 1024;
/// The source under which choices made by link stand in history and ledger.
const SOURCE: &str = "link";
const DAY_US: i64 = 86_400_000_000;
/// A link that is itself an identity check is for now, not for a drawer.
const RIGHTS_DAYS: i64 = 7;

/// `{"identifier": "email:ana@example.org", "scope": "preferences", "purpose": KEY?, "channel": CHANNEL?, "expires_in": "30d"?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    identifier: String,
    scope: LinkScope,
    purpose: Option<String>,
    channel: Option<String>,
    expires_in: Option<String>,
}

/// `POST /v1/links`: a signed link for a message that another tool sends.
pub async fn mint(State(app): State<App>, body: String) -> Result<Json<Value>, Problem> {
    let request: LinkRequest = serde_json::from_str(&body).map_err(|error| {
        Problem::bad_request(format!("{error}; write {{\"identifier\": \"email:ana@example.org\", \"scope\": \"preferences\"}}"))
    })?;
    let definitions = app.engine.shared().definitions();
    let workspace = &definitions.workspace;
    let who = request
        .identifier
        .split_once(':')
        .ok_or_else(|| "an identifier is NAMESPACE:VALUE".to_owned())
        .and_then(|(namespace, value)| jumelle_identify::identifier_of(workspace, namespace, value))
        .map_err(|error| Problem::bad_request(error).with("field", "identifier"))?;
    match (&request.purpose, request.scope) {
        (None, LinkScope::Unsubscribe) => {
            return Err(Problem::bad_request("name the purpose that the link refuses").with("field", "purpose"));
        }
        (Some(purpose), LinkScope::Unsubscribe) if workspace.purpose(purpose).is_none() => {
            return Err(Problem::bad_request(format!("there is no purpose {purpose:?}")).with("field", "purpose"));
        }
        (Some(_), LinkScope::Preferences | LinkScope::Rights) => {
            return Err(Problem::bad_request("only a link with the scope unsubscribe has a purpose").with("field", "purpose"));
        }
        _ => {}
    }
    let channel = match &request.channel {
        None => None,
        Some(name) => {
            let known = || format!("{name:?} is not one of {}", workspace.channel_names());
            Some(workspace.channel(name).ok_or_else(|| Problem::bad_request(known()).with("field", "channel"))?)
        }
    };
    let days = if request.scope == LinkScope::Rights { RIGHTS_DAYS } else { LINK_DAYS };
    let span = match request.expires_in.as_deref() {
        None => Span(days * DAY_US),
        Some(text) => Span::parse(text)
            .ok_or_else(|| Problem::bad_request(format!("{text:?} is not a duration; write 30d")).with("field", "expires_in"))?,
    };
    let days_max = if request.scope == LinkScope::Rights { RIGHTS_DAYS } else { LINK_DAYS_MAX };
    if span.0 <= 0 || span.0 > days_max * DAY_US {
        return Err(Problem::bad_request(format!("such a link lives for {days_max} days at most")).with("field", "expires_in"));
    }
    let expires = Timestamp(app.engine.shared().wall.now().0.saturating_add(span.0));
    let link = Link { scope: request.scope, who: (who.namespace, who.value), purpose: request.purpose, channel, expires };
    let token = app.engine.shared().links.seal(&link);
    let path = format!("/l/{token}");
    let url = workspace.preferences.url.as_ref().map(|base| format!("{base}{path}"));
    let mut answer = json!({"token": token, "path": path, "url": url, "scope": link.scope, "expires": expires});
    if let (LinkScope::Unsubscribe, Some(url)) = (link.scope, &url) {
        answer["headers"] = unsubscribe_json(url)["headers"].clone();
    }
    Ok(Json(answer))
}

/// `{"revoke": true}`
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct RotateRequest {
    revoke: bool,
}

/// `POST /v1/links/keys`: links are sealed with a new key from now on.
pub async fn rotate(
    State(app): State<App>,
    Extension(caller): Extension<Identity>,
    body: String,
) -> Result<Json<Value>, Problem> {
    let request: RotateRequest = match body.trim() {
        "" => RotateRequest::default(),
        body => {
            serde_json::from_str(body).map_err(|error| Problem::bad_request(format!("{error}; write {{\"revoke\": false}}")))?
        }
    };
    let shared = app.engine.shared();
    let keys = shared
        .links
        .rotate(shared.wall.now(), request.revoke)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the key was not changed", error.to_string()))?;
    tracing::info!(by = %caller.name, keys, revoke = request.revoke, "the key of signed links was changed");
    Ok(Json(json!({"keys": keys, "revoked": request.revoke})))
}

/// `?lang=`
#[derive(Deserialize)]
pub struct PageQuery {
    pub(crate) lang: Option<String>,
}

/// `GET /l/{token}`: shows, and changes nothing: scanners of links and previews of mail come this way.
pub async fn show(
    State(app): State<App>,
    Path(token): Path<String>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Response {
    let visit = match Visit::open(&app, &token, query.lang.as_deref(), &headers) {
        Ok(visit) => visit,
        Err(refused) => return refused,
    };
    match visit.link.scope {
        LinkScope::Unsubscribe => visit.unsubscribe_page(&app, false),
        LinkScope::Preferences | LinkScope::Rights => visit.page(&app, StatusCode::OK, None),
    }
}

/// `POST /l/{token}`: RFC 8058's one click, the button of the page, or the preference centre's form.
pub async fn act(
    State(app): State<App>,
    Path(token): Path<String>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let visit = match Visit::open(&app, &token, query.lang.as_deref(), &headers) {
        Ok(visit) => visit,
        Err(refused) => return refused,
    };
    let outcome = match visit.link.scope {
        LinkScope::Unsubscribe => visit.unsubscribe(&app, &token, &body).await,
        LinkScope::Preferences | LinkScope::Rights => visit.choose(&app, &body).await,
    };
    outcome.unwrap_or_else(IntoResponse::into_response)
}

/// Somebody with a link that is in order.
pub(crate) struct Visit {
    pub(crate) link: Link,
    pub(crate) lang: &'static str,
    pub(crate) person: Option<Arc<Person>>,
    pub(crate) now: Timestamp,
}

impl Visit {
    #[expect(clippy::result_large_err, reason = "the refusal is the page that is shown")]
    fn open(app: &App, token: &str, lang: Option<&str>, headers: &HeaderMap) -> Result<Visit, Response> {
        let shared = app.engine.shared();
        // Links live by the wall, also where the fold's clock moves with the events.
        let link = shared.links.read(token, shared.wall.now());
        let workspace = &shared.definitions().workspace;
        let spoken = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let link = link.map_err(|error| {
            metrics::counter!("jumelle_links_total", "what" => if error == LinkError::Expired { "expired" } else { "invalid" })
                .increment(1);
            let status = if error == LinkError::Expired { StatusCode::GONE } else { StatusCode::NOT_FOUND };
            let lang = language(lang, None, spoken, &workspace.settings.locale);
            preference_page::refused(&workspace.preferences, &workspace.settings.key, lang, status, error)
        })?;
        let identifier = identifier(&link);
        let person = shared.find(&identifier.namespace, &identifier.value).ok().and_then(Result::ok).flatten();
        let own = person.as_ref().and_then(|person| person.known.trait_scalar("locale")).and_then(|locale| match locale {
            jumelle_model::event::Scalar::Text(text) => Some(text),
            _ => None,
        });
        let lang = language(lang, own.as_deref(), spoken, &workspace.settings.locale);
        Ok(Visit { link, lang, person, now: shared.now() })
    }

    /// Refuses once: whoever has refused already is not asked to refuse again, so a repeat is nothing new.
    async fn unsubscribe(&self, app: &App, token: &str, body: &[u8]) -> Result<Response, Problem> {
        let is_one_click = is_one_click(body);
        if !is_one_click && !preference_form::fields(body).iter().any(|(key, value)| key == "confirm" && value == "1") {
            return Err(Problem::bad_request("POST the body List-Unsubscribe=One-Click (RFC 8058)").with("rule", "one_click"));
        }
        let shared = app.engine.shared();
        let purpose = self.link.purpose.clone().unwrap_or_default();
        let channel = self.link.channel;
        let scope = Scope::Address(self.link.who.0.clone(), self.link.who.1.clone());
        let stands = self.person.as_ref().and_then(|person| person.known.choices.stands(&purpose, channel, &scope));
        let is_refused = stands.is_some_and(|(state, ..)| state == ConsentState::Denied);
        // Who was erased is on the list already; a new profile must not come of it.
        let is_suppressed = self.person.is_none() && shared.suppressed_since(&identifier(&self.link))?.is_some();
        if !is_refused && !is_suppressed {
            let declared = shared.definitions().workspace.purpose(&purpose).is_some();
            let proof = json!({"method": if is_one_click { "one_click" } else { "link_page" }, "lang": self.lang});
            let mut choice = match declared {
                true => json!({"purpose": purpose, "state": "denied"}),
                // The purpose has gone since: what it was for is refused all the same.
                false => json!({"signal": Signal::Objection.as_str()}),
            };
            if let Some(channel) = channel {
                choice["channel"] = channel.as_str().into();
            }
            choice["for"] = json!({self.link.who.0.as_str(): self.link.who.1});
            choice["proof"] = proof;
            // Two clicks at the same time are one message; a click after a new grant is another.
            let since = stands.map_or(0, |(_, since, _)| since.0);
            let hash = Sha256::new().chain_update(token).chain_update(since.to_be_bytes()).finalize();
            let id: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            self.record(app, json!({"messageId": format!("unsubscribe-{id}")}), vec![choice]).await?;
            metrics::counter!("jumelle_links_total", "what" => "unsubscribed").increment(1);
        }
        Ok(if is_one_click { StatusCode::OK.into_response() } else { self.unsubscribe_page(app, true) })
    }

    /// One event with what was chosen; answers when the gate knows.
    pub(crate) async fn record(&self, app: &App, mut event: Value, consents: Vec<Value>) -> Result<(), Problem> {
        let (namespace, value) = &self.link.who;
        let external = json!([{"type": namespace, "id": value, "collection": "users", "encoding": "none"}]);
        event["context"] = json!({"externalIds": external});
        if !consents.is_empty() {
            event["context"]["consents"] = json!(consents);
        }
        if event.get("traits").is_none() {
            event["event"] = "Consent Recorded".into();
        }
        record_event(app, SOURCE, event).await
    }

    fn unsubscribe_page(&self, app: &App, done: bool) -> Response {
        let workspace = &app.engine.shared().definitions().workspace;
        preference_page::unsubscribe(workspace, self, done)
    }

    /// The preference centre, with what was just done.
    pub(crate) fn page(&self, app: &App, status: StatusCode, said: Option<Said>) -> Response {
        let definitions = app.engine.shared().definitions();
        preference_page::centre(&definitions, self, status, said)
    }

    async fn choose(mut self, app: &App, body: &[u8]) -> Result<Response, Problem> {
        let fields = preference_form::fields(body);
        let action = fields.iter().find(|(key, _)| key == "do").map(|(_, value)| value.clone()).unwrap_or_default();
        let said = match action.as_str() {
            "save" => {
                let definitions = app.engine.shared().definitions();
                match preference_form::read(&definitions, &self, &fields) {
                    Ok(change) => {
                        if !change.is_empty() {
                            let event = match change.traits.is_empty() {
                                true => json!({}),
                                false => json!({"type": "identify", "traits": change.traits}),
                            };
                            self.record(app, event, change.consents).await?;
                        }
                        Said::Saved
                    }
                    Err(field) => return Ok(self.page(app, StatusCode::BAD_REQUEST, Some(Said::NotUnderstood(field)))),
                }
            }
            "object" => {
                // To stop is always possible at once: nobody is asked to prove who she is for it.
                let choice =
                    json!({"signal": "objection", "state": "on", "proof": {"method": "preference_centre", "lang": self.lang}});
                self.record(app, json!({}), vec![choice]).await?;
                if let Some(person) = self.find(app) {
                    privacy::note_done(app, &person, RequestKind::Object, IdentityCheck::Link, SOURCE).await?;
                }
                Said::Objected
            }
            "restrict" if self.link.scope == LinkScope::Rights => {
                let Some(person) = self.person.clone() else {
                    return Ok(self.page(app, StatusCode::OK, Some(Said::NothingKnown)));
                };
                let proof = json!({"method": "rights_link", "lang": self.lang});
                // First the request, so that what the tools are told comes after it.
                privacy::note_done(app, &person, RequestKind::Restrict, IdentityCheck::Link, SOURCE).await?;
                self.record(app, json!({}), vec![json!({"signal": "restriction", "state": "on", "proof": proof})]).await?;
                Said::Restricted
            }
            "correct" if self.link.scope == LinkScope::Rights => {
                let Some(person) = self.person.clone() else {
                    return Ok(self.page(app, StatusCode::OK, Some(Said::NothingKnown)));
                };
                let right = fields.iter().find(|(key, _)| key == "value").map_or("", |(_, value)| value.trim());
                match privacy::correction(app, &person, &identifier(&self.link), right) {
                    Ok(draft) => {
                        privacy::correct(app, &person, vec![draft], IdentityCheck::Link, SOURCE).await?;
                        Said::Corrected
                    }
                    // That somebody has this address is nobody else's to know: staff looks at it.
                    Err(NotCorrected::Taken) => {
                        privacy::ask(app, &person, RequestKind::Rectify, IdentityCheck::Link, SOURCE).await?;
                        Said::Asked
                    }
                    Err(NotCorrected::Unusable(..)) => {
                        return Ok(self.page(app, StatusCode::BAD_REQUEST, Some(Said::NotUnderstood("value".into()))));
                    }
                }
            }
            "access" | "portability" | "restrict" | "erase" => {
                let kind = match action.as_str() {
                    "access" => RequestKind::Access,
                    "portability" => RequestKind::Portability,
                    "restrict" => RequestKind::Restrict,
                    _ => RequestKind::Erase,
                };
                let Some(person) = self.person.clone() else {
                    return Ok(self.page(app, StatusCode::OK, Some(Said::NothingKnown)));
                };
                if kind == RequestKind::Erase && !fields.iter().any(|(key, value)| key == "sure" && value == "1") {
                    return Ok(self.page(app, StatusCode::BAD_REQUEST, Some(Said::NotConfirmed)));
                }
                if self.link.scope != LinkScope::Rights {
                    privacy::ask(app, &person, kind, IdentityCheck::Pending, SOURCE).await?;
                    Said::Asked
                } else if kind == RequestKind::Erase {
                    privacy::erase_person(app, &person, IdentityCheck::Link, SOURCE).await?;
                    Said::Erased
                } else {
                    privacy::note_done(app, &person, kind, IdentityCheck::Link, SOURCE).await?;
                    let format = fields.iter().find(|(key, _)| key == "format").map_or("html", |(_, value)| value.as_str());
                    return access::answer(app, &person, kind, format, self.lang);
                }
            }
            _ => return Ok(self.page(app, StatusCode::BAD_REQUEST, Some(Said::NotUnderstood("do".into())))),
        };
        self.person = self.find(app);
        self.now = app.engine.shared().now();
        Ok(self.page(app, StatusCode::OK, Some(said)))
    }

    fn find(&self, app: &App) -> Option<Arc<Person>> {
        app.engine.shared().find(&self.link.who.0, &self.link.who.1).ok().and_then(Result::ok).flatten()
    }
}

fn identifier(link: &Link) -> Identifier {
    Identifier { namespace: link.who.0.clone(), value: link.who.1.clone() }
}

/// RFC 8058, section 3.1: `List-Unsubscribe=One-Click`, as a form or as multipart/form-data.
fn is_one_click(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    if preference_form::fields(body).iter().any(|(key, value)| key == "List-Unsubscribe" && value == "One-Click") {
        return true;
    }
    text.split("\r\n\r\n").zip(text.split("\r\n\r\n").skip(1)).any(|(head, content)| {
        head.contains("name=\"List-Unsubscribe\"") && content.lines().next().is_some_and(|line| line.trim() == "One-Click")
    })
}

/// What is asked for in the address, what she speaks, what her browser speaks, what the workspace speaks.
fn language(asked: Option<&str>, own: Option<&str>, spoken: Option<&str>, locale: &str) -> &'static str {
    let known = |text: &str| match text.trim().get(..2)?.to_ascii_lowercase().as_str() {
        "fr" => Some("fr"),
        "en" => Some("en"),
        _ => None,
    };
    let of_browser = || spoken?.split(',').find_map(known);
    asked.and_then(known).or_else(|| own.and_then(known)).or_else(of_browser).or_else(|| known(locale)).unwrap_or("en")
}

/// One event of our own, checked like any other; answers when it is folded.
pub(crate) async fn record_event(app: &App, source: &str, mut event: Value) -> Result<(), Problem> {
    let kind = if event["type"] == "identify" { EventKind::Identify } else { EventKind::Track };
    event["type"] = kind.as_str().into();
    if event.get("messageId").is_none() {
        event["messageId"] = make_message_id().into();
    }
    let limits = app.collect_limits();
    let decoded = decode_single(&event.to_string(), Some(kind), &limits, Timestamp::now(), &mut make_message_id)
        .map_err(|rejected| Problem::bad_request(rejected.message))?;
    if let Some(rejected) = decoded.rejected.first() {
        let problem = Problem::bad_request(rejected.message.clone()).with("field", rejected.field.clone());
        return Err(problem.with("rule", rejected.rule));
    }
    let source: Arc<str> = source.into();
    let drafts = decoded.collected.into_iter().map(|event| Draft::Event { source: source.clone(), event }).collect();
    app.engine.intake().submit(drafts, true).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_click_comes_as_a_form_or_in_parts() {
        assert!(is_one_click(b"List-Unsubscribe=One-Click"));
        assert!(is_one_click(b"--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n"));
        for other in [&b""[..], b"List-Unsubscribe", b"List-Unsubscribe=No", b"One-Click", b"\xff\xfe"] {
            assert!(!is_one_click(other), "{other:?}");
        }
    }

    #[test]
    fn the_language_is_the_persons_first() {
        assert_eq!(language(None, Some("fr-FR"), Some("en-GB,fr;q=0.5"), "en"), "fr");
        assert_eq!(language(None, None, Some("de-DE, en-GB"), "fr"), "en");
        assert_eq!(language(Some("en"), Some("fr"), None, "fr"), "en");
        assert_eq!(language(None, None, None, "fr"), "fr");
        assert_eq!(language(Some("é"), None, Some("x"), "de"), "en");
    }
}
