//! The living shop: a server of its own, weeks of history, then the shop going on, faster than life.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jumelle_engine::{Engine, Options};
use jumelle_model::Workspace;
use jumelle_model::time::Timestamp;
use jumelle_server::{AdminToken, App, HttpLimits, token_hash};
use jumelle_simulate::{Compression, Plan, Shop};

use super::inbox::Inbox;
use super::load::{Batches, Senders};
use super::{DAY_MS, listen};
use crate::arguments::Demo;
use crate::output::{bold, dim, green};

const WORKSPACE: &str = include_str!("../../../../../examples/maison/workspace.yaml");
/// People of the shop by default.
const PEOPLE: u32 = 8_000;
/// Days of history by default.
const HISTORY_DAYS: i64 = 30;
/// Events that arrive in a second, about, if no speed is asked for.
const LIVE_EVENTS_PER_S: i64 = 15;
/// Simulated time after which what every source has sent arrives, while the history is loaded.
const TOGETHER_MS: i64 = 6 * 3_600_000;
/// Events of a person in ten days, about; measured.
const EVENTS_PER_PERSON_IN_TEN_DAYS: i64 = 2;
/// Connections that load the history: the other core is the server's.
const CONNECTIONS: usize = 2;
/// How often the loop looks whether something is to be sent.
const LIVE_STEP: Duration = Duration::from_millis(100);

/// Opens the shop, and keeps it open until Ctrl-C.
pub async fn open(demo: &Demo, data: PathBuf, french: bool) -> anyhow::Result<()> {
    let say = |fr: &str, en: &str| if french { fr.to_owned() } else { en.to_owned() };
    println!("{}", dim(&say("Maison Lumière ouvre…", "Maison Lumière is opening…")));
    let inbox = Inbox::start(french).await?;
    // Days of history within seconds: time is that of the events.
    let options = Options { clock_follows_events: Some(true), ..Options::new(&data) };
    let engine = Engine::open(&options).with_context(|| format!("opening {}", data.display()))?;
    let text = WORKSPACE
        .replace("http://127.0.0.1:9000/", &format!("http://{}/", inbox.address))
        .replace("{env: HOOK_SECRET}", "the demo signs with this text");
    let whole = Workspace::parse(&text)?;
    // The activations are the file's last section.
    let (definitions, _) = text.split_once("\nactivations:").context("examples/maison/workspace.yaml has no activations")?;
    let silent = Workspace::parse(definitions)?;
    inbox.know_segments(&whole);

    let token = std::env::var("JUMELLE_ADMIN_TOKEN").unwrap_or_else(|_| format!("jt_{:032x}", rand::random::<u128>()));
    let metrics = jumelle_server::install_metrics().map_err(anyhow::Error::msg)?;
    let app = App::new(engine.clone(), AdminToken::from_hash(token_hash(&token)), HttpLimits::default(), metrics);
    let listener = listen(demo.listen).await?;
    let server = format!("http://{}", listener.local_addr()?);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(app.serve(listener, async move {
        // Dropping the sender stops it as well.
        let _ = stopped.await;
    }));

    let console = format!("{server}/#token={token}");
    let inbox_page = format!("http://{}/", inbox.address);
    println!("{}  {}", bold(&say("Console      ", "Console ")), green(&console));
    println!("{}  {}", bold(&say("Boîte d'envoi", "Inbox   ")), green(&inbox_page));
    println!("{}\n", dim(&format!("export JUMELLE_SERVER={server} JUMELLE_ADMIN_TOKEN={token}")));

    let shop = Living { demo, engine: &engine, server: &server, french };
    let outcome = tokio::select! {
        outcome = shop.live(&whole, &silent) => outcome,
        () = crate::commands::serve::stop_signal() => Ok(()),
    };
    println!("\n{}", say("La boutique ferme…", "The shop is closing…"));
    let _ = stop.send(());
    served.await??;
    engine.stop().await;
    outcome
}

struct Living<'a> {
    demo: &'a Demo,
    engine: &'a Arc<Engine>,
    server: &'a str,
    french: bool,
}

