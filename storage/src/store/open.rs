//! Opening a store by its URL.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use odradek_common::files::SharedFiles;
use odradek_common::limits::{STORE_CONNECT_SECONDS, STORE_REQUEST_SECONDS};
use odradek_common::random::SharedRandom;
use parking_lot::Mutex;
use url::Url;

use super::Store;
use super::file::{FileStore, FileStoreError};
use super::retrying::RetryOptions;

/// How to reach a store. What is not given is taken from the standard environment variables of the
/// kind of store (`AWS_*`, `AZURE_*`, `GOOGLE_*`), and then from the machine's own identity.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// The URL of the service, for S3-compatible stores and emulators.
    pub endpoint: Option<String>,
    /// The region, S3 only; `us-east-1` if it is given nowhere.
    pub region: Option<String>,
    /// The access key of S3; the account of Azure.
    pub access_key: Option<String>,
    /// The secret key of S3; the account's key of Azure.
    pub secret_key: Option<String>,
    /// The session token of temporary credentials, S3 only.
    pub session_token: Option<String>,
    /// The file with the key of a service account, Google only.
    pub service_account: Option<String>,
    /// Whether `http://` is allowed; if not given, it is if `endpoint` begins with it.
    pub allow_http: Option<bool>,
    /// Whether the bucket's name stands in the host's name (then also in that of `endpoint`)
    /// instead of the path, S3 only.
    pub virtual_hosted_style: Option<bool>,
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |value: &Option<String>| value.as_ref().map(|_| "(hidden)");
        f.debug_struct("StoreSettings")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key", &self.access_key)
            .field("secret_key", &secret(&self.secret_key))
            .field("session_token", &secret(&self.session_token))
            .field("service_account", &self.service_account)
            .field("allow_http", &self.allow_http)
            .field("virtual_hosted_style", &self.virtual_hosted_style)
            .finish()
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none of a store.
    #[error("'{url}' is not the URL of a store: {reason}")]
    Url {
        /// The URL, without a password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The settings do not fit together.
    #[error("the settings of the store are wrong: {0}")]
    Settings(#[source] object_store::Error),
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] FileStoreError),
    /// The process is ending.
    #[error("opening the store was broken off")]
    BrokenOff,
}

/// Opens the store at `url`: `file:///dir`, `s3://bucket/prefix`, `gs://bucket/prefix`,
/// `az://container/prefix`, or, for tests, `memory://name/prefix` (one store per name and process).
/// Only a directory is touched; whether another store can be reached shows at the first request.
///
/// # Errors
/// If the URL or the settings are wrong, or the directory cannot be used.
pub async fn open(
    url: &str,
    settings: &StoreSettings,
    files: SharedFiles,
    random: SharedRandom,
) -> Result<Store, OpenError> {
    let place = Place::parse(url)?;
    let description = place.url();
    let store: Arc<dyn ObjectStore> = match place.kind {
        Kind::File(root) => {
            let open = tokio::task::spawn_blocking(move || FileStore::open(files, &root));
            Arc::new(open.await.map_err(|_| OpenError::BrokenOff)??)
        }
        Kind::Memory(name) => memory(name),
        Kind::S3(bucket) => s3(&bucket, settings).map_err(OpenError::Settings)?,
        Kind::Google(bucket) => google(&bucket, settings).map_err(OpenError::Settings)?,
        Kind::Azure(container) => azure(&container, settings).map_err(OpenError::Settings)?,
    };
    let description = match &settings.endpoint {
        Some(endpoint) => format!("{description} at {endpoint}"),
        None => description,
    };
    Ok(Store::over(store, place.prefix, description, RetryOptions::default(), random))
}

/// What a URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    kind: Kind,
    prefix: Path,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    File(PathBuf),
    Memory(String),
    S3(String),
    Google(String),
    Azure(String),
}

