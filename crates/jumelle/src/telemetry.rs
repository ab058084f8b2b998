//! Logs on standard error and, where somebody collects them, traces by OpenTelemetry (OTLP over HTTP, protobuf).
//!
//! Spans have the target `jumelle::trace`. Without a collector nobody is interested in it, and a span costs a comparison.

use std::sync::Arc;

use anyhow::Context as _;
use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Where traces go and how many.
#[derive(Clone, PartialEq, Debug)]
pub struct Traces {
    /// `http://127.0.0.1:4318`; the path `/v1/traces` is added.
    pub endpoint: String,
    /// Share of the traces that begin here, from 0 to 1. A caller's own decision (`traceparent`) is kept.
    pub ratio: f64,
}

/// What sends the traces; dropped, it sends what it still has.
pub struct Tracing(Option<SdkTracerProvider>);

impl Drop for Tracing {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Starts both. `RUST_LOG` chooses what is logged; a second call (the demo's) keeps the first subscriber.
pub fn start(log_json: bool, traces: Option<&Traces>) -> anyhow::Result<Tracing> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,fjall=warn,lsm_tree=warn".into());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if log_json { lines.json().with_filter(filter).boxed() } else { lines.with_filter(filter).boxed() };
    let provider = traces.map(provider).transpose()?;
    let spans = provider.as_ref().map(|provider| {
        let only_ours = Targets::new().with_target("jumelle::trace", tracing::Level::TRACE);
        tracing_opentelemetry::layer().with_tracer(provider.tracer("jumelle")).with_filter(only_ours)
    });
    let _ = tracing_subscriber::registry().with(lines).with(spans).try_init();
    Ok(Tracing(provider))
}

fn provider(traces: &Traces) -> anyhow::Result<SdkTracerProvider> {
    jumelle_activate::install_crypto();
    let endpoint = format!("{}/v1/traces", traces.endpoint.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(&endpoint)
        .build()
        .with_context(|| format!("traces cannot be sent to {endpoint}"))?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(traces.ratio)));
    let resource = Resource::builder().with_service_name("jumelle").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_sampler(sampler).with_resource(resource).build())
}

/// Makes a request's span the child of its caller's (W3C Trace Context, `traceparent`).
pub fn parent() -> jumelle_server::TraceParent {
    struct Headers<'a>(&'a HeaderMap);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).and_then(|value| value.to_str().ok())
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(|key| key.as_str()).collect()
        }
    }
    let propagator = TraceContextPropagator::new();
    Arc::new(move |span, headers| {
        // A header that is none is as no header.
        let _ = span.set_parent(propagator.extract(&Headers(headers)));
    })
}
