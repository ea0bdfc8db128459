//! HTTP to the collector.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::crypto::ring;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::environment::MetricsTarget;

/// Longest answer that is read.
const LIMIT_ANSWER_BYTES: usize = 1024 * 1024;
/// For spans, whose exporter may set a shorter one.
const TIMEOUT: Duration = Duration::from_secs(10);

type HyperClient = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends requests from the exporter's runtime. Clones are the same.
#[derive(Clone)]
pub(super) struct Client {
    hyper: HyperClient,
    runtime: Handle,
    outcome: Arc<Outcome>,
}

#[derive(Debug, Default)]
struct Outcome {
    failed: AtomicU64,
    /// Whether the last request failed.
    is_failing: AtomicBool,
}

impl Client {
    pub(super) fn new(runtime: Handle) -> io::Result<Self> {
        let mut http = HttpConnector::new();
        // TLS is the outer connector's.
        http.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(Arc::new(ring::default_provider()))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self { hyper, runtime, outcome: Arc::default() })
    }

    /// Requests that were not taken.
    pub(super) fn failed(&self) -> u64 {
        self.outcome.failed.load(Ordering::Relaxed)
    }

    /// Sends metrics; what comes of it is counted.
    pub(super) async fn post(&self, target: &MetricsTarget, body: Vec<u8>) {
        let mut request =
            Request::post(target.endpoint.clone()).header(CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &target.headers {
            request = request.header(name, value);
        }
        let answer = match request.body(Bytes::from(body)) {
            Ok(request) => send(self.hyper.clone(), request, target.timeout).await,
            Err(error) => Err(error.into()),
        };
        self.count(&answer);
    }

    /// The first failure of a row is logged, and its end.
    fn count(&self, answer: &Result<Response<Bytes>, HttpError>) {
        let reason = match answer {
            Ok(answer) if answer.status().is_success() => {
                if self.outcome.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("The collector takes traces and metrics again");
                }
                return;
            }
            Ok(answer) => format!("it answers {}", answer.status()),
            Err(error) => reason(&**error),
        };
        self.outcome.failed.fetch_add(1, Ordering::Relaxed);
        if !self.outcome.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                reason,
                "The collector does not take traces or metrics. OTEL_EXPORTER_OTLP_ENDPOINT names it, with the port for HTTP, usually \
                 4318; further failures are counted in hubline_telemetry_exports_failed_total"
            );
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The thread that exports spans is none of a runtime.
        let sending = self.runtime.spawn(send(self.hyper.clone(), request, TIMEOUT));
        let answer = sending.await.map_err(HttpError::from).flatten();
        self.count(&answer);
        answer
    }
}

async fn send(
    hyper: HyperClient,
    request: Request<Bytes>,
    patience: Duration,
) -> Result<Response<Bytes>, HttpError> {
    let answer = async {
        let (head, body) = hyper.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, LIMIT_ANSWER_BYTES).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    timeout(patience, answer).await.unwrap_or_else(|_| Err("it does not answer in time".into()))
}

/// An error with its causes. The endpoint may hold a key, and is not among them.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Differs in each process.
pub(super) fn random_id() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}
