//! The demo's inbox: one page that shows what each tool received. It stands for the tools; it is no part of the server.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jumelle_model::Workspace;
use parking_lot::Mutex;
use serde_json::Value;

/// Messages kept for each tool; older ones go.
const MESSAGES_MAX: usize = 100;
/// Fields shown of a message.
const FIELDS_MAX: usize = 8;
/// Port of the page; the next free one if it is taken.
const PORT: u16 = 9_000;

/// The tools, by the last part of their address, with their names in French and English.
const TOOLS: [(&str, &str, &str); 4] = [
    ("email", "Outil e-mail", "E-mail tool"),
    ("sms", "Outil SMS", "Text message tool"),
    ("audience", "Régie publicitaire", "Advertising"),
    ("calls", "Centre d'appels", "Call centre"),
];

/// What the tools received.
pub struct Inbox {
    /// Where it listens.
    pub address: SocketAddr,
    received: Arc<Received>,
}

struct Received {
    french: bool,
    tools: Mutex<[Tool; TOOLS.len()]>,
    segments: Mutex<BTreeMap<String, (String, String)>>,
}

#[derive(Default)]
struct Tool {
    total: u64,
    messages: VecDeque<Message>,
}

struct Message {
    body: Value,
    signed: bool,
}

impl Inbox {
    /// Starts it on a port of its own. `french`: the language of whoever started the demo; a browser may ask for another.
    pub async fn start(french: bool) -> anyhow::Result<Inbox> {
        let listener = super::listen(SocketAddr::from(([127, 0, 0, 1], PORT))).await?;
        let address = listener.local_addr()?;
        let received = Arc::new(Received { french, tools: Mutex::default(), segments: Mutex::default() });
        let app = Router::new()
            .route("/", get(page))
            .route("/hook/{tool}", post(receive))
            .route("/received.json", get(json))
            .with_state(received.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Inbox { address, received })
    }

    /// Takes the segments' labels over.
    pub fn know_segments(&self, workspace: &Workspace) {
        *self.received.segments.lock() = workspace
            .segments
            .iter()
            .map(|segment| {
                let label = |text: &Option<String>| text.clone().unwrap_or_else(|| segment.key.clone());
                (segment.key.clone(), (label(&segment.label.fr), label(&segment.label.en)))
            })
            .collect();
    }
}

async fn receive(
    State(received): State<Arc<Received>>,
    Path(tool): Path<String>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let Some(index) = TOOLS.iter().position(|(key, ..)| *key == tool) else { return StatusCode::NOT_FOUND };
    let Ok(body) = serde_json::from_str(&body) else { return StatusCode::BAD_REQUEST };
    let mut tools = received.tools.lock();
    let tool = &mut tools[index];
    tool.total += 1;
    tool.messages.push_front(Message { body, signed: headers.contains_key("webhook-signature") });
    tool.messages.truncate(MESSAGES_MAX);
    StatusCode::NO_CONTENT
}

/// The same for programs: the newest first.
async fn json(State(received): State<Arc<Received>>) -> axum::Json<Value> {
    let tools = received.tools.lock();
    let all = TOOLS.iter().zip(tools.iter()).map(|((key, ..), tool)| {
        let messages: Vec<&Value> = tool.messages.iter().map(|message| &message.body).collect();
        ((*key).to_owned(), serde_json::json!({"total": tool.total, "messages": messages}))
    });
    axum::Json(Value::Object(all.collect()))
}

async fn page(State(received): State<Arc<Received>>, headers: HeaderMap) -> Response {
    let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).map(|text| text.starts_with("fr"));
    let french = asked.unwrap_or(received.french);
    let html = received.html(french);
    // Whatever a message holds is escaped; should that ever fail, it can still load and send nothing elsewhere.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)], html).into_response()
}

