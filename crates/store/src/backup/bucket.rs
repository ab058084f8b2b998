//! Object storage that speaks S3. An object appears whole or not at all, and is read as it was last written: all that the format asks.
//!
//! Credentials come from where Amazon's own tools have them in a machine: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (and
//! `AWS_SESSION_TOKEN`), a web identity, a container's or an instance's role. They are in no message and in no log.

use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig, UpdateVersion,
};
use tokio::runtime::Runtime;

use super::{BackupError, Result};

/// Requests that fail by the storage's fault are tried again so often, and so long.
const RETRIES_MAX: usize = 5;
const RETRY_TIME_MAX: Duration = Duration::from_secs(60);
/// Between two tries at most.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// One request, from its first byte to the last of its answer: 64 MiB at half a megabyte a second.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(180);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Amazon's, where nothing says which.
const REGION: &str = "us-east-1";

/// A version of an object.
#[derive(Clone, Debug)]
pub(crate) struct Version(UpdateVersion);

/// Where in object storage a backup lies.
#[derive(Debug)]
pub struct Bucket {
    store: AmazonS3,
    name: String,
    prefix: Key,
    runtime: Runtime,
}

impl Bucket {
    /// `BUCKET/PREFIX`. Nothing is asked of the storage yet.
    pub(crate) fn open(address: &str, endpoint: Option<&str>) -> Result<Bucket> {
        let (name, prefix) = address.split_once('/').unwrap_or((address, ""));
        let refused = |what: String| BackupError::Refused(format!("s3://{address}: {what}"));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
            return Err(refused("write s3://BUCKET/PREFIX".into()));
        }
        let prefix = Key::parse(prefix.trim_end_matches('/')).map_err(|error| refused(error.to_string()))?;
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(name);
        if builder.get_config_value(&AmazonS3ConfigKey::Region).is_none() {
            builder = builder.with_region(REGION);
        }
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        let plain =
            builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_some_and(|endpoint| endpoint.starts_with("http://"));
        let store = builder
            .with_client_options(
                ClientOptions::new()
                    .with_allow_http(plain)
                    .with_timeout(REQUEST_TIME_MAX)
                    .with_connect_timeout(CONNECT_TIME_MAX)
                    .with_http1_only(),
            )
            .with_retry(RetryConfig {
                backoff: BackoffConfig { max_backoff: BACKOFF_MAX, ..BackoffConfig::default() },
                max_retries: RETRIES_MAX,
                retry_timeout: RETRY_TIME_MAX,
            })
            .build()
            .map_err(|error| refused(told(&error)))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| refused(error.to_string()))?;
        Ok(Bucket { store, name: name.to_owned(), prefix, runtime })
    }

    /// An object and its version; `None`: there is none.
    pub(crate) fn get(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>> {
        let got = self.runtime.block_on(async {
            let got = self.store.get(&self.key(name)).await?;
            let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
            Ok((got.bytes().await?, version))
        });
        match got {
            Ok((bytes, version)) => Ok(Some((bytes.into(), Version(version)))),
            Err(Error::NotFound { .. }) if self.exists()? => Ok(None),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    /// The version of an object; `None`: there is none.
    pub(crate) fn version(&self, name: &str) -> Result<Option<Version>> {
        Ok(self.get(name)?.map(|(_, version)| version))
    }

    /// A key that is not there and a bucket that is not there look alike.
    fn exists(&self) -> Result<bool> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        match self.runtime.block_on(self.store.list_with_delimiter(prefix)) {
            Ok(_) => Ok(true),
            Err(error) => Err(self.failed("", &error)),
        }
    }

    /// Writes an object.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        self.runtime
            .block_on(self.store.put(&self.key(name), Bytes::from(bytes).into()))
            .map_err(|error| self.failed(name, &error))?;
        Ok(())
    }

    /// Replaces an object if it is still of this version; `None`: if there is still none.
    pub(crate) fn replace(&self, name: &str, bytes: Vec<u8>, version: Option<Version>) -> Result<()> {
        let mode = version.map_or(PutMode::Create, |Version(version)| PutMode::Update(version));
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = self.runtime.block_on(self.store.put_opts(&self.key(name), Bytes::from(bytes.clone()).into(), options));
        match put {
            Ok(_) => Ok(()),
            // Set so (AWS_CONDITIONAL_PUT=disabled) for storage that knows no conditions.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => self.put(name, bytes),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => match self.get(name)? {
                // The answer to our own try was lost, and the next try found its object.
                Some((there, _)) if there == bytes => Ok(()),
                _ => Err(BackupError::Refused(format!(
                    "another run has written into {self} meanwhile; its backup is whole, try again"
                ))),
            },
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    /// Names of the objects and folders of a folder.
    pub(crate) fn names(&self, folder: &str) -> Result<Vec<String>> {
        let folder = if folder.is_empty() { self.prefix.clone() } else { self.key(folder) };
        let prefix = (!folder.as_ref().is_empty()).then_some(&folder);
        let listed = self.runtime.block_on(self.store.list_with_delimiter(prefix)).map_err(|error| self.failed("", &error))?;
        let keys = listed.objects.iter().map(|object| &object.location).chain(&listed.common_prefixes);
        Ok(keys.filter_map(|key| key.filename().map(str::to_owned)).collect())
    }

    /// Removes an object.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.runtime.block_on(self.store.delete(&self.key(name))).map_err(|error| self.failed(name, &error))
    }

    /// Names that we make ourselves need no escaping.
    fn key(&self, name: &str) -> Key {
        Key::from_iter(self.prefix.parts().chain(name.split('/').map(Into::into)))
    }

    fn failed(&self, name: &str, error: &Error) -> BackupError {
        let path = if name.is_empty() { self.to_string() } else { format!("{self}/{name}") };
        let mut what = told(error);
        // Where nothing else is given the library asks the machine for a role; on most there is none.
        if what.contains("/latest/api/token") || what.contains("/security-credentials") {
            what =
                format!("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role ({what})");
        }
        BackupError::File { path, source: std::io::Error::other(what) }
    }
}

impl std::fmt::Display for Bucket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slash = if self.prefix.as_ref().is_empty() { "" } else { "/" };
        write!(formatter, "s3://{}{slash}{}", self.name, self.prefix)
    }
}

/// An error with its causes, on one line.
fn told(error: &Error) -> String {
    let mut told = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_told = inner.to_string();
        if !told.contains(&inner_told) {
            told.push_str(": ");
            told.push_str(&inner_told);
        }
        source = inner.source();
    }
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}
