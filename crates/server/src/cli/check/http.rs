//! HTTP to instances.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use tokio::time::timeout;

/// For a connection, and for an answer to a request that waits for nothing.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read.
pub(super) const LIMIT_BYTES: usize = 1024 * 1024;

/// Sends requests, each on a connection of its own, so that a load balancer has all instances answer. Cloning shares it.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    admin_key: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

impl Http {
    /// Certificates have to be those of an authority that this machine trusts, or that `SSL_CERT_FILE` names.
    ///
    /// # Errors
    /// The machine has no certificates of authorities, or the key cannot be sent.
    pub(super) fn new(admin_key: Option<&str>) -> Result<Self> {
        let builder = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(Arc::new(ring::default_provider()))
            .context("certificates of authorities cannot be read")?;
        let admin_key =
            admin_key.map(|key| HeaderValue::try_from(format!("Bearer {}", key.trim()))).transpose();
        let mut admin_key =
            admin_key.map_err(|_| anyhow!("the admin key has characters that no header can hold"))?;
        if let Some(key) = &mut admin_key {
            key.set_sensitive(true);
        }
        Ok(Self { client: client(builder), admin_key, host: None })
    }

    /// For this machine alone, whose certificate needs no authority; `host` is what requests name.
    pub(super) fn to_this_machine(tls: rustls::ClientConfig, host: Option<&str>) -> Result<Self> {
        let host = host.map(HeaderValue::try_from).transpose().context("AllowedHosts")?;
        Ok(Self { client: client(HttpsConnectorBuilder::new().with_tls_config(tls)), admin_key: None, host })
    }

    /// Whether there is an admin key to send.
    pub(super) fn has_key(&self) -> bool {
        self.admin_key.is_some()
    }

    /// Sends a request, and returns the answer with its body still to be read. The caller bounds how long that takes.
    ///
    /// # Errors
    /// There is no answer; with the causes.
    ///
    /// # Cancel safety
    /// Dropped early, the request may have been carried out.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&'static str, &str)],
        body: String,
    ) -> Result<Response<Incoming>> {
        let uri: Uri = url.parse().with_context(|| format!("{url} is no address"))?;
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in [(AUTHORIZATION, &self.admin_key), (HOST, &self.host)] {
            if let Some(value) = value {
                request = request.header(name, value.clone());
            }
        }
        let request = request.body(Full::new(Bytes::from(body))).context("no request")?;
        self.client.request(request).await.map_err(|error| anyhow!(reason(&error)))
    }

    /// Sends a request and reads all of the answer, within [`PATIENCE`].
    ///
    /// # Errors
    /// As [`send`](Self::send)'s; the answer takes longer, or is longer than 1 MiB.
    pub(super) async fn whole(
        &self,
        method: Method,
        url: &str,
        headers: &[(&'static str, &str)],
        body: String,
    ) -> Result<(StatusCode, String)> {
        self.whole_within(PATIENCE, method, url, headers, body).await
    }

    /// As [`whole`](Self::whole), within another time.
    pub(super) async fn whole_within(
        &self,
        patience: Duration,
        method: Method,
        url: &str,
        headers: &[(&'static str, &str)],
        body: String,
    ) -> Result<(StatusCode, String)> {
        let answer = async {
            let (head, body) = self.send(method, url, headers, body).await?.into_parts();
            let body = Limited::new(body, LIMIT_BYTES).collect().await.map_err(|error| anyhow!("{error}"))?;
            Ok((head.status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
        };
        timeout(patience, answer).await.map_err(|_| anyhow!("no answer within {} s", patience.as_secs()))?
    }

    /// The body of an answer that has to be 200.
    ///
    /// # Errors
    /// As [`whole`](Self::whole)'s, or it is another one; with the problem that it tells.
    pub(super) async fn ok(&self, method: Method, url: &str, body: String) -> Result<String> {
        let (status, body) = self.whole(method, url, &[], body).await?;
        ensure_ok(status, &body)?;
        Ok(body)
    }
}

/// # Errors
/// The status is another one than 200.
pub(super) fn ensure_ok(status: StatusCode, body: &str) -> Result<()> {
    if status == StatusCode::OK {
        return Ok(());
    }
    match detail(body) {
        Some(detail) => bail!("it answers {}: {detail}", status.as_u16()),
        None => bail!("it answers {status}"),
    }
}

/// What a problem says of itself.
pub(super) fn detail(body: &str) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_str(body).ok()?;
    problem["detail"].as_str().map(str::to_owned)
}

fn client(
    builder: HttpsConnectorBuilder<hyper_rustls::builderstates::WantsSchemes>,
) -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(PATIENCE));
    let connector = builder.https_or_http().enable_http1().wrap_connector(http);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)
}

/// An error with its causes, each said once.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = causes.map(ToString::to_string).collect();
    if said.len() > 1 {
        // That a request could not be sent says nothing.
        said.remove(0);
    }
    said.dedup();
    said.join(": ")
}
