//! The page that Prometheus reads.

mod collector;
#[cfg(target_os = "linux")]
mod process;
mod refusals;

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hubline::Server;
use hubline_auth::{CrossOrigin, HostFilter};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

use collector::ServerCollector;
use refusals::RefusalCollector;

use crate::output::Output;

/// What the page is made from. Nothing is kept here: all figures are read when the page is.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<Registry>);

impl Metrics {
    pub(crate) fn new(
        server: &Server,
        log: &Output,
        cross_origin: CrossOrigin,
        host_filter: Option<HostFilter>,
    ) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ServerCollector::new(server, log)));
        registry.register_collector(Box::new(RefusalCollector { cross_origin, host_filter }));
        #[cfg(target_os = "linux")]
        registry.register_collector(Box::new(process::ProcessCollector::new()));
        Self(Arc::new(registry))
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
    // Not on a thread that serves connections: before Linux 6.2 open files are counted one by one.
    let written = tokio::task::spawn_blocking(move || format.write(&metrics.0)).await;
    match written {
        Ok(Ok(page)) => ([(CONTENT_TYPE, format.content_type())], page).into_response(),
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
