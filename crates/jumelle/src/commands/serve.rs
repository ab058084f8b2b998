//! `jumelle serve`

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use jumelle_activate::secrets::{held, seal_all};
use jumelle_activate::{Bell, MailSettings};
use jumelle_connect::check_workspace;
use jumelle_engine::{Engine, Memory, Options, WindowLimits};
use jumelle_model::Workspace;
use jumelle_model::time::Span;
use jumelle_model::workspace::{Difference, Problems};
use jumelle_server::{AdminToken, AlarmLimits, Alarms, App, HttpLimits, Tls, token_hash};

use super::connector::own;
use crate::arguments::{AlarmArguments, Clock, Given, Serve, memory};
use crate::client::block_on;
use crate::output::Failure;
use crate::secrets_key;
use crate::telemetry::{self, Traces};

/// Name of the stored hash of the first admin token.
const TOKEN_ROW: &str = "admin_token_sha256";

/// Starts the server and runs until Ctrl-C or SIGTERM.
pub fn run(serve: &Serve, given: &Given) -> anyhow::Result<()> {
    let serve = with_config(serve, given)?;
    let traces = serve.otlp_endpoint.clone().map(|endpoint| Traces { endpoint, ratio: serve.trace_ratio });
    let _tracing = telemetry::start(serve.log_json, traces.as_ref())?;
    block_on(async move {
        let started = Instant::now();
        secrets_key::take(serve.secrets_key_file.as_deref(), serve.secrets_key_command.as_deref())?;
        let engine = open(&serve)?;
        if let Some(file) = &serve.workspace {
            apply_file(&engine, file, serve.leave_behind).await?;
        }
        if let Some(place) = own::place(serve.connectors.as_deref(), serve.workspace.as_deref()) {
            tokio::spawn(own::follow(engine.clone(), place));
        }
        let (admin, made) = admin_token(&engine, serve.admin_token.as_deref())?;
        let metrics = jumelle_server::install_metrics().map_err(anyhow::Error::msg)?;
        let mut limits = HttpLimits { batch_bytes: serve.batch_bytes, event_bytes: serve.event_bytes, ..serve.http.limits() };
        limits.connections = within_open_files(limits.connections);
        let tls = tls(&serve)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut app = App::new(engine.clone(), admin, limits, metrics).keep_tokens(&serve.data)?;
        if let Some(tls) = tls {
            app = app.with_tls(tls);
        }
        if let Some(alarms) = alarms(&serve.alarms)? {
            app = app.with_alarms(alarms);
        }
        if traces.is_some() {
            app = app.with_trace_parent(telemetry::parent());
        }
        let listener =
            tokio::net::TcpListener::bind(serve.listen).await.with_context(|| format!("listening on {}", serve.listen))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, data = %serve.data.display(), milliseconds = started.elapsed().as_millis() as u64, "jumelle is ready");
        println!("Jumelle listens on {scheme}://{address}");
        if let Some(token) = made {
            println!("Admin token (shown once; keep it): {token}");
        }
        app.serve(listener, stop_signal()).await?;
        engine.stop().await;
        tracing::info!("stopped");
        Ok(())
    })
}

/// File descriptors that the tables, the history and deliveries need beside connections.
const OWN_FILES: usize = 256;

/// No more connections than this process may have files open; otherwise it would fail at the disk instead of at the door.
fn within_open_files(connections: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let Some(files) = line.and_then(|line| line.split_whitespace().nth(3)?.parse::<usize>().ok()) else { return connections };
    let possible = files.saturating_sub(OWN_FILES).max(files / 4).max(1);
    if possible < connections {
        tracing::warn!(connections = possible, files, "fewer connections than set: raise the limit of open files (ulimit -n)");
    }
    connections.min(possible)
}

