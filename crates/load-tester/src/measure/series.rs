use serde::{Deserialize, Serialize};

use crate::measure::Recorder;

/// What happened in one second of a step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Seconds since the step began, at the end of this one.
    pub second: u32,
    /// Messages sent, calls among them.
    pub sent: u64,
    /// Messages received that carry an invocation: events of the hub.
    pub received: u64,
    /// Calls completed, errors among them.
    pub calls: u64,
    /// Calls, sends and connections that failed.
    pub errors: u64,
    /// Connections that were open at its end.
    pub connections: u64,
    /// Half of the latencies of this second were below.
    pub p50_micros: u64,
    /// One in a hundred of them was above.
    pub p99_micros: u64,
    /// All of them, where several processes are merged ([`Recorder::to_base64`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histogram: Option<String>,
}

/// The seconds of a step, in order; one in which nothing could be closed is not there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Series(pub Vec<Second>);

impl Series {
    /// Adds the seconds that another process measured at the same time.
    ///
    /// Percentiles are exact where both sides kept their histograms, otherwise those of the slower process.
    pub fn merge(&mut self, other: &Self) {
        for theirs in &other.0 {
            match self.0.binary_search_by_key(&theirs.second, |second| second.second) {
                Ok(place) => self.0[place].merge(theirs),
                Err(place) => self.0.insert(place, theirs.clone()),
            }
        }
    }

    /// Forgets the histograms, once nothing more is merged.
    pub fn drop_histograms(&mut self) {
        self.0.iter_mut().for_each(|second| second.histogram = None);
    }
}

impl Second {
    fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.calls += other.calls;
        self.errors += other.errors;
        self.connections += other.connections;
        let read = |text: &Option<String>| Recorder::from_base64(text.as_deref()?).ok();
        if let (Some(mut all), Some(theirs)) = (read(&self.histogram), read(&other.histogram)) {
            all.add(&theirs);
            (self.p50_micros, self.p99_micros) = (all.at(0.5), all.at(0.99));
            self.histogram = Some(all.to_base64());
        } else {
            self.p50_micros = self.p50_micros.max(other.p50_micros);
            self.p99_micros = self.p99_micros.max(other.p99_micros);
            self.histogram = None;
        }
    }
}

/// Counts what happens in the current second.
#[derive(Debug, Default)]
pub struct Window {
    /// As [`Second::sent`].
    pub sent: u64,
    /// As [`Second::received`].
    pub received: u64,
    /// As [`Second::calls`].
    pub calls: u64,
    /// As [`Second::errors`].
    pub errors: u64,
    /// Of messages delivered, or of calls where the server delivers none.
    pub latency: Recorder,
}

impl Window {
    /// Adds what another one, of another thread, has counted in the same second, and empties that.
    pub fn take(&mut self, other: &mut Self) {
        self.sent += std::mem::take(&mut other.sent);
        self.received += std::mem::take(&mut other.received);
        self.calls += std::mem::take(&mut other.calls);
        self.errors += std::mem::take(&mut other.errors);
        self.latency.add(&other.latency);
        other.latency.clear();
    }

    /// Ends the second and begins the next. Histograms are for runs of several processes, whose reports are merged.
    pub fn close(&mut self, second: u32, connections: u64, histogram: Histograms) -> Second {
        let closed = Second {
            second,
            sent: std::mem::take(&mut self.sent),
            received: std::mem::take(&mut self.received),
            calls: std::mem::take(&mut self.calls),
            errors: std::mem::take(&mut self.errors),
            connections,
            p50_micros: self.latency.at(0.5),
            p99_micros: self.latency.at(0.99),
            histogram: (histogram == Histograms::Kept).then(|| self.latency.to_base64()),
        };
        self.latency.clear();
        closed
    }
}

/// Whether each second keeps its histogram beside its percentiles, 100 to 1,000 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Histograms {
    /// For a run of one process.
    Dropped,
    /// For reports that are merged.
    Kept,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: u32, histogram: Histograms, latencies: &[u64]) -> Second {
        let mut other = Window { sent: 1, received: 2, calls: 3, errors: 4, ..Window::default() };
        latencies.iter().for_each(|micros| other.latency.record(*micros));
        let mut window = Window::default();
        window.take(&mut other);
        let closed = window.close(number, 5, histogram);
        assert!(other.latency.is_empty() && window.latency.is_empty() && window.sent == 0);
        closed
    }

    #[test]
    fn the_seconds_of_two_processes_are_those_of_one() {
        let kept = |number, latencies| second(number, Histograms::Kept, latencies);
        let mut series = Series(vec![kept(1, &[10, 10, 10]), kept(3, &[1])]);
        series.merge(&Series(vec![kept(1, &[1000]), kept(2, &[2])]));
        assert_eq!(series.0.iter().map(|second| second.second).collect::<Vec<_>>(), [1, 2, 3]);
        series.drop_histograms();
        let expected = Second {
            second: 1,
            sent: 2,
            received: 4,
            calls: 6,
            errors: 8,
            connections: 10,
            p50_micros: 10,
            p99_micros: 1000,
            histogram: None,
        };
        assert_eq!(series.0[0], expected);
    }

    #[test]
    fn without_histograms_a_merged_second_is_as_slow_as_the_slower_process() {
        let mut series = Series(vec![second(1, Histograms::Dropped, &[10])]);
        series.merge(&Series(vec![second(1, Histograms::Kept, &[30])]));
        assert_eq!((series.0[0].p50_micros, series.0[0].p99_micros), (30, 30));
        assert_eq!(series.0[0].histogram, None);
    }
}
