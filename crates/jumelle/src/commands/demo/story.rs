//! `jumelle demo --story`: the story of one person becoming known, told step by step on a real server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use jumelle_model::Workspace;
use jumelle_model::time::{Span, Timestamp};
use jumelle_server::{AdminToken, App, HttpLimits, token_hash};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::arguments::Demo;
use crate::client::Client;
use crate::output::{bold, dim, green, yellow};

const WORKSPACE: &str = include_str!("../../../../../examples/sneakers/workspace.yaml");
const STORY: &str = include_str!("../../../../../examples/sneakers/story.jsonl");
const PERSON: &str = "email:ana@example.org";
/// How long the tool may take to receive what a step causes.
const STEP_WAIT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Step {
    step: String,
    step_fr: String,
    source: String,
    #[serde(default)]
    minutes_ago: i64,
    event: Value,
}

/// The e-mail tool of the story: an HTTP server that keeps what it receives.
struct Inbox {
    address: SocketAddr,
    received: mpsc::UnboundedReceiver<(Value, bool)>,
}

/// Starts everything, plays, and (without `--once`) goes on serving.
pub async fn serve_and_play(demo: &Demo, data: PathBuf, french: bool) -> anyhow::Result<()> {
    let say = |fr: &str, en: &str| if french { fr.to_owned() } else { en.to_owned() };
    println!("{}", dim(&say("Démarrage…", "Starting…")));
    let mut inbox = Inbox::start().await?;
    let engine = jumelle_engine::Engine::open(&jumelle_engine::Options::new(&data))
        .with_context(|| format!("opening {}", data.display()))?;
    let text = WORKSPACE
        .replace("http://127.0.0.1:9000/hook", &format!("http://{}/hook", inbox.address))
        .replace("{env: HOOK_SECRET}", "the demo signs with this text");
    let workspace = Workspace::parse(&text)?;
    engine.apply(&workspace, "demo").await?;

    let token = std::env::var("JUMELLE_ADMIN_TOKEN").unwrap_or_else(|_| format!("jt_{:032x}", rand::random::<u128>()));
    let metrics = jumelle_server::install_metrics().map_err(anyhow::Error::msg)?;
    let app = App::new(engine.clone(), AdminToken::from_hash(token_hash(&token)), HttpLimits::default(), metrics);
    let listener = super::listen(demo.listen).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(app.serve(listener, async move {
        // Dropping the sender stops it as well.
        let _ = stopped.await;
    }));
    let server = format!("http://{address}");
    println!("{} {}\n", bold("Jumelle"), say(&format!("écoute sur {server}"), &format!("listens on {server}")));

    let told = tokio::select! {
        told = play(&server, &token, &mut inbox, french) => told.map(|()| true),
        () = crate::commands::serve::stop_signal() => Ok(false),
    };
    if *told.as_ref().unwrap_or(&false) {
        print_next(&server, &token, french);
        if !demo.once {
            println!("\n{}", dim(&say("Ctrl-C pour arrêter.", "Ctrl-C stops it.")));
            crate::commands::serve::stop_signal().await;
            println!("{}", say("Arrêt…", "Stopping…"));
        }
    }
    // The server may have ended by itself; then there is nobody to tell.
    let _ = stop.send(());
    served.await??;
    engine.stop().await;
    told.map(|_| ())
}

async fn play(server: &str, token: &str, inbox: &mut Inbox, french: bool) -> anyhow::Result<()> {
    let client = Client::to(server, token)?;
    let keys = [("site", "wk_site"), ("till", "wk_till")];
    for (n, line) in STORY.lines().enumerate() {
        let step: Step = serde_json::from_str(line).context("examples/sneakers/story.jsonl")?;
        println!("{} {}", bold(&format!("{}.", n + 1)), if french { &step.step_fr } else { &step.step });
        let mut event = step.event;
        event["timestamp"] = json!(Timestamp::now() - Span(step.minutes_ago * 60_000_000));
        event["writeKey"] = keys.iter().find(|(source, _)| *source == step.source).map(|(_, key)| *key).into();
        // A second run on the same directory tells the story again.
        event["messageId"] = format!("{}-{:08x}", event["messageId"].as_str().unwrap_or("story"), rand::random::<u32>()).into();
        let kind = event["type"].as_str().unwrap_or("track").to_owned();
        client.post(&format!("/v1/{kind}"), event.to_string()).await?;
        happened(&client, &event, inbox, french).await?;
        println!();
    }
    Ok(())
}

