//! TLS of the server itself: one certificate chain and key, read again when asked.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Why a certificate or key cannot be used.
#[derive(thiserror::Error, Debug)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("{path}: {source}", path = path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What was wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// A file without a certificate.
    #[error("{path} holds no certificate", path = path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// The two do not belong together, or are of a kind that is not supported.
    #[error("the certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 with the certificate of two files.
#[derive(Clone)]
pub struct Tls(Arc<Files>);

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads a certificate chain and its key, both PEM.
    pub fn read(certificate: PathBuf, key: PathBuf) -> Result<Tls, TlsError> {
        let config = RwLock::new(config(&certificate, &key)?);
        Ok(Tls(Arc::new(Files { certificate, key, config })))
    }

    /// Reads the files again, for the connections from now on. An error leaves what was there.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = config(&self.0.certificate, &self.0.key)?;
        *self.0.config.write() = config;
        Ok(())
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self.0.config.read().clone();
        TlsAcceptor::from(config).accept(stream).await
    }
}

fn config(certificate: &PathBuf, key: &PathBuf) -> Result<Arc<ServerConfig>, TlsError> {
    let pem = |path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::Pem { path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .map_err(pem(certificate))?
        .collect::<Result<_, _>>()
        .map_err(pem(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: certificate.clone() });
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(pem(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