/// TLS as the arguments say, read again at each SIGHUP.
fn tls(serve: &Serve) -> anyhow::Result<Option<Tls>> {
    let (certificate, key) = match (&serve.http.tls_cert, &serve.http.tls_key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        _ => return Err(Failure::refused("TLS needs both a certificate (tls_cert) and its key (tls_key)")),
    };
    let tls = Tls::read(certificate.clone(), key.clone()).map_err(|error| Failure::refused(error.to_string()))?;
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let reloaded = tls.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match reloaded.reload() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(error) => tracing::error!(%error, "the new certificate cannot be used; the one before stays"),
            }
        }
    });
    Ok(Some(tls))
}

/// Where to ring and when, if it is said.
fn alarms(settings: &AlarmArguments) -> anyhow::Result<Option<Alarms>> {
    let duration = |name: &str, text: &str| {
        let span = Span::parse(text).filter(|span| span.0 > 0);
        span.ok_or_else(|| Failure::refused(format!("{name}: {text:?} is not a duration; write 30m")))
    };
    let bells = bells(settings)?;
    let share = |text: &str| text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    let delivered_below = AlarmLimits::parse(settings.alarm_delivered_below.as_deref().unwrap_or_default(), share)
        .map_err(|error| Failure::refused(format!("alarm_delivered_below: {error}; write 0.9, or 0.9,mailer=0.8,archive=off")))?;
    let span = |text: &str| Span::parse(text).filter(|span| span.0 > 0);
    let silent_after = AlarmLimits::parse(settings.alarm_silent_after.as_deref().unwrap_or_default(), span)
        .map_err(|error| Failure::refused(format!("alarm_silent_after: {error}; write 15m, or 15m,mailer=1h,archive=off")))?;
    let delivered_over = duration("alarm_delivered_over", &settings.alarm_delivered_over)?;
    if delivered_over > Span(3_600_000_000) {
        return Err(Failure::refused("alarm_delivered_over: what goes through is counted for an hour; write 1h at most"));
    }
    let every = duration("alarm_every", &settings.alarm_every)?;
    if bells.is_empty() {
        let unheard = settings.alarm_delivered_below.is_some() || settings.alarm_silent_after.is_some();
        return match unheard {
            true => {
                Err(Failure::refused("an alarm needs a way to be told: alarm_url, alarm_slack, alarm_teams or alarm_mail_server"))
            }
            false => Ok(None),
        };
    }
    Ok(Some(Alarms { bells, every, delivered_below, delivered_over, silent_after }))
}

/// The ways to tell.
fn bells(settings: &AlarmArguments) -> anyhow::Result<Vec<Bell>> {
    let mut bells = Vec::new();
    if let Some(url) = &settings.alarm_url {
        let Some(secret) = &settings.alarm_secret else {
            return Err(Failure::refused("alarm_url needs an alarm_secret: whoever is told must be able to check that it is us"));
        };
        bells.push(Bell::webhook(url, secret).map_err(Failure::refused)?);
    }
    if let Some(url) = &settings.alarm_slack {
        bells.push(Bell::slack(url).map_err(Failure::refused)?);
    }
    if let Some(url) = &settings.alarm_teams {
        bells.push(Bell::teams(url).map_err(Failure::refused)?);
    }
    if let Some(server) = &settings.alarm_mail_server {
        let login = match (&settings.alarm_mail_user, &settings.alarm_mail_password) {
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
            (None, None) => None,
            _ => return Err(Failure::refused("alarm_mail_user and alarm_mail_password go together")),
        };
        let Some(from) = settings.alarm_mail_from.clone() else {
            return Err(Failure::refused("alarm_mail_server needs an alarm_mail_from: who writes"));
        };
        let to = settings.alarm_mail_to.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|to| !to.is_empty());
        let settings = MailSettings { server: server.clone(), login, from, to: to.map(str::to_owned).collect() };
        bells.push(Bell::mail(settings).map_err(Failure::refused)?);
    }
    Ok(bells)
}

