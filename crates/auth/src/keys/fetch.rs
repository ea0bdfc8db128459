//! Fetches keys over HTTP.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ETAG, HeaderValue, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, HttpInfo};
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use serde::Deserialize;
use tokio::time::timeout;

use super::addresses::{Classification, Reach, ResolveError, Resolver, is_private};
use super::remote_options::{Location, RemoteKeys, address, parse};
use super::{VerificationKey, freshness, jwk};

type KeyClient = Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>;

/// Fetches the keys of one place, and only what has changed there.
pub(crate) struct Fetcher {
    options: RemoteKeys,
    is_private: Classification,
    /// The newest, and how far it reaches.
    client: Option<(Reach, KeyClient)>,
    /// Which keys there were, and their entity tag.
    known: Option<(Uri, HeaderValue)>,
}

/// The result of a fetch.
pub(super) struct Fetched {
    /// `None` if the keys are those that were fetched before.
    pub(super) keys: Option<Vec<VerificationKey>>,
    /// The issuer that the metadata names.
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
    Unreachable(hyper_util::client::legacy::Error),
    #[error(
        "is public metadata that names keys at a loopback, link-local or private address; \
         Jwt:AllowPrivateKeyAddresses=true (RemoteKeys::allow_private_key_addresses) lets it"
    )]
    PrivateKeyAddress,
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
    /// Whether it came from an address that is not everybody's.
    is_private: bool,
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
        Self { options, is_private, client: None, known: None }
    }

    /// Fetches the keys, and the metadata before them where there is some.
    pub(super) async fn fetch(&mut self) -> Result<Fetched, FetchError> {
        let patience = self.options.timeout;
        timeout(patience, self.fetch_patiently()).await.map_err(|_| FetchError::Slow(patience))?
    }

    async fn fetch_patiently(&mut self) -> Result<Fetched, FetchError> {
        let (url, issuer, reach) = match self.options.location.clone() {
            Location::KeySet(url) => (url, None, Reach::Anywhere),
            Location::Metadata(url) => self.metadata(url).await?,
        };
        let known = self.known.as_ref().filter(|(known, _)| *known == url).map(|(_, tag)| tag.clone());
        let answer = self.get(url.clone(), known, reach).await?;
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

    /// Reads the metadata: the URL of the keys, the issuer, and which addresses the keys may be fetched from.
    async fn metadata(&mut self, url: Uri) -> Result<(Uri, Option<String>, Reach), FetchError> {
        let answer = self.get(url, None, Reach::Anywhere).await?;
        if answer.status != StatusCode::OK {
            return Err(FetchError::Status(answer.status));
        }
        let metadata: Metadata = serde_json::from_slice(&answer.body).map_err(|_| FetchError::Metadata)?;
        let keys = parse(&metadata.jwks_uri).map_err(|_| FetchError::Metadata)?;
        self.options.check_url(&keys).map_err(|_| FetchError::Metadata)?;
        let reach = match answer.is_private || self.options.allow_private_key_addresses {
            true => Reach::Anywhere,
            false => Reach::Public,
        };
        Ok((keys, metadata.issuer, reach))
    }

    async fn get(
        &mut self,
        url: Uri,
        known: Option<HeaderValue>,
        reach: Reach,
    ) -> Result<Answer, FetchError> {
        let is_private = self.is_private;
        // An address needs no resolver.
        if reach == Reach::Public && address(&url).is_some_and(is_private) {
            return Err(FetchError::PrivateKeyAddress);
        }
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("hubline/", env!("CARGO_PKG_VERSION"))));
        if let Some(known) = known {
            headers.insert(IF_NONE_MATCH, known);
        }
        let answer = self.client(reach)?.request(request).await.map_err(FetchError::of)?;
        let (answer, body) = answer.into_parts();
        let peer = answer.extensions.get::<HttpInfo>().map(|info| info.remote_addr().ip());
        let limit_bytes = self.options.limit_bytes;
        let body = Limited::new(body, limit_bytes).collect().await;
        let body = body.map_err(|_| FetchError::Body { limit_bytes })?.to_bytes();
        let is_private = peer.is_some_and(is_private);
        Ok(Answer { is_private, status: answer.status, headers: answer.headers, body })
    }

    /// Made when it is needed: root certificates may come to a machine after its programs.
    fn client(&mut self, reach: Reach) -> Result<&KeyClient, FetchError> {
        let client = match self.client.take() {
            Some((its, client)) if its == reach => client,
            _ => {
                let resolver = Resolver { reach, is_private: self.is_private };
                connect_to(resolver).map_err(FetchError::RootCertificates)?
            }
        };
        Ok(&self.client.insert((reach, client)).1)
    }
}

