//! What strangers may cost: limits of HTTP, and TLS. The same names are keys of `[http]` in the TOML file.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jumelle_server::HttpLimits;
use serde::Deserialize;

use super::Given;

/// Settings of `serve` about HTTP.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "HTTP and TLS")]
pub struct Http {
    /// Certificate chain (PEM): speak TLS. Read again on SIGHUP.
    #[arg(long, env = "JUMELLE_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, env = "JUMELLE_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Connections at once.
    #[arg(long, env = "JUMELLE_CONNECTIONS", default_value_t = 10_000)]
    pub connections: usize,
    /// Bytes of a request's line and headers at most.
    #[arg(long, env = "JUMELLE_HEADER_BYTES", default_value_t = 32 * 1024)]
    pub header_bytes: usize,
    /// Seconds for the headers of a request, and for a TLS handshake.
    #[arg(long, env = "JUMELLE_HEADER_SECONDS", default_value_t = 10)]
    pub header_seconds: u64,
    /// Seconds for the body of a request.
    #[arg(long, env = "JUMELLE_BODY_SECONDS", default_value_t = 30)]
    pub body_seconds: u64,
    /// Seconds that a client may take nothing of its answer.
    #[arg(long, env = "JUMELLE_WRITE_SECONDS", default_value_t = 60)]
    pub write_seconds: u64,
    /// Seconds that a connection may stay without a request; more than 10, or the live stream is cut off.
    #[arg(long, env = "JUMELLE_IDLE_SECONDS", default_value_t = 75)]
    pub idle_seconds: u64,
    /// Collection requests per second and address (5 s' worth may come at once); 0: no limit.
    #[arg(long, env = "JUMELLE_RATE_ADDRESS", default_value_t = 1_000)]
    pub rate_address: u32,
    /// Collection requests per second and write key, likewise.
    #[arg(long, env = "JUMELLE_RATE_WRITE_KEY", default_value_t = 20_000)]
    pub rate_write_key: u32,
    /// Other calls per second and token, likewise.
    #[arg(long, env = "JUMELLE_RATE_TOKEN", default_value_t = 1_000)]
    pub rate_token: u32,
    /// Wrong tokens per minute and address; 0: no limit.
    #[arg(long, env = "JUMELLE_FAILED_SIGN_INS", default_value_t = 30)]
    pub failed_sign_ins: u32,
    /// These rates hold for requests of this machine itself, too.
    #[arg(long, env = "JUMELLE_LIMIT_LOOPBACK")]
    pub limit_loopback: bool,
    /// Seconds that the oldest event may wait to be processed while /readyz says ready.
    #[arg(long, env = "JUMELLE_READY_LAG_SECONDS", default_value_t = 60)]
    pub ready_lag_seconds: u64,
    /// Address of a proxy whose X-Forwarded-For is believed; several with commas.
    #[arg(long, env = "JUMELLE_TRUSTED_PROXY", value_delimiter = ',')]
    pub trusted_proxy: Vec<IpAddr>,
}

/// The same, as far as a TOML file gives it.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct HttpFile {
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    connections: Option<usize>,
    header_bytes: Option<usize>,
    header_seconds: Option<u64>,
    body_seconds: Option<u64>,
    write_seconds: Option<u64>,
    idle_seconds: Option<u64>,
    rate_address: Option<u32>,
    rate_write_key: Option<u32>,
    rate_token: Option<u32>,
    failed_sign_ins: Option<u32>,
    limit_loopback: Option<bool>,
    ready_lag_seconds: Option<u64>,
    trusted_proxy: Option<Vec<IpAddr>>,
}

impl Http {
    /// Takes from a file what neither a flag nor the environment gave.
    pub fn fill(&mut self, file: HttpFile, given: &Given) {
        macro_rules! take {
            ($($field:ident),*) => {$(
                if let Some(value) = file.$field && !given.has(stringify!($field)) { self.$field = value; }
            )*};
        }
        take!(connections, header_bytes, header_seconds, body_seconds, write_seconds, idle_seconds);
        take!(rate_address, rate_write_key, rate_token, failed_sign_ins, limit_loopback, ready_lag_seconds, trusted_proxy);
        self.tls_cert = self.tls_cert.take().or(file.tls_cert);
        self.tls_key = self.tls_key.take().or(file.tls_key);
    }

    /// As the server takes them.
    pub fn limits(&self) -> HttpLimits {
        let seconds = |seconds: u64| Duration::from_secs(seconds.max(1));
        HttpLimits {
            connections: self.connections.max(1),
            header_bytes: self.header_bytes,
            header_time: seconds(self.header_seconds),
            body_time: seconds(self.body_seconds),
            write_time: seconds(self.write_seconds),
            idle_time: seconds(self.idle_seconds),
            rate_address: self.rate_address,
            rate_write_key: self.rate_write_key,
            rate_token: self.rate_token,
            failed_sign_ins: self.failed_sign_ins,
            ready_lag: seconds(self.ready_lag_seconds),
            limit_loopback: self.limit_loopback,
            trusted_proxies: self.trusted_proxy.clone(),
            ..HttpLimits::default()
        }
    }
}