/// Says what a step did, as the API and the tool see it.
async fn happened(client: &Client, event: &Value, inbox: &mut Inbox, french: bool) -> anyhow::Result<()> {
    let say = |fr: &str, en: &str| if french { fr.to_owned() } else { en.to_owned() };
    let by = match (event["anonymousId"].as_str(), event["traits"]["email"].as_str()) {
        (Some(anonymous), _) => format!("anonymous_id:{anonymous}"),
        (None, _) => PERSON.to_owned(),
    };
    let message_id = event["messageId"].as_str().unwrap_or_default();
    // A 200 means durable; what follows from it is there some milliseconds later.
    let started = std::time::Instant::now();
    let person = loop {
        let events = client.get(&format!("/v1/profiles/{by}/events?limit=20")).await.unwrap_or_default();
        let folded = events["items"].as_array().into_iter().flatten().any(|event| event["messageId"] == message_id);
        if folded {
            break client.get(&format!("/v1/profiles/{by}")).await?;
        }
        if started.elapsed() > STEP_WAIT {
            anyhow::bail!("the event {message_id} was stored but not folded within {STEP_WAIT:?}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let names: Vec<String> = person["identifiers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|identifier| format!("{}:{}", text(&identifier["namespace"]), text(&identifier["value"])))
        .collect();
    println!("   {} {}  {}", dim(&say("profil", "profile")), text(&person["id"]), dim(&names.join("  ")));
    for segment in person["segments"].as_array().into_iter().flatten() {
        println!("   {} {}", dim(&say("segment", "segment")), green(&text(&segment["key"])));
    }
    let deliveries = client.get(&format!("/v1/profiles/{by}/deliveries?limit=1")).await?;
    if let Some(delivery) = deliveries["items"].get(0) {
        if delivery["state"] == "blocked" {
            println!(
                "   {} {}",
                dim(&say("porte", "gate")),
                yellow(&format!("{}: {}", say("fermée", "closed"), text(&delivery["reason"])))
            );
            return Ok(());
        }
        if event["context"]["consents"].is_array() {
            let received = tokio::time::timeout(STEP_WAIT, inbox.received.recv()).await;
            match received {
                Ok(Some((message, signed))) => println!(
                    "   {} {} {} {}",
                    dim(&say("outil e-mail reçoit", "e-mail tool receives")),
                    green(&text(&message["type"])),
                    message["data"],
                    dim(&if signed { say("(signé)", "(signed)") } else { say("(sans signature)", "(not signed)") }),
                ),
                _ => anyhow::bail!("the e-mail tool received nothing within {STEP_WAIT:?}"),
            }
        }
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn print_next(server: &str, token: &str, french: bool) {
    println!("{}", bold(if french { "À essayer" } else { "Try next" }));
    println!("   export JUMELLE_ADMIN_TOKEN={token}");
    for call in [
        format!("curl -s -H \"Authorization: Bearer $JUMELLE_ADMIN_TOKEN\" {server}/v1/profiles/{PERSON}"),
        format!("curl -s -H \"Authorization: Bearer $JUMELLE_ADMIN_TOKEN\" {server}/v1/profiles/{PERSON}/explain"),
        format!(
            "curl -s -u wk_site: {server}/v1/track -d '{{\"event\":\"Product Viewed\",\"anonymousId\":\"me\",\"properties\":{{\"category\":\"sneakers\"}}}}'"
        ),
    ] {
        println!("   {call}");
    }
    println!("   {}", dim(&format!("{server}/docs")));
}

impl Inbox {
    async fn start() -> anyhow::Result<Inbox> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (sender, received) = mpsc::unbounded_channel();
        let app = Router::new().route("/hook", post(receive)).with_state(Arc::new(sender));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Inbox { address, received })
    }
}

async fn receive(
    State(sender): State<Arc<mpsc::UnboundedSender<(Value, bool)>>>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let signed = headers.contains_key("webhook-signature");
    // Nobody listens once the story is told.
    let _ = sender.send((serde_json::from_str(&body).unwrap_or(Value::Null), signed));
    StatusCode::NO_CONTENT
}
