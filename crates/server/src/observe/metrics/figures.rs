//! What the applications count.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// One number at the time it is asked for. Those of one name stand together, and differ in their label.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// As Prometheus has it, without the `_total` that counters get there: `hubline_chat_messages_stored`.
    pub(crate) name: &'static str,
    /// A sentence.
    pub(crate) help: &'static str,
    pub(crate) kind: FigureKind,
    /// Name and value of a label.
    pub(crate) label: Option<(&'static str, &'static str)>,
    pub(crate) value: u64,
}

/// What a number may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FigureKind {
    /// Grow, from 0 at the start.
    Counter,
    /// Grow and shrink.
    Gauge,
}

impl Figure {
    /// A number that grows from 0 at the start.
    pub(crate) fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: FigureKind::Counter, label: None, value }
    }

    /// A number that grows and shrinks.
    pub(crate) fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: FigureKind::Gauge, label: None, value }
    }

    /// One of several of its name.
    pub(crate) fn of(self, label: &'static str, value: &'static str) -> Self {
        Self { label: Some((label, value)), ..self }
    }
}

/// Tells the figures of one part of the program. Called for each reading, so it is quick and waits for nothing.
#[derive(Clone)]
pub(crate) struct Figures(Arc<dyn Fn() -> Vec<Figure> + Send + Sync>);

impl Figures {
    pub(crate) fn new(tell: impl Fn() -> Vec<Figure> + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// The figures now.
    pub(crate) fn read(&self) -> Vec<Figure> {
        (self.0)()
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Figures").finish_non_exhaustive()
    }
}

fn encode(figure: &Figure, encoder: MetricEncoder<'_>) -> fmt::Result {
    match figure.kind {
        FigureKind::Counter => ConstCounter::new(figure.value).encode(encoder),
        FigureKind::Gauge => ConstGauge::new(figure.value).encode(encoder),
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.read();
        for family in figures.chunk_by(|a, b| a.name == b.name) {
            let Figure { name, help, kind, .. } = &family[0];
            let kind = match kind {
                FigureKind::Counter => MetricType::Counter,
                FigureKind::Gauge => MetricType::Gauge,
            };
            let mut encoder = encoder.encode_descriptor(name, help, None, kind)?;
            if family[0].label.is_none() {
                encode(&family[0], encoder)?;
                continue;
            }
            for figure in family {
                let Some(label) = figure.label else { continue };
                encode(figure, encoder.encode_family(&[label])?)?;
            }
        }
        Ok(())
    }
}
