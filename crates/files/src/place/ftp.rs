//! FTP over TLS (AUTH TLS, with protected data), and in clear where a destination allows private addresses.

use std::path::Path;
use std::sync::Arc;

use jumelle_model::workspace::file::FileTerms;
use suppaftp::tokio::{AsyncRustlsConnector, AsyncRustlsFtpStream};
use suppaftp::types::FileType;
use suppaftp::{FtpError, Status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Network, PART, PIECE_BYTES, PlaceError, host_port_path, local, trusting_the_machine, within};

const PORT: u16 = 21;

/// A server.
pub struct Ftp {
    host: String,
    port: u16,
    folder: String,
    user: String,
    password: String,
    tls: Option<Arc<rustls::ClientConfig>>,
    network: Network,
}

impl std::fmt::Debug for Ftp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ftp({}:{}/{})", self.host, self.port, self.folder)
    }
}

/// Logged in, in the folder.
pub struct FtpSession {
    ftp: AsyncRustlsFtpStream,
}

impl Ftp {
    pub(super) fn new(
        rest: &str,
        tls: bool,
        terms: &FileTerms,
        secret: Option<String>,
        network: Network,
    ) -> Result<Ftp, PlaceError> {
        let (host, port, folder) = host_port_path(rest, PORT)?;
        let tls = tls.then(trusting_the_machine).transpose().map_err(PlaceError::Refused)?;
        Ok(Ftp {
            host,
            port,
            folder,
            user: terms.user.clone().unwrap_or_else(|| "anonymous".into()),
            password: secret.unwrap_or_default(),
            tls,
            network,
        })
    }

    pub(super) async fn connect(&self) -> Result<FtpSession, PlaceError> {
        let stream = self.network.connect(&self.host, self.port).await?;
        let mut ftp = within(AsyncRustlsFtpStream::connect_with_stream(stream)).await?.map_err(failed)?;
        if let Some(tls) = &self.tls {
            let connector = AsyncRustlsConnector::from(suppaftp::tokio_rustls::TlsConnector::from(tls.clone()));
            ftp = within(ftp.into_secure(connector, &self.host)).await?.map_err(failed)?;
        }
        // A server may name another machine for the data: the data goes where the conversation is.
        ftp.set_passive_nat_workaround(true);
        within(ftp.login(self.user.as_str(), self.password.as_str())).await?.map_err(failed)?;
        within(ftp.transfer_type(FileType::Binary)).await?.map_err(failed)?;
        if !self.folder.is_empty() {
            within(ftp.cwd(&self.folder)).await?.map_err(failed)?;
        }
        Ok(FtpSession { ftp })
    }
}

impl FtpSession {
    pub(super) async fn put(&mut self, from: &Path, name: &str) -> Result<(), PlaceError> {
        let part = format!("{name}{PART}");
        let mut file = tokio::fs::File::open(from).await.map_err(local(from))?;
        let mut out = within(self.ftp.put_with_stream(&part)).await?.map_err(failed)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = file.read(&mut piece).await.map_err(local(from))?;
            if read == 0 {
                break;
            }
            within(out.write_all(&piece[..read])).await?.map_err(local(from))?;
        }
        within(out.finish()).await?.map_err(failed)?;
        if within(self.ftp.rename(part.as_str(), name)).await?.is_ok() {
            return Ok(());
        }
        // Some servers rename onto nothing only.
        let _ = within(self.ftp.rm(name)).await?;
        within(self.ftp.rename(part.as_str(), name)).await?.map_err(failed)
    }

    pub(super) async fn size_of(&mut self, name: &str) -> Result<Option<u64>, PlaceError> {
        match within(self.ftp.size(name)).await? {
            Ok(bytes) => Ok(Some(bytes as u64)),
            Err(FtpError::UnexpectedResponse(answer)) if answer.status == Status::FileUnavailable => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed(error: FtpError) -> PlaceError {
    match &error {
        FtpError::UnexpectedResponse(answer) if matches!(answer.status, Status::NotLoggedIn | Status::FileUnavailable) => {
            PlaceError::Refused(format!("ftp: {error}"))
        }
        _ => PlaceError::Away(format!("ftp: {error}")),
    }
}
