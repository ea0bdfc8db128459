//! The page that Prometheus reads.

mod collector;
mod figures;
#[cfg(target_os = "linux")]
mod process;
mod redis;

use std::fmt;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use hubline::Server;
use parking_lot::Mutex;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

use collector::ServerCollector;
pub(crate) use figures::{Figure, Figures};
pub(crate) use redis::RedisFigures;

use crate::observe::Output;

/// What the page is made from. Nothing is kept here: all figures are read when the page is.
///
/// However many ask, a page is written by one thread at a time: who comes meanwhile gets the same.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    being_written: Arc<[Mutex<Option<WeakShared<Writing>>>; 2]>,
}

/// `None` if it cannot be written.
type Writing = BoxFuture<'static, Option<Bytes>>;

impl Metrics {
    /// `redis` is `None` without Redis; `figures` are those of the applications.
    pub(crate) fn new(
        server: &Server,
        log: &Output,
        redis: Option<RedisFigures>,
        figures: Vec<Figures>,
    ) -> Self {
        let mut registry = Registry::default();
        if let Some(redis) = redis {
            registry.register_collector(Box::new(redis));
        }
        for figures in figures {
            registry.register_collector(Box::new(figures));
        }
        registry.register_collector(Box::new(ServerCollector::new(server, log)));
        #[cfg(target_os = "linux")]
        registry.register_collector(Box::new(process::ProcessCollector::new()));
        Self { registry: Arc::new(registry), being_written: Arc::default() }
    }

    /// The page as OpenMetrics; `None` if it cannot be written.
    #[cfg(feature = "otlp")]
    pub(crate) async fn open_metrics(&self) -> Option<Bytes> {
        self.page(Format::OpenMetrics).await
    }

    /// The page that is being written, or else a new one.
    fn page(&self, format: Format) -> Shared<Writing> {
        let mut being_written = self.being_written[format as usize].lock();
        let current = being_written.as_ref().and_then(WeakShared::upgrade);
        if let Some(current) = current.filter(|writing| writing.peek().is_none()) {
            return current;
        }
        let registry = Arc::clone(&self.registry);
        let writing = async move {
            // Not on a thread that serves connections: before Linux 6.2 open files are counted one by one.
            let written = tokio::task::spawn_blocking(move || format.write(&registry)).await;
            written.ok().and_then(Result::ok).map(Bytes::from)
        };
        let writing = writing.boxed().shared();
        *being_written = writing.downgrade();
        writing
    }
}

/// The two ways to write the page.
#[derive(Debug, Clone, Copy)]
enum Format {
    /// Prometheus's own, which everybody reads.
    PrometheusText,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    const OPEN_METRICS: &str = "application/openmetrics-text";

    /// OpenMetrics for those who name it, which Prometheus does.
    fn accepted(headers: &HeaderMap) -> Self {
        let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        match accepted.any(|value| value.contains(Self::OPEN_METRICS)) {
            true => Self::OpenMetrics,
            false => Self::PrometheusText,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::PrometheusText => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    fn write(self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut page = String::new();
        match self {
            Self::PrometheusText => prometheus_text::encode(&mut page, registry)?,
            Self::OpenMetrics => text::encode(&mut page, registry)?,
        }
        Ok(page)
    }
}

pub(crate) async fn page(State(metrics): State<Metrics>, headers: HeaderMap) -> Response {
    let format = Format::accepted(&headers);
    let writing = metrics.page(format);
    match writing.await {
        Some(page) => ([(CONTENT_TYPE, format.content_type())], page).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