impl Living<'_> {
    fn say(&self, fr: &str, en: &str) -> String {
        if self.french { fr.to_owned() } else { en.to_owned() }
    }

    async fn live(&self, whole: &Workspace, silent: &Workspace) -> anyhow::Result<()> {
        let people = self.demo.people.unwrap_or(PEOPLE);
        let now_ms = Timestamp::now().0 / 1_000;
        let from_ms = match self.demo.from.as_deref() {
            None => now_ms - HISTORY_DAYS * DAY_MS,
            Some(text) => jumelle_simulate::calendar::parse_date(text)
                .filter(|from| *from < now_ms)
                .with_context(|| format!("--from {text:?} is not a date before today"))?,
        };
        // A directory that has a history already gets new people, not the same messages again.
        let before = self.engine.shared().history.end()?.0.0;
        let seed = self.demo.seed.wrapping_add(before);
        let mut shop = Shop::new(Plan { seed, people, from_ms, to_ms: now_ms, truth: None })?;
        // Nobody is written to about what happened weeks ago.
        self.engine.apply(if before == 0 { silent } else { whole }, "demo").await?;
        self.load(&mut shop, (now_ms - from_ms) / DAY_MS).await?;
        self.engine.apply(whole, "demo").await?;

        let default_speed = 86_400 * LIVE_EVENTS_PER_S * 10 / (i64::from(people) * EVENTS_PER_PERSON_IN_TEN_DAYS);
        let speed = self.demo.speed.map_or(default_speed, i64::from).max(1);
        let started_ms = Timestamp::now().0 / 1_000;
        shop.compress(Compression { from_ms: now_ms, shown_ms: started_ms, speed });
        println!(
            "{}",
            self.say(
                &format!(
                    "La boutique vit : une journée y dure {} s. Des gens regardent, achètent, consentent, sont reconnus ; des messages \
                     partent, d'autres sont retenus, et la console dit pourquoi.",
                    86_400 / speed
                ),
                &format!(
                    "The shop is alive: a day lasts {} s there. People look, buy, consent, become known; messages leave, others are \
                     held back, and the console says why.",
                    86_400 / speed
                ),
            )
        );
        println!("{}", dim(&self.say("Ctrl-C pour fermer.", "Ctrl-C closes it.")));
        self.go_on(&mut shop, now_ms, started_ms, speed).await
    }

    /// Sends the past, as fast as the server takes it.
    async fn load(&self, shop: &mut Shop, days: i64) -> anyhow::Result<()> {
        let started = Instant::now();
        let senders = Senders::start(self.server, CONNECTIONS)?;
        let mut batches = Batches::new();
        let mut shown = Instant::now();
        let terminal = std::io::stdout().is_terminal();
        let mut progress = |sent: u64, last: bool| {
            if !last && (!terminal || shown.elapsed() < Duration::from_millis(250)) {
                return;
            }
            shown = Instant::now();
            let text = if self.french {
                format!("{days} jours d'histoire : {sent} événements en {:.1} s", started.elapsed().as_secs_f64())
            } else {
                format!("{days} days of history: {sent} events in {:.1} s", started.elapsed().as_secs_f64())
            };
            print!("{}{}{}", if terminal { "\r" } else { "" }, text, if last { "\n" } else { "" });
            // A terminal that is gone is no reason to stop.
            let _ = std::io::stdout().flush();
        };
        let mut together_until_ms = i64::MIN;
        while let Some(line) = shop.next_line() {
            // A source with few events must not arrive days after one with many: the days would not show when things happened.
            if line.arrival_ms >= together_until_ms {
                together_until_ms = line.arrival_ms + TOGETHER_MS;
                for batch in batches.due(None) {
                    senders.send(batch).await?;
                }
            }
            if let Some(batch) = batches.add(&line, Timestamp::now().0 / 1_000) {
                senders.send(batch).await?;
                progress(senders.sent.load(Ordering::Relaxed), false);
            }
        }
        for batch in batches.due(None) {
            senders.send(batch).await?;
        }
        let sent = senders.finish().await?;
        // What is stored is folded a moment later.
        let shared = self.engine.shared();
        let (end, _) = shared.history.end()?;
        while shared.position() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Beside thirty days in ten seconds the shop's own minutes would not be seen.
        shared.flow.clear();
        progress(sent, true);
        Ok(())
    }

    /// Sends each event when its compressed time has come, for ever.
    async fn go_on(&self, shop: &mut Shop, from_ms: i64, started_ms: i64, speed: i64) -> anyhow::Result<()> {
        let senders = Senders::start(self.server, 1)?;
        let mut batches = Batches::new();
        loop {
            let now_ms = Timestamp::now().0 / 1_000;
            // Up to what the wall shows now, and no further: nothing is made before its time.
            shop.extend(from_ms + (now_ms - started_ms) * speed);
            while let Some(line) = shop.next_line() {
                if let Some(batch) = batches.add(&line, now_ms) {
                    senders.send(batch).await?;
                }
            }
            for batch in batches.due(None) {
                senders.send(batch).await?;
            }
            tokio::time::sleep(LIVE_STEP).await;
        }
    }
}