impl Place {
    fn parse(text: &str) -> Result<Self, OpenError> {
        let wrong = |reason: &str| OpenError::Url { url: shown(text), reason: reason.to_owned() };
        let url = Url::parse(text).map_err(|e| match e {
            url::ParseError::RelativeUrlWithoutBase => {
                wrong("it has no scheme; for a directory write file:///the/directory")
            }
            e => wrong(&e.to_string()),
        })?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("'?' and '#' have no place in it"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.port().is_some() {
            return Err(wrong("users, passwords and ports belong into settings"));
        }
        if url.scheme() == "file" {
            let root = url
                .to_file_path()
                .map_err(|()| wrong("a directory needs three slashes: file:///the/directory"))?;
            return Ok(Self { kind: Kind::File(root), prefix: Path::default() });
        }
        let prefix = Path::from_url_path(url.path()).map_err(|e| wrong(&e.to_string()))?;
        let name = url.host_str().unwrap_or_default().to_owned();
        let kind = match url.scheme() {
            "memory" => Kind::Memory(name),
            _ if name.is_empty() => return Err(wrong("it names no bucket")),
            "s3" => Kind::S3(name),
            "gs" => Kind::Google(name),
            "az" => Kind::Azure(name),
            _ => return Err(wrong("the schemes are file, s3, gs, az and memory")),
        };
        Ok(Self { kind, prefix })
    }

    fn url(&self) -> String {
        let bucket = match &self.kind {
            Kind::File(root) => return format!("file://{}", root.display()),
            Kind::Memory(name) => format!("memory://{name}"),
            Kind::S3(bucket) => format!("s3://{bucket}"),
            Kind::Google(bucket) => format!("gs://{bucket}"),
            Kind::Azure(container) => format!("az://{container}"),
        };
        format!("{bucket}/{}", self.prefix).trim_end_matches('/').to_owned()
    }
}

/// The URL without what may be a password.
fn shown(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("...@{rest}"),
        None => url.to_owned(),
    }
}

/// The stores in memory, by name; a test opens few.
static MEMORY: Mutex<BTreeMap<String, Arc<InMemory>>> = Mutex::new(BTreeMap::new());

fn memory(name: String) -> Arc<dyn ObjectStore> {
    MEMORY.lock().entry(name).or_default().clone()
}

/// The library does not retry: [`super::Retrying`] and the write-ahead log do.
fn no_retries() -> RetryConfig {
    let retry_timeout = Duration::from_secs(STORE_REQUEST_SECONDS);
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout }
}

/// What is set on every client: limits that end what nobody ends, and whether plain HTTP will do.
fn client_settings(settings: &StoreSettings) -> Vec<(ClientConfigKey, String)> {
    let by_endpoint =
        settings.endpoint.as_ref().and_then(|e| e.starts_with("http://").then_some(true));
    let mut client = vec![
        (ClientConfigKey::Timeout, format!("{STORE_REQUEST_SECONDS}s")),
        (ClientConfigKey::ConnectTimeout, format!("{STORE_CONNECT_SECONDS}s")),
    ];
    if let Some(allow) = settings.allow_http.or(by_endpoint) {
        client.push((ClientConfigKey::AllowHttp, allow.to_string()));
    }
    client
}

