//! The HTTP API (DESIGN §6).
//!
//! Architecture invariant: no rule, no fold, no gate here; handlers translate between HTTP and the engine.

mod access;
mod alarms;
mod allowed;
mod assets;
mod auth;
mod backup;
mod blocking;
mod bodies;
mod collect;
mod connectors;
mod consent;
mod definitions;
mod deliveries;
mod drafts;
mod export;
mod headers;
mod health;
mod imports;
mod inbound;
mod ledger;
mod links;
mod listen;
mod live;
mod openapi;
mod operations;
mod oppositions;
mod oversight;
mod overview;
mod preference_form;
mod preference_page;
mod preference_words;
mod privacy;
mod problem;
mod profiles;
mod proof_document;
mod proof_page;
mod proof_pdf;
mod quarantine;
mod rate;
mod records;
mod results;
mod retention;
mod roles;
mod secrets;
mod segments;
mod session;
mod set_aside;
mod splits;
mod stocks;
mod tag;
mod tls;
mod tokens;
mod tools;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{any, get, post};
use jumelle_collect::Limits;
use jumelle_engine::Engine;
use metrics_exporter_prometheus::PrometheusHandle;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowHeaders, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;

pub use alarms::{AlarmLimits, Alarms};
pub use auth::{AdminToken, token_hash};
pub use openapi::openapi;
pub use operations::{METRICS, install_metrics};
pub use problem::Problem;
pub use roles::{Role, roles_page};
pub use tls::{Tls, TlsError};
pub use tokens::{TOKENS_MAX, TokenError, check_tokens};

use bodies::Bodies;
use rate::Rates;
use set_aside::SettingAside;
use tokens::Tokens;

/// The calls of the tracking API and their short forms.
const CALLS: [&str; 12] = ["track", "identify", "page", "screen", "group", "alias", "t", "i", "p", "s", "g", "a"];

/// Bytes of a tool's list that are compared.
const RECONCILED_BYTES_MAX: usize = 256 << 20;

/// Bounds of the HTTP side.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Bytes of a collection body after decompression. Default 500 KiB.
    pub batch_bytes: usize,
    /// Bytes of one event. Default 32 KiB.
    pub event_bytes: usize,
    /// Bytes of an administrative body. Default 4 MiB.
    pub admin_bytes: usize,
    /// Connections at once. Default 10,000.
    pub connections: usize,
    /// Bytes of a request's line and headers. Default 32 KiB.
    pub header_bytes: usize,
    /// From the first byte of a request to the end of its headers, and for a TLS handshake. Default 10 s.
    pub header_time: Duration,
    /// From the end of the headers to the end of the body. Default 30 s.
    pub body_time: Duration,
    /// How long a client may take nothing of its answer. Default 60 s.
    pub write_time: Duration,
    /// How long a connection may stay without a request. Default 75 s.
    pub idle_time: Duration,
    /// Collection requests per second and address; five seconds' worth may come at once. 0: no limit. Default 1,000.
    pub rate_address: u32,
    /// Collection requests per second and write key, likewise. Default 20,000.
    pub rate_write_key: u32,
    /// Other calls per second and token, likewise. Default 1,000.
    pub rate_token: u32,
    /// Wrong tokens per minute and address. 0: no limit. Default 30.
    pub failed_sign_ins: u32,
    /// How old the oldest entry that is not folded may be while `/readyz` says ready. Default 60 s.
    pub ready_lag: Duration,
    /// Whether these rates hold for this machine itself, too. Default: no.
    pub limit_loopback: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits {
            batch_bytes: 500 * 1024,
            event_bytes: Limits::default().event_bytes,
            admin_bytes: 4 << 20,
            connections: 10_000,
            header_bytes: 32 * 1024,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            write_time: Duration::from_secs(60),
            idle_time: Duration::from_secs(75),
            rate_address: 1_000,
            rate_write_key: 20_000,
            rate_token: 1_000,
            failed_sign_ins: 30,
            ready_lag: Duration::from_secs(60),
            limit_loopback: false,
            trusted_proxies: Vec::new(),
        }
    }
}

/// What handlers see.
#[derive(Clone)]
pub struct App {
    engine: Arc<Engine>,
    tokens: Arc<Tokens>,
    rates: Arc<Rates>,
    bodies: Bodies,
    setting_aside: Arc<SettingAside>,
    tls: Option<Tls>,
    alarms: Option<Arc<Alarms>>,
    trace_parent: Option<TraceParent>,
    censuses: oversight::Censuses,
    started: Instant,
    limits: Arc<HttpLimits>,
    metrics: PrometheusHandle,
}

/// Makes a request's span the child of its caller's, if the headers name one.
pub type TraceParent = Arc<dyn Fn(&tracing::Span, &axum::http::HeaderMap) + Send + Sync>;

