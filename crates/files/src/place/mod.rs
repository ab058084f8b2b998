//! Where files are put: under another name first, and under their own when they are whole.

mod bucket;
mod folder;
mod ftp;
mod sftp;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jumelle_model::workspace::Destination;
use tokio::net::TcpStream;

use crate::manifest::Manifest;
use crate::write::Written;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// One step of a conversation with a server: a log-in, a rename, an acknowledged piece of a file.
const STEP_TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes sent at a time.
const PIECE_BYTES: usize = 256 << 10;
/// What a file is called until it is whole.
const PART: &str = ".part";

/// Where connections may go.
#[derive(Clone)]
pub struct Network {
    /// Whether private addresses may be connected to.
    pub allow_private: bool,
    /// What counts as one.
    pub is_private: fn(IpAddr) -> bool,
    /// For object storage; it looks at addresses itself.
    pub http: object_store::client::HttpClient,
}

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The server did not do it this time; later it may.
    #[error("{0}")]
    Away(String),
    /// It refuses, or cannot be used as it is declared: an operator has to look.
    #[error("{0}")]
    Refused(String),
}

/// A place for files.
#[derive(Debug)]
pub enum Place {
    /// Below the server's folder for files.
    Folder(folder::Folder),
    /// SSH's file transfer.
    Sftp(sftp::Sftp),
    /// FTP over TLS, or in clear.
    Ftp(ftp::Ftp),
    /// Object storage.
    Bucket(bucket::Bucket),
}

/// A place with the connection made.
pub enum Session<'p> {
    /// See [`Place::Folder`].
    Folder(&'p folder::Folder),
    /// See [`Place::Sftp`].
    Sftp(Box<sftp::SftpSession>),
    /// See [`Place::Ftp`].
    Ftp(Box<ftp::FtpSession>),
    /// See [`Place::Bucket`].
    Bucket(&'p bucket::Bucket),
}

impl Place {
    /// As a destination declares it. `root`: the server's folder for files; `secret`: the password or key, read at this moment.
    pub fn of(destination: &Destination, root: &Path, secret: Option<String>, network: Network) -> Result<Place, PlaceError> {
        let refused = |what: &str| PlaceError::Refused(format!("{:?} {what}", destination.url));
        let terms = destination.file.as_deref().ok_or_else(|| refused("receives no files"))?;
        if let Some(name) = destination.url.strip_prefix("folder:") {
            return Ok(Place::Folder(folder::Folder::new(root, name)));
        }
        let (scheme, rest) = destination.url.split_once("://").ok_or_else(|| refused("is no place for files"))?;
        match scheme {
            "sftp" => Ok(Place::Sftp(sftp::Sftp::new(rest, terms, secret, network)?)),
            "ftp" | "ftps" => Ok(Place::Ftp(ftp::Ftp::new(rest, scheme == "ftps", terms, secret, network)?)),
            "s3" | "gs" | "az" => Ok(Place::Bucket(bucket::Bucket::new(scheme, rest, terms, secret, network)?)),
            _ => Err(refused("is no place for files")),
        }
    }

    /// Connects and logs in: what is asked after this is not older than the connection.
    pub async fn connect(&self) -> Result<Session<'_>, PlaceError> {
        Ok(match self {
            Place::Folder(folder) => {
                folder.make().await?;
                Session::Folder(folder)
            }
            Place::Sftp(sftp) => Session::Sftp(Box::new(sftp.connect().await?)),
            Place::Ftp(ftp) => Session::Ftp(Box::new(ftp.connect().await?)),
            Place::Bucket(bucket) => {
                bucket.size_of("jumelle").await?;
                Session::Bucket(bucket)
            }
        })
    }
}

impl Session<'_> {
    /// Puts a file of people: what is there under its name is whole, always.
    pub async fn put(&mut self, written: &Written, name: &str) -> Result<(), PlaceError> {
        self.put_local(written.path(), name).await
    }

    /// Puts what says what is in a file.
    pub async fn put_manifest(&mut self, manifest: &Manifest, scratch: &Path) -> Result<(), PlaceError> {
        let path = scratch.join("manifest.json");
        manifest.write(&path).map_err(|error| PlaceError::Away(format!("{}: {error}", path.display())))?;
        self.put_local(&path, &Manifest::name_of(&manifest.file)).await
    }

    async fn put_local(&mut self, local: &Path, name: &str) -> Result<(), PlaceError> {
        match self {
            Session::Folder(folder) => folder.put(local, name).await,
            Session::Sftp(session) => session.put(local, name).await,
            Session::Ftp(session) => session.put(local, name).await,
            Session::Bucket(bucket) => bucket.put(local, name).await,
        }
    }

    /// Bytes of a file that is there; `None`: there is none.
    pub async fn size_of(&mut self, name: &str) -> Result<Option<u64>, PlaceError> {
        match self {
            Session::Folder(folder) => folder.size_of(name).await,
            Session::Sftp(session) => session.size_of(name).await,
            Session::Ftp(session) => session.size_of(name).await,
            Session::Bucket(bucket) => bucket.size_of(name).await,
        }
    }
}

/// TLS with the certificates that this machine trusts. `Err`: why there is none.
pub fn trusting_the_machine() -> Result<Arc<rustls::ClientConfig>, String> {
    let said = |error: rustls::Error| format!("TLS: {error}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new(provider.clone()).map_err(said)?;
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(said)?;
    Ok(Arc::new(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()))
}

/// Host, port and path of `host:port/path`.
fn host_port_path(rest: &str, port: u16) -> Result<(String, u16, String), PlaceError> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let wrong = || PlaceError::Refused(format!("{authority:?} is not a host and a port"));
    let (host, given) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((host, behind)) => (host, behind.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = given.map_or(Ok(port), |port| port.parse().map_err(|_| wrong()))?;
    Ok((host.to_owned(), port, path.trim_end_matches('/').to_owned()))
}

impl Network {
    /// Connects to an address that was looked at: a name that changes its address between check and use gains nothing.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, PlaceError> {
        let away = |error: std::io::Error| PlaceError::Away(format!("{host}:{port}: {error}"));
        let found: Vec<SocketAddr> = within(tokio::net::lookup_host((host, port))).await?.map_err(away)?.collect();
        let allowed: Vec<SocketAddr> =
            found.into_iter().filter(|address| self.allow_private || !(self.is_private)(address.ip())).collect();
        if allowed.is_empty() {
            return Err(PlaceError::Refused(format!("{host} has no public address; a private one needs allow_private: true")));
        }
        let connected = tokio::time::timeout(CONNECT_TIME_MAX, TcpStream::connect(allowed.as_slice())).await;
        let stream = connected.map_err(|_| PlaceError::Away(format!("{host}:{port} did not answer")))?.map_err(away)?;
        // Without it small packets wait; a transfer works either way.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// One step of a conversation, in its time.
async fn within<T>(step: impl Future<Output = T>) -> Result<T, PlaceError> {
    let outcome = tokio::time::timeout(STEP_TIME_MAX, step).await;
    outcome.map_err(|_| PlaceError::Away(format!("the server did not answer within {} s", STEP_TIME_MAX.as_secs())))
}

fn local(path: &Path) -> impl Fn(std::io::Error) -> PlaceError + '_ {
    move |error| PlaceError::Away(format!("{}: {error}", path.display()))
}