fn s3(bucket: &str, settings: &StoreSettings) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(no_retries());
    for (key, value) in client_settings(settings) {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    for (key, value) in [
        (AmazonS3ConfigKey::Endpoint, &settings.endpoint),
        (AmazonS3ConfigKey::S3Endpoint, &settings.endpoint),
        (AmazonS3ConfigKey::Region, &settings.region),
        (AmazonS3ConfigKey::AccessKeyId, &settings.access_key),
        (AmazonS3ConfigKey::SecretAccessKey, &settings.secret_key),
        (AmazonS3ConfigKey::Token, &settings.session_token),
    ] {
        if let Some(value) = value {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(virtual_hosted) = settings.virtual_hosted_style {
        builder = builder.with_virtual_hosted_style_request(virtual_hosted);
    }
    Ok(Arc::new(builder.build()?))
}

fn google(bucket: &str, settings: &StoreSettings) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder =
        GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(no_retries());
    for (key, value) in client_settings(settings) {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    if let Some(service_account) = &settings.service_account {
        builder = builder.with_service_account_path(service_account);
    }
    Ok(Arc::new(builder.build()?))
}

fn azure(container: &str, settings: &StoreSettings) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder =
        MicrosoftAzureBuilder::from_env().with_container_name(container).with_retry(no_retries());
    for (key, value) in client_settings(settings) {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if let Some(account) = &settings.access_key {
        builder = builder.with_account(account);
    }
    if let Some(key) = &settings.secret_key {
        builder = builder.with_access_key(key);
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use odradek_common::files::RealFiles;
    use odradek_common::random::SeededRandom;

    use super::*;

    async fn open_with(url: &str, settings: &StoreSettings) -> Result<Store, OpenError> {
        open(url, settings, Arc::new(RealFiles), Arc::new(SeededRandom::from_seed(1))).await
    }

    #[test]
    fn urls_name_a_store_and_a_prefix() {
        for (url, kind, prefix) in [
            ("s3://b_1.x/some/where", Kind::S3("b_1.x".into()), "some/where"),
            ("s3://Bucket", Kind::S3("Bucket".into()), ""),
            ("gs://b/", Kind::Google("b".into()), ""),
            ("az://c/p/", Kind::Azure("c".into()), "p"),
            ("memory://", Kind::Memory(String::new()), ""),
            ("file:///some/d%20r", Kind::File("/some/d r".into()), ""),
        ] {
            let expected = Place { kind, prefix: Path::from(prefix) };
            assert_eq!(Place::parse(url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn wrong_urls_are_told_why() {
        for (url, hint) in [
            ("/data/store", "file:///the/directory"),
            ("file://data/store", "three slashes"),
            ("http://bucket", "the schemes are"),
            ("s3:///prefix", "no bucket"),
            ("s3://bucket?x=1", "no place"),
            ("s3://key:secret@bucket", "belong into settings"),
        ] {
            let error = Place::parse(url).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_store_in_memory_is_shared_by_name() {
        let none = StoreSettings::default();
        let store = open_with("memory://shared/p", &none).await.unwrap();
        let again = open_with("memory://shared", &none).await.unwrap();
        let other = open_with("memory://other", &none).await.unwrap();
        let path = store.prefix().clone().join("a");
        store.retrying().put(&path, "x".into()).await.unwrap();
        again.direct().head(&path).await.unwrap();
        other.direct().head(&path).await.unwrap_err();
        assert_eq!(store.to_string(), "memory://shared/p");
    }

    #[tokio::test]
    async fn a_directory_is_opened_once() {
        let dir = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(dir.path().join("store")).unwrap();
        let store = open_with(url.as_str(), &StoreSettings::default()).await.unwrap();
        store.retrying().put(&Path::from("a/b"), "x".into()).await.unwrap();
        let error = open_with(url.as_str(), &StoreSettings::default()).await.unwrap_err();
        assert!(error.to_string().contains("in use"), "{error}");
    }

    #[tokio::test]
    async fn cloud_stores_are_built_from_settings() {
        let settings = StoreSettings {
            endpoint: Some("http://127.0.0.1:9".into()),
            access_key: Some("key".into()),
            // Azure's keys are base64.
            secret_key: Some("c2VjcmV0".into()),
            ..StoreSettings::default()
        };
        for url in ["s3://bucket/p", "az://container/p"] {
            let store = open_with(url, &settings).await.unwrap();
            assert_eq!(store.to_string(), format!("{url} at http://127.0.0.1:9"));
            assert_eq!(store.prefix(), &Path::from("p"));
        }
        let incomplete = StoreSettings { secret_key: None, ..settings.clone() };
        let error = open_with("s3://bucket", &incomplete).await.unwrap_err();
        assert!(matches!(error, OpenError::Settings(_)), "{error}");
        assert!(!format!("{settings:?}").contains("c2VjcmV0"));
    }
}