impl App {
    /// An application over an engine.
    pub fn new(engine: Arc<Engine>, admin: AdminToken, limits: HttpLimits, metrics: PrometheusHandle) -> App {
        App {
            engine,
            tokens: Arc::new(Tokens::new(admin)),
            rates: Arc::new(Rates::new(&limits)),
            bodies: Bodies::new(limits.batch_bytes),
            setting_aside: Arc::new(SettingAside::new()),
            tls: None,
            alarms: None,
            trace_parent: None,
            censuses: oversight::Censuses::default(),
            started: Instant::now(),
            limits: Arc::new(limits),
            metrics,
        }
    }

    /// Reads the tokens of a data directory, and keeps those made from now on there.
    pub fn keep_tokens(self, directory: &Path) -> Result<App, TokenError> {
        self.tokens.keep_in(directory)?;
        Ok(self)
    }

    /// Speaks TLS.
    pub fn with_tls(self, tls: Tls) -> App {
        App { tls: Some(tls), ..self }
    }

    /// Rings where the operator wants to hear of removals that no tool confirms.
    pub fn with_alarms(self, alarms: Alarms) -> App {
        App { alarms: Some(alarms.into()), ..self }
    }

    /// Has each request's span find its caller's.
    pub fn with_trace_parent(self, trace_parent: TraceParent) -> App {
        App { trace_parent: Some(trace_parent), ..self }
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// All routes.
    pub fn router(self) -> Router {
        let calls = CALLS.iter().fold(Router::new(), |router, call| router.route(&format!("/v1/{call}"), post(collect::single)));
        let collection = calls
            .route("/v1/batch", post(collect::batch))
            .route("/v1/b", post(collect::batch))
            .route("/v1/import", post(collect::batch))
            .route("/v1/pixel/{kind}", get(collect::pixel))
            .route("/v1/projects/{write_key}/settings", get(collect::settings))
            .layer(RequestDecompressionLayer::new())
            // Compressed bytes have the same bound as those that they become.
            .layer(DefaultBodyLimit::max(self.limits.batch_bytes))
            .layer(middleware::from_fn_with_state(self.clone(), auth::limit_address))
            .layer(
                CorsLayer::permissive()
                    // `*` does not stand for `Authorization`, which the browser SDK sends: only its name does.
                    .allow_headers(AllowHeaders::mirror_request())
                    .max_age(Duration::from_secs(3_600)),
            );
        let administration = Router::new()
            .route("/v1/profiles", get(profiles::search))
            .route("/v1/profiles/{id}", get(profiles::profile))
            .route("/v1/profiles/{id}/events", get(profiles::events))
            .route("/v1/profiles/{id}/segments", get(profiles::segments))
            .route("/v1/profiles/{id}/consents", get(profiles::consents))
            .route("/v1/profiles/{id}/deliveries", get(profiles::deliveries))
            .route("/v1/profiles/{id}/explain", get(profiles::explain))
            .route("/v1/profiles/{id}/joins", get(profiles::joins))
            .route("/v1/profiles/{id}/split", post(splits::split))
            .route("/v1/profiles/{id}/tools", get(tools::of_person))
            .route("/v1/allowed", get(allowed::one).post(allowed::many))
            .route("/v1/oppositions", get(oppositions::table).post(inbound::suppress))
            .route("/v1/oppositions/manifest", get(oppositions::manifest))
            .route("/v1/destinations/{key}/people", get(tools::people))
            .route("/v1/destinations/{key}/reconcile", post(tools::reconcile).layer(DefaultBodyLimit::max(RECONCILED_BYTES_MAX)))
            .route("/v1/destinations/{key}/reconciliations", get(tools::reconciliations))
            .route("/v1/overview", get(overview::overview))
            .route("/v1/health/details", get(health::details))
            .route("/v1/live", get(live::stream))
            .route("/v1/live/{position}", get(live::one))
            .route("/v1/workspace", get(definitions::whole).put(definitions::apply))
            .route("/v1/segments/preview", post(segments::preview))
            .route("/v1/segments/{key}/members", get(segments::members))
            .route("/v1/consents", post(consent::record))
            .route("/v1/consents/decode", post(consent::decode))
            .route("/v1/privacy/access", post(privacy::access))
            .route("/v1/privacy/erase", post(privacy::erase))
            .route("/v1/privacy/restrict", post(privacy::restrict))
            .route("/v1/privacy/object", post(privacy::object))
            .route("/v1/privacy/rectify", post(privacy::rectify))
            .route("/v1/privacy/requests", get(privacy::requests))
            .route("/v1/privacy/requests/{id}", get(privacy::request).post(privacy::step))
            .route("/v1/privacy/receipts", get(records::receipts))
            .route("/v1/privacy/record", get(records::record))
            .route("/v1/secrets/seal", post(secrets::seal))
            .route("/v1/links", post(links::mint))
            .route("/v1/links/keys", post(links::rotate))
            .route("/v1/privacy/consents", get(oversight::consents))
            .route("/v1/privacy/consents/people", get(oversight::people))
            .route("/v1/privacy/retention", get(retention::retention))
            .route("/v1/privacy/retention/people", get(retention::people))
            .route("/v1/privacy/tools", get(oversight::tools))
            .route("/v1/privacy/reductions", get(oversight::reductions))
            .route("/v1/privacy/policies", get(oversight::policies))
            .route("/v1/privacy/proof", get(ledger::proof))
            .route("/v1/ledger/roots", get(ledger::roots))
            .route("/v1/ledger/verify", post(ledger::verify))
            .route("/v1/quarantine", get(quarantine::list))
            .route("/v1/quarantine/{id}", axum::routing::delete(quarantine::delete).get(quarantine::one))
            .route("/v1/quarantine/{id}/retry", post(quarantine::retry))
            .route("/v1/quarantine/retry", post(quarantine::retry_all))
            .route("/v1/results", get(results::results))
            .route("/v1/destinations/{key}/results", post(inbound::take))
            .route("/v1/deliveries", get(deliveries::list))
            .route("/v1/deliveries/retry", post(deliveries::retry_matching))
            .route("/v1/deliveries/{id}", get(deliveries::one))
            .route("/v1/deliveries/{id}/retry", post(deliveries::retry))
            .route("/v1/destinations/{key}/retry", post(deliveries::retry_destination))
            .route("/v1/destinations/{key}/replay", post(deliveries::replay))
            .route("/v1/backup", get(backup::backup))
            .route("/v1/backup/ledger", get(backup::ledger))
            .route("/v1/export/{what}", get(export::export))
            .route("/v1/imports/{source}", post(imports::rows))
            .route("/v1/imports/{source}/{id}", get(imports::progress))
            .route("/v1/connectors", get(connectors::list))
            .route("/v1/connectors/{key}", get(connectors::one))
            .route("/v1/connectors/{key}/test", post(drafts::test_draft))
            .route("/v1/destinations/{key}/test", post(drafts::test_in_force))
            .route("/v1/activations/preview", post(drafts::preview))
            .route("/v1/activations/audience", post(drafts::audience))
            .route("/v1/{collection}", get(definitions::list))
            .route("/v1/{collection}/{key}", get(definitions::one).put(definitions::put).delete(definitions::delete))
            .route("/v1/session", get(session::who).post(session::sign_in).delete(session::sign_out))
            .route("/v1/tokens", get(tokens::api::list).post(tokens::api::create))
            .route("/v1/tokens/{id}", axum::routing::delete(tokens::api::revoke))
            .layer(DefaultBodyLimit::max(self.limits.admin_bytes))
            .route_layer(middleware::from_fn_with_state(self.clone(), auth::require_role));
        let inbound = Router::new()
            .route("/v1/inbound/{destination}", post(inbound::receive))
            .layer(DefaultBodyLimit::max(self.limits.batch_bytes))
            .layer(middleware::from_fn_with_state(self.clone(), auth::limit_address));
        let people = Router::new()
            .route("/l/{token}", get(links::show).post(links::act))
            .layer(DefaultBodyLimit::max(links::FORM_BYTES_MAX))
            .layer(middleware::from_fn_with_state(self.clone(), auth::limit_address));
        let operations = Router::new()
            .route("/.well-known/gpc.json", get(inbound::gpc))
            .route("/healthz", get(operations::healthz))
            .route("/readyz", get(operations::readyz))
            .route("/metrics", get(operations::metrics))
            .route("/openapi.json", get(operations::openapi_json))
            .route("/tag.js", get(assets::tag).layer(CompressionLayer::new()))
            .merge(utoipa_swagger_ui::SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::new(["/openapi.json"])));
        Router::new()
            .merge(collection)
            .merge(inbound)
            .merge(administration)
            .merge(people)
            .merge(operations)
            .fallback_service(any(assets::console).layer(CompressionLayer::new()))
            .layer(tower_http::catch_panic::CatchPanicLayer::custom(operations::panicked))
            .layer(middleware::from_fn_with_state(self.clone(), operations::log_requests))
            .with_state(self)
    }

    /// Serves until `stop` resolves, then lets requests under way finish (10 s at most).
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let (limits, tls) = (self.limits.clone(), self.tls.clone());
        // They end with this, also when it is given up.
        let mut of_itself = tokio::task::JoinSet::new();
        if self.engine.acts() {
            of_itself.spawn(tools::schedule(self.clone()));
            of_itself.spawn(oversight::count_daily(self.clone()));
        }
        if let Some(alarms) = self.alarms.clone() {
            of_itself.spawn(alarms::watch(self.clone(), alarms));
        }
        listen::serve(listener, self.router(), limits, tls, stop).await;
        Ok(())
    }
}