/// Opens the engine as the arguments say.
pub fn open(serve: &Serve) -> anyhow::Result<Arc<Engine>> {
    let memory = Memory::of(serve.memory.as_u64());
    let memory =
        Memory { people: serve.cached_people.unwrap_or(memory.people), ids: serve.dedup_ids.unwrap_or(memory.ids), ..memory };
    let options = Options {
        clock_follows_events: serve.clock.map(|clock| clock == Clock::Events),
        window: WindowLimits { span: Span(i64::from(serve.dedup_hours) * 3_600_000_000), ids: memory.ids },
        memory,
        ledger_key: serve.ledger_key.clone(),
        catalogue: Arc::new(own::catalogue(serve.connectors.as_deref(), serve.workspace.as_deref())?),
        files: serve.files.clone(),
        ..Options::new(&serve.data)
    };
    Engine::open(&options).with_context(|| format!("opening {}", serve.data.display()))
}

/// Applies a workspace file if it differs from what is in force. As with `jumelle apply`, no tool goes while people are in it:
/// nobody could take them out of it any more.
pub async fn apply_file(engine: &Arc<Engine>, file: &Path, leave_behind: bool) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let mut workspace = parse_file(file, &text)?;
    check_workspace(&engine.dispatcher().catalogue(), &workspace, &text).map_err(|problems| listed(file, &problems))?;
    let before = engine.shared().definitions();
    for destination in seal_all(held(), &mut workspace, &before.workspace) {
        tracing::warn!(destination, "its secret stands in the history as it is: write {{env: NAME}}, or give a key for secrets");
    }
    let difference = Difference::between(&before.workspace, &workspace);
    if !difference.changes.is_empty() {
        let left = if leave_behind { Vec::new() } else { engine.shared().left_behind(&workspace)? };
        if let Some((key, people)) = left.first() {
            let details = serde_json::json!({"destination": key, "people": people});
            let message = format!(
                "{}: destinations.{key} is gone and {people} people are still in it; keep it with `retire: true`, which takes \
                 them out, until GET /v1/destinations/{key}/people counts none; or start with --leave-behind",
                file.display()
            );
            return Err(Failure { code: 3, message, details }.into());
        }
        let by = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        engine.apply(&workspace, &by).await?;
        tracing::info!(changes = difference.changes.len(), "workspace applied");
    }
    Ok(())
}

/// Reads definitions; problems name the file, line and column.
pub fn parse_file(file: &Path, text: &str) -> anyhow::Result<Workspace> {
    let workspace = Workspace::parse(text).map_err(|problems| listed(file, &problems))?;
    if workspace == Workspace::empty() {
        // A file that was cut to nothing must not take every definition away.
        return Err(Failure::refused(format!("{} defines nothing at all", file.display())));
    }
    Ok(workspace)
}

fn listed(file: &Path, problems: &Problems) -> anyhow::Error {
    let lines: Vec<String> = problems.0.iter().map(|problem| format!("{}:{problem}", file.display())).collect();
    let details = serde_json::json!({"errors": problems.0});
    Failure { code: 3, message: lines.join("\n"), details }.into()
}

/// The token given, or the one that the directory knows, or a new one (returned, to be shown once).
fn admin_token(engine: &Engine, given: Option<&str>) -> anyhow::Result<(AdminToken, Option<String>)> {
    let history = &engine.shared().history;
    if let Some(token) = given {
        if token.len() < 8 {
            return Err(Failure::refused("the admin token has 8 characters at least"));
        }
        return Ok((AdminToken::chosen(token), None));
    }
    if let Some(hash) = history.get_meta(TOKEN_ROW)? {
        let hash: [u8; 32] =
            hash.try_into().map_err(|_| Failure::refused("the stored token hash is damaged; set JUMELLE_ADMIN_TOKEN"))?;
        return Ok((AdminToken::from_hash(hash), None));
    }
    let token = format!("jt_{:032x}", rand::random::<u128>());
    history.put_meta(TOKEN_ROW, &token_hash(&token))?;
    Ok((AdminToken::from_hash(token_hash(&token)), Some(token)))
}

