//! SFTP. No unknown server is trusted: its key must have the fingerprint that the destination declares.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jumelle_model::workspace::file::FileTerms;
use russh::client;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate, decode_secret_key};
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{OpenFlags, Packet, StatusCode};
use tokio::io::AsyncReadExt as _;

use super::{Network, PART, PlaceError, host_port_path, local, within};

const PORT: u16 = 22;
/// Bytes of one write: what every server takes.
const WRITE_BYTES: usize = 32 << 10;
/// Writes under way at once.
const WRITES_AHEAD: usize = 16;

/// A server.
pub struct Sftp {
    host: String,
    port: u16,
    folder: String,
    user: String,
    login: Login,
    host_key: String,
    network: Network,
}

enum Login {
    Password(String),
    Key(Arc<PrivateKey>),
}

impl std::fmt::Debug for Sftp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sftp({}:{}/{})", self.host, self.port, self.folder)
    }
}

/// Logged in.
pub struct SftpSession {
    sftp: RawSftpSession,
    folder: String,
    // The connection ends with it.
    _ssh: client::Handle<Known>,
}

/// Lets in the server with the declared key.
struct Known {
    fingerprint: String,
    was_other: Arc<AtomicBool>,
}

impl client::Handler for Known {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let shown = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.fingerprint(HashAlg::Sha256).to_string(),
            PublicKeyOrCertificate::Certificate(certificate) => certificate.public_key().fingerprint(HashAlg::Sha256).to_string(),
        };
        let holds = shown == self.fingerprint;
        self.was_other.store(!holds, Ordering::Release);
        Ok(holds)
    }
}

impl Sftp {
    pub(super) fn new(rest: &str, terms: &FileTerms, secret: Option<String>, network: Network) -> Result<Sftp, PlaceError> {
        let (host, port, folder) = host_port_path(rest, PORT)?;
        let missing = |what: &str| PlaceError::Refused(format!("sftp asks for {what}"));
        let secret = secret.ok_or_else(|| missing("a secret"))?;
        let login = if secret.contains("PRIVATE KEY") {
            let key = decode_secret_key(&secret, None);
            Login::Key(Arc::new(key.map_err(|error| PlaceError::Refused(format!("the private key cannot be read: {error}")))?))
        } else {
            Login::Password(secret)
        };
        Ok(Sftp {
            host,
            port,
            folder,
            user: terms.user.clone().ok_or_else(|| missing("a user"))?,
            login,
            host_key: terms.host_key.clone().ok_or_else(|| missing("a host_key"))?,
            network,
        })
    }

    pub(super) async fn connect(&self) -> Result<SftpSession, PlaceError> {
        let stream = self.network.connect(&self.host, self.port).await?;
        let was_other = Arc::new(AtomicBool::new(false));
        let known = Known { fingerprint: self.host_key.clone(), was_other: was_other.clone() };
        let connected = within(client::connect_stream(Arc::new(client::Config::default()), stream, known)).await?;
        let mut ssh = match connected {
            Ok(ssh) => ssh,
            Err(_) if was_other.load(Ordering::Acquire) => {
                let message = format!("{} shows another key than host_key says; nothing was sent", self.host);
                return Err(PlaceError::Refused(message));
            }
            Err(error) => return Err(ssh_failed(&error)),
        };
        let answer = match &self.login {
            Login::Password(password) => within(ssh.authenticate_password(&self.user, password)).await?,
            Login::Key(key) => {
                let key = PrivateKeyWithHashAlg::new(key.clone(), None);
                within(ssh.authenticate_publickey(&self.user, key)).await?
            }
        };
        if !answer.map_err(|error| ssh_failed(&error))?.success() {
            return Err(PlaceError::Refused(format!("{} does not let {} in", self.host, self.user)));
        }
        let channel = within(ssh.channel_open_session()).await?.map_err(|error| ssh_failed(&error))?;
        within(channel.request_subsystem(true, "sftp")).await?.map_err(|error| ssh_failed(&error))?;
        let sftp = RawSftpSession::new(channel.into_stream());
        within(sftp.init()).await?.map_err(sftp_failed)?;
        Ok(SftpSession { sftp, folder: self.folder.clone(), _ssh: ssh })
    }
}

impl SftpSession {
    /// Relative to where the server puts a user, as `sftp` does it; `//srv/in` is from the root.
    fn path(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }

    pub(super) async fn put(&mut self, from: &Path, name: &str) -> Result<(), PlaceError> {
        let (path, part) = (self.path(name), self.path(&format!("{name}{PART}")));
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
        let opened = within(self.sftp.open(&part, flags, Default::default())).await?;
        let handle = opened.map_err(|error| named(&part, error))?.handle;
        let mut file = tokio::fs::File::open(from).await.map_err(local(from))?;
        let mut at = 0;
        loop {
            let mut pieces = Vec::with_capacity(WRITES_AHEAD);
            while pieces.len() < WRITES_AHEAD {
                let mut piece = vec![0; WRITE_BYTES];
                let mut filled = 0;
                while filled < WRITE_BYTES {
                    match file.read(&mut piece[filled..]).await.map_err(local(from))? {
                        0 => break,
                        read => filled += read,
                    }
                }
                piece.truncate(filled);
                if piece.is_empty() {
                    break;
                }
                pieces.push(self.sftp.write(handle.as_str(), at, piece));
                at += filled as u64;
            }
            if pieces.is_empty() {
                break;
            }
            within(futures_util::future::try_join_all(pieces)).await?.map_err(|error| named(&part, error))?;
        }
        // Not every server can; then its own close has to do.
        let _ = within(self.sftp.fsync(handle.as_str())).await?;
        within(self.sftp.close(handle.as_str())).await?.map_err(|error| named(&part, error))?;
        self.rename(&part, &path).await
    }

    /// In the place of what is there: OpenSSH's own rename. Elsewhere what is there goes first.
    async fn rename(&mut self, from: &str, to: &str) -> Result<(), PlaceError> {
        let mut names = Vec::new();
        for name in [from, to] {
            names.extend_from_slice(&(name.len() as u32).to_be_bytes());
            names.extend_from_slice(name.as_bytes());
        }
        if let Ok(Packet::Status(status)) = within(self.sftp.extended("posix-rename@openssh.com", names)).await?
            && status.status_code == StatusCode::Ok
        {
            return Ok(());
        }
        // It fails where nothing is there.
        let _ = within(self.sftp.remove(to)).await?;
        within(self.sftp.rename(from, to)).await?.map_err(|error| named(to, error))?;
        Ok(())
    }

    pub(super) async fn size_of(&mut self, name: &str) -> Result<Option<u64>, PlaceError> {
        let path = self.path(name);
        match within(self.sftp.stat(&path)).await? {
            Ok(found) => Ok(found.attrs.size),
            Err(SftpError::Status(status)) if status.status_code == StatusCode::NoSuchFile => Ok(None),
            Err(error) => Err(named(&path, error)),
        }
    }
}

fn ssh_failed(error: &russh::Error) -> PlaceError {
    PlaceError::Away(format!("ssh: {error}"))
}

fn sftp_failed(error: SftpError) -> PlaceError {
    PlaceError::Away(format!("sftp: {error}"))
}

fn named(path: &str, error: SftpError) -> PlaceError {
    match &error {
        SftpError::Status(status) if matches!(status.status_code, StatusCode::PermissionDenied | StatusCode::NoSuchFile) => {
            PlaceError::Refused(format!("{path}: {error}"))
        }
        _ => PlaceError::Away(format!("{path}: {error}")),
    }
}
