//! Object storage: Amazon S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage. An object appears whole or not at
//! all, so that nothing has to be renamed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jumelle_model::workspace::file::FileTerms;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpClient, HttpConnector};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as Key;
use object_store::{ClientOptions, Error, ObjectStore, ObjectStoreExt as _, RetryConfig, WriteMultipart};
use tokio::io::AsyncReadExt as _;

use super::{Network, PlaceError, local};

/// Amazon's, where nothing says which.
const REGION: &str = "us-east-1";
const RETRIES_MAX: usize = 3;
const RETRY_TIME_MAX: Duration = Duration::from_secs(30);
/// One part of an upload: 10,000 of them make 80 GB.
const PART_BYTES: usize = 8 << 20;
/// Parts under way at once.
const PARTS_AHEAD: usize = 3;

/// A bucket, and a prefix in it.
#[derive(Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
}

/// The client that looks at addresses, whatever options storage asks for.
#[derive(Debug)]
struct Ours(HttpClient);

impl HttpConnector for Ours {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

impl Bucket {
    pub(super) fn new(
        scheme: &str,
        rest: &str,
        terms: &FileTerms,
        secret: Option<String>,
        network: Network,
    ) -> Result<Bucket, PlaceError> {
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let refused = |error: &dyn std::fmt::Display| PlaceError::Refused(format!("{scheme}://{rest}: {error}"));
        let prefix = Key::parse(prefix.trim_end_matches('/')).map_err(|error| refused(&error))?;
        let plain = terms.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let options = ClientOptions::new().with_allow_http(plain);
        let retry = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIME_MAX, ..RetryConfig::default() };
        let connector = Ours(network.http);
        let missing = || refused(&"asks for user and secret");
        let store: Arc<dyn ObjectStore> = match scheme {
            "s3" => {
                let mut builder = AmazonS3Builder::new()
                    .with_bucket_name(name)
                    .with_region(terms.region.as_deref().unwrap_or(REGION))
                    .with_access_key_id(terms.user.clone().ok_or_else(missing)?)
                    .with_secret_access_key(secret.ok_or_else(missing)?);
                if let Some(endpoint) = &terms.endpoint {
                    builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
                }
                let built = builder.with_client_options(options).with_retry(retry).with_http_connector(connector).build();
                Arc::new(built.map_err(|error| refused(&error))?)
            }
            "gs" => {
                let builder = GoogleCloudStorageBuilder::new().with_bucket_name(name).with_service_account_key(
                    secret.ok_or_else(|| refused(&"asks for secret: the service account's key, JSON"))?,
                );
                let built = builder.with_client_options(options).with_retry(retry).with_http_connector(connector).build();
                Arc::new(built.map_err(|error| refused(&error))?)
            }
            _ => {
                let mut builder = MicrosoftAzureBuilder::new()
                    .with_container_name(name)
                    .with_account(terms.user.clone().ok_or_else(missing)?)
                    .with_access_key(secret.ok_or_else(missing)?);
                if let Some(endpoint) = &terms.endpoint {
                    builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
                }
                let built = builder.with_client_options(options).with_retry(retry).with_http_connector(connector).build();
                Arc::new(built.map_err(|error| refused(&error))?)
            }
        };
        Ok(Bucket { store, prefix })
    }

    fn key(&self, name: &str) -> Key {
        self.prefix.clone().join(name)
    }

    /// In parts; the object is there when they are put together.
    pub(super) async fn put(&self, from: &Path, name: &str) -> Result<(), PlaceError> {
        let mut file = tokio::fs::File::open(from).await.map_err(local(from))?;
        let bytes = file.metadata().await.map_err(local(from))?.len();
        if bytes <= PART_BYTES as u64 {
            let mut whole = Vec::with_capacity(bytes as usize);
            file.read_to_end(&mut whole).await.map_err(local(from))?;
            self.store.put(&self.key(name), bytes::Bytes::from(whole).into()).await.map_err(|error| failed(&error))?;
            return Ok(());
        }
        let upload = self.store.put_multipart(&self.key(name)).await.map_err(|error| failed(&error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        loop {
            let mut piece = vec![0; 1 << 20];
            let read = match file.read(&mut piece).await {
                Ok(read) => read,
                Err(error) => {
                    // Parts that nobody puts together; the storage's own rules sweep what this does not.
                    let _ = upload.abort().await;
                    return Err(local(from)(error));
                }
            };
            if read == 0 {
                break;
            }
            piece.truncate(read);
            if let Err(error) = upload.wait_for_capacity(PARTS_AHEAD).await {
                let _ = upload.abort().await;
                return Err(failed(&error));
            }
            upload.put(piece.into());
        }
        upload.finish().await.map(drop).map_err(|error| failed(&error))
    }

    pub(super) async fn size_of(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        match self.store.head(&self.key(name)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn failed(error: &Error) -> PlaceError {
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } | Error::NotFound { .. } => {
            PlaceError::Refused(error.to_string())
        }
        _ => PlaceError::Away(error.to_string()),
    }
}