impl FetchError {
    fn of(error: hyper_util::client::legacy::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            if matches!(error.downcast_ref(), Some(ResolveError::Private)) {
                return Self::PrivateKeyAddress;
            }
            cause = error.source();
        }
        Self::Unreachable(error)
    }
}

/// Keys are fetched once in a while, so no connection is kept open for the next time.
fn connect_to(resolver: Resolver) -> io::Result<KeyClient> {
    let mut http = HttpConnector::new_with_resolver(resolver);
    // TLS is the outer connector's.
    http.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(Arc::new(ring::default_provider()))?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::routing::get;
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;

    /// Stands for an address of the internet.
    const PUBLIC: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

    fn is_private_but_for_one(address: IpAddr) -> bool {
        address != IpAddr::V4(PUBLIC)
    }

    /// Keys on all addresses of this machine, with how often they were asked for.
    async fn keys() -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let set = json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }] });
        let answer = move || {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(set.to_string())
        };
        let app = Router::new().route("/keys", get(answer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (port, asked)
    }

    /// Fetches by metadata at an address that names keys at a URL.
    async fn fetched(from: Ipv4Addr, keys: &str, change: fn(&mut RemoteKeys)) -> Result<usize, FetchError> {
        let listener = TcpListener::bind((from, 0)).await.unwrap();
        let url = format!("http://{}/metadata", listener.local_addr().unwrap());
        let metadata = json!({ "issuer": "i", "jwks_uri": keys }).to_string();
        let app = Router::new().route("/metadata", get(move || std::future::ready(metadata.clone())));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut options = RemoteKeys::of_metadata(&url).unwrap();
        options.allow_insecure_http = true;
        change(&mut options);
        let mut fetcher = Fetcher { is_private: is_private_but_for_one, ..Fetcher::new(options) };
        fetcher.fetch().await.map(|fetched| fetched.keys.unwrap_or_default().len())
    }

    #[tokio::test]
    async fn public_metadata_sends_the_fetch_to_no_private_address() {
        let (port, asked) = keys().await;
        // The last two are names to a URL, and addresses to a resolver.
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "10.0.0.1",
            "127.1",
            "0x7f000001",
        ] {
            let fetched = fetched(PUBLIC, &format!("http://{host}:{port}/keys"), |_| ()).await;
            assert!(matches!(fetched, Err(FetchError::PrivateKeyAddress)), "{host}: {:?}", fetched.err());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0);

        let public = format!("http://{PUBLIC}:{port}/keys");
        assert_eq!(fetched(PUBLIC, &public, |_| ()).await.unwrap(), 1);
        for host in ["127.0.0.1", "localhost"] {
            let private = format!("http://{host}:{port}/keys");
            let lifted: fn(&mut RemoteKeys) = |options| options.allow_private_key_addresses = true;
            assert_eq!(fetched(PUBLIC, &private, lifted).await.unwrap(), 1, "{host}");
            assert_eq!(fetched(Ipv4Addr::LOCALHOST, &private, |_| ()).await.unwrap(), 1, "private metadata");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn what_the_configuration_names_itself_may_be_anywhere() {
        let (port, _) = keys().await;
        let options = RemoteKeys::at(&format!("http://localhost:{port}/keys")).unwrap();
        let mut fetcher = Fetcher { is_private: is_private_but_for_one, ..Fetcher::new(options) };
        assert_eq!(fetcher.fetch().await.unwrap().keys.unwrap().len(), 1);
    }
}