impl Received {
    fn html(&self, french: bool) -> String {
        let say = |fr: &'static str, en: &'static str| if french { fr } else { en };
        let mut html = String::with_capacity(64 * 1024);
        let title = say("Ce que les outils ont reçu", "What the tools received");
        let note = say(
            "Maison Lumière n'existe pas, ces personnes non plus. Chaque message a passé deux fois la porte du consentement.",
            "Maison Lumière does not exist, nor do these people. Each message has passed the consent gate twice.",
        );
        let language = say("fr", "en");
        // Writing to a String does not fail.
        let _ = write!(
            html,
            "<!doctype html><html lang=\"{language}\"><head><meta charset=\"utf-8\"><title>{title}</title><meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\"><noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>\
             <style>{STYLE}</style></head><body><header><h1>{title}</h1><p>{note}</p></header><main>"
        );
        let segments = self.segments.lock();
        let tools = self.tools.lock();
        for ((_, fr, en), tool) in TOOLS.iter().zip(tools.iter()) {
            let _ = write!(html, "<section><h2>{} <span>{}</span></h2>", say(fr, en), tool.total);
            if tool.messages.is_empty() {
                let _ = write!(html, "<p class=\"empty\">{}</p>", say("Rien encore.", "Nothing yet."));
            }
            html.push_str("<ol>");
            for message in &tool.messages {
                let body = &message.body;
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let kind = text(&body["type"]);
                let (class, shown) = match kind.as_str() {
                    "segment.entered" => ("in", say("entre", "enters")),
                    "segment.exited" => ("out", say("sort", "leaves")),
                    "profile.updated" => ("in", say("change", "changes")),
                    "consent.withdrawn" => ("no", say("a retiré son accord", "withdrew her consent")),
                    "profile.erased" => ("no", say("effacée", "erased")),
                    other => ("in", other),
                };
                let key = text(&body["segment"]);
                let segment = segments.get(&key).map_or(key.as_str(), |(fr, en)| if french { fr } else { en });
                let at = text(&body["at"]);
                let time = at.get(11..19).unwrap_or_default();
                let _ = write!(
                    html,
                    "<li class=\"{class}\"><time>{}</time> <b>{}</b> <i>{}</i>",
                    escape(time),
                    escape(shown),
                    escape(segment)
                );
                html.push_str("<dl>");
                for (field, value) in body["data"].as_object().into_iter().flatten().take(FIELDS_MAX) {
                    let value = match (value["amount"].as_i64(), value["currency"].as_str()) {
                        (Some(minor), Some(currency)) => format!("{}.{:02} {currency}", minor / 100, minor.abs() % 100),
                        _ => text(value),
                    };
                    if value != "null" {
                        let _ = write!(html, "<dt>{}</dt><dd>{}</dd>", escape(field), escape(&value));
                    }
                }
                html.push_str("</dl>");
                let consent = &body["consent"];
                let why = match (consent["state"].as_str(), consent["since"].as_str()) {
                    (Some("granted"), Some(since)) => {
                        format!("{} {}", say("accord donné le", "granted on"), since.get(..10).unwrap_or(since))
                    }
                    (Some("taken_back"), _) => say("retire ce qui avait été envoyé", "takes back what had been sent").to_owned(),
                    _ => format!("{} {}", say("base légale :", "legal basis:"), text(&consent["basis"])),
                };
                let signed = if message.signed { say("signé", "signed") } else { say("non signé", "not signed") };
                let _ = write!(
                    html,
                    "<small>{} / {} · {} · {signed}</small></li>",
                    escape(&text(&consent["purpose"])),
                    escape(&text(&consent["channel"])),
                    escape(&why)
                );
            }
            html.push_str("</ol></section>");
        }
        html.push_str("</main><script>");
        html.push_str(SCRIPT);
        html.push_str("</script></body></html>");
        html
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;font:14px/1.4 system-ui,sans-serif}\
body{margin:0;padding:20px;background:Canvas;color:CanvasText}\
header p{margin:0 0 16px;opacity:.75}h1{font-size:20px;margin:0 0 4px}\
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:16px}\
h2{font-size:15px;margin:0 0 8px}h2 span{font-weight:400;opacity:.7;font-variant-numeric:tabular-nums}\
ol{list-style:none;margin:0;padding:0;max-height:78vh;overflow:auto}\
li{border-left:4px solid #2563eb;background:color-mix(in srgb,CanvasText 5%,Canvas);padding:8px 10px;margin:0 0 8px;border-radius:4px;\
overflow-wrap:anywhere}li.out{border-color:#6b7280}li.no{border-color:#b45309}\
time{font-variant-numeric:tabular-nums;opacity:.75}i{font-style:normal}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:0 10px;margin:4px 0}dt{opacity:.7}dd{margin:0}small{opacity:.75}";

/// Fetches the page again and puts its lists in the place of the old ones; who is scrolling is not disturbed.
const SCRIPT: &str = "\
setInterval(async()=>{if([...document.querySelectorAll('ol')].some(o=>o.scrollTop>0))return;\
try{const t=await(await fetch('/')).text();\
document.querySelector('main').replaceWith(new DOMParser().parseFromString(t,'text/html').querySelector('main'))}catch{}},1500)";

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(body: Value) -> Received {
        let received = Received { french: false, tools: Mutex::default(), segments: Mutex::default() };
        received.tools.lock()[0].messages.push_front(Message { body, signed: true });
        received
    }

    #[test]
    fn what_people_are_called_is_not_code() {
        let page = received(serde_json::json!({
            "type": "segment.entered", "segment": "<b>x</b>", "at": "2026-03-01T10:00:00Z",
            "data": {"first_name": "<script>alert(1)</script>", "<img src=x>": "y"},
            "consent": {"purpose": "marketing", "channel": "email", "state": "granted", "since": "\"><svg onload=x>"},
        }))
        .html(true);
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        for code in ["<script>alert", "<img", "<svg", "<b>x"] {
            assert!(!page.contains(code), "{code}");
        }
    }

    #[test]
    fn the_page_speaks_both_languages() {
        let of = |french| received(serde_json::json!({"type": "consent.withdrawn", "at": ""})).html(french);
        assert!(of(true).contains("a retiré son accord") && of(true).contains("lang=\"fr\""));
        assert!(of(false).contains("withdrew her consent") && of(false).contains("lang=\"en\""));
    }
}
