//! Fetches keys over HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ETAG, HeaderValue, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use serde::Deserialize;
use tokio::time::timeout;

use super::remote_options::{Location, RemoteKeys, parse};
use super::{VerificationKey, freshness, jwk};

/// Fetches the keys of one place, and only what has changed there.
pub(crate) struct Fetcher {
    options: RemoteKeys,
    client: Option<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>>,
    /// Which keys there were, and their entity tag.
    known: Option<(Uri, HeaderValue)>,
}

/// What one fetch found.
pub(super) struct Fetched {
    /// `None` if the keys are those that were fetched before.
    pub(super) keys: Option<Vec<VerificationKey>>,
    /// Of the metadata.
    pub(super) issuer: Option<String>,
    /// How long this is fresh.
    pub(super) fresh_for: Duration,
}

/// Why there are no keys this time.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the root certificates of this machine cannot be read: {0}")]
    RootCertificates(io::Error),
    #[error("cannot be reached: {0}")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("took longer than {0:?}")]
    Slow(Duration),
    #[error("answers {0}")]
    Status(StatusCode),
    #[error("ends early, or has more than {limit_bytes} bytes")]
    Body { limit_bytes: usize },
    #[error("is no metadata of an OpenID Connect provider with an https jwks_uri")]
    Metadata,
    #[error("has no JSON Web Key that can verify signatures")]
    NoKeys,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: Option<String>,
    jwks_uri: String,
}

impl Fetcher {
    pub(crate) fn new(options: RemoteKeys) -> Self {
        Self { options, client: None, known: None }
    }

    /// Fetches the keys, and the metadata before them where there is some.
    pub(super) async fn fetch(&mut self) -> Result<Fetched, FetchError> {
        let patience = self.options.timeout;
        timeout(patience, self.fetch_patiently()).await.map_err(|_| FetchError::Slow(patience))?
    }

    async fn fetch_patiently(&mut self) -> Result<Fetched, FetchError> {
        let (url, issuer) = match self.options.location.clone() {
            Location::KeySet(url) => (url, None),
            Location::Metadata(url) => self.metadata(url).await?,
        };
        let known = self.known.as_ref().filter(|(known, _)| *known == url).map(|(_, tag)| tag.clone());
        let answer = self.get(url.clone(), known).await?;
        let keys = match answer.status {
            StatusCode::NOT_MODIFIED => None,
            StatusCode::OK => {
                let keys = jwk::read(&answer.body, jwk::Source::Published).unwrap_or_default();
                if keys.is_empty() {
                    return Err(FetchError::NoKeys);
                }
                self.known = answer.headers.get(ETAG).map(|tag| (url, tag.clone()));
                Some(keys)
            }
            status => return Err(FetchError::Status(status)),
        };
        let fresh_for = freshness::of(&answer.headers).unwrap_or(self.options.refresh_interval);
        Ok(Fetched { keys, issuer, fresh_for })
    }

    async fn metadata(&mut self, url: Uri) -> Result<(Uri, Option<String>), FetchError> {
        let answer = self.get(url, None).await?;
        if answer.status != StatusCode::OK {
            return Err(FetchError::Status(answer.status));
        }
        let metadata: Metadata = serde_json::from_slice(&answer.body).map_err(|_| FetchError::Metadata)?;
        let keys = parse(&metadata.jwks_uri).map_err(|_| FetchError::Metadata)?;
        self.options.check_url(&keys).map_err(|_| FetchError::Metadata)?;
        Ok((keys, metadata.issuer))
    }

    async fn get(&mut self, url: Uri, known: Option<HeaderValue>) -> Result<Answer, FetchError> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("hubline/", env!("CARGO_PKG_VERSION"))));
        if let Some(known) = known {
            headers.insert(IF_NONE_MATCH, known);
        }
        let (answer, body) = self.client()?.request(request).await?.into_parts();
        let limit_bytes = self.options.limit_bytes;
        let body = Limited::new(body, limit_bytes).collect().await;
        let body = body.map_err(|_| FetchError::Body { limit_bytes })?.to_bytes();
        Ok(Answer { status: answer.status, headers: answer.headers, body })
    }

    /// Made when it is needed: root certificates may come to a machine after its programs.
    fn client(&mut self) -> Result<&Client<HttpsConnector<HttpConnector>, Empty<Bytes>>, FetchError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => connect_to().map_err(FetchError::RootCertificates)?,
        };
        Ok(self.client.insert(client))
    }
}

/// Keys are fetched once in a while, so no connection is kept open for the next time.
fn connect_to() -> io::Result<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>> {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(Arc::new(ring::default_provider()))?
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
}