/// Resolves on Ctrl-C or SIGTERM.
pub async fn stop_signal() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

/// Settings of the TOML file where neither a flag nor the environment gave one.
fn with_config(serve: &Serve, given: &Given) -> anyhow::Result<Serve> {
    #[derive(serde::Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct File {
        data: Option<std::path::PathBuf>,
        listen: Option<std::net::SocketAddr>,
        workspace: Option<std::path::PathBuf>,
        clock: Option<String>,
        memory: Option<String>,
        cached_people: Option<usize>,
        event_bytes: Option<usize>,
        batch_bytes: Option<usize>,
        dedup_hours: Option<u32>,
        dedup_ids: Option<usize>,
        log_json: Option<bool>,
        otlp_endpoint: Option<String>,
        trace_ratio: Option<f64>,
        ledger_key: Option<std::path::PathBuf>,
        secrets_key_file: Option<std::path::PathBuf>,
        secrets_key_command: Option<String>,
        connectors: Option<std::path::PathBuf>,
        files: Option<std::path::PathBuf>,
        alarm_url: Option<String>,
        alarm_mail_server: Option<String>,
        alarm_mail_user: Option<String>,
        alarm_mail_from: Option<String>,
        alarm_mail_to: Option<String>,
        alarm_every: Option<String>,
        alarm_delivered_below: Option<String>,
        alarm_delivered_over: Option<String>,
        alarm_silent_after: Option<String>,
        http: crate::arguments::HttpFile,
    }
    let mut serve = serve.clone();
    let Some(path) = serve.config.clone() else { return Ok(serve) };
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let file: File = toml::from_str(&text).map_err(|error| Failure::refused(format!("{}: {error}", path.display())))?;
    macro_rules! take {
        ($($field:ident),*) => {$(
            if let Some(value) = file.$field && !given.has(stringify!($field)) { serve.$field = value; }
        )*};
    }
    take!(data, listen, event_bytes, batch_bytes, dedup_hours, log_json, trace_ratio);
    if let Some(size) = file.memory.filter(|_| !given.has("memory")) {
        serve.memory = memory(&size).map_err(|error| Failure::refused(format!("{}: memory: {error}", path.display())))?;
    }
    serve.cached_people = serve.cached_people.or(file.cached_people);
    serve.dedup_ids = serve.dedup_ids.or(file.dedup_ids);
    macro_rules! take_alarms {
        ($($field:ident),*) => {$(serve.alarms.$field = serve.alarms.$field.or(file.$field);)*};
    }
    take_alarms!(alarm_url, alarm_mail_server, alarm_mail_user, alarm_mail_from, alarm_mail_to);
    take_alarms!(alarm_delivered_below, alarm_silent_after);
    if let Some(every) = file.alarm_every.filter(|_| !given.has("alarm_every")) {
        serve.alarms.alarm_every = every;
    }
    if let Some(over) = file.alarm_delivered_over.filter(|_| !given.has("alarm_delivered_over")) {
        serve.alarms.alarm_delivered_over = over;
    }
    serve.otlp_endpoint = serve.otlp_endpoint.or(file.otlp_endpoint);
    serve.http.fill(file.http, given);
    serve.workspace = serve.workspace.or(file.workspace);
    serve.ledger_key = serve.ledger_key.or(file.ledger_key);
    serve.secrets_key_file = serve.secrets_key_file.or(file.secrets_key_file);
    serve.secrets_key_command = serve.secrets_key_command.or(file.secrets_key_command);
    serve.connectors = serve.connectors.or(file.connectors);
    serve.files = serve.files.or(file.files);
    serve.clock = match (serve.clock, file.clock.as_deref()) {
        (None, Some("wall")) => Some(Clock::Wall),
        (None, Some("events")) => Some(Clock::Events),
        (None, Some(other)) => return Err(Failure::refused(format!("clock = {other:?} is not one of wall, events"))),
        (given, _) => given,
    };
    Ok(serve)
}
