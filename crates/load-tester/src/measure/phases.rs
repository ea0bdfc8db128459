use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::Recorder;

/// How long each phase of one connection's beginning took; `None` for a phase that it had not, or did not reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PhaseTimes {
    /// Looking up the name of the host.
    pub lookup: Option<Duration>,
    /// The TCP connection.
    pub tcp: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// The negotiate request, redirects included.
    pub negotiate: Option<Duration>,
    /// The request that opens the transport, to its answer.
    pub upgrade: Option<Duration>,
    /// The handshake of the hub protocol, to its answer.
    pub handshake: Option<Duration>,
    /// The first call, to its completion.
    pub first_call: Option<Duration>,
    /// From the first packet to the answer to the handshake, whatever was done in between.
    pub total: Option<Duration>,
}

impl PhaseTimes {
    /// The phases by name, in the order in which they happen.
    #[must_use]
    pub fn each(&self) -> [(&'static str, Option<Duration>); 7] {
        let Self { lookup, tcp, tls, negotiate, upgrade, handshake, first_call, total: _ } = *self;
        let times = [lookup, tcp, tls, negotiate, upgrade, handshake, first_call];
        std::array::from_fn(|index| (Phases::NAMES[index], times[index]))
    }
}

/// The phases of connecting of many connections.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "they are those of PhaseTimes")]
pub struct Phases {
    pub lookup: Recorder,
    pub tcp: Recorder,
    pub tls: Recorder,
    pub negotiate: Recorder,
    pub upgrade: Recorder,
    pub handshake: Recorder,
    pub first_call: Recorder,
    pub total: Recorder,
}

impl Phases {
    /// What readers call the phases, in the order in which they happen.
    pub const NAMES: [&str; 7] =
        ["name lookup", "TCP", "TLS", "negotiate", "upgrade", "handshake", "first call"];

    /// Records one connection; of a failed one the phases that it reached.
    ///
    /// A first call that comes later is recorded by itself then.
    pub fn record(&mut self, times: &PhaseTimes) {
        for (recorder, (_, time)) in self.recorders_mut().into_iter().zip(times.each()) {
            time.into_iter().for_each(|time| recorder.record(micros(time)));
        }
        times.total.into_iter().for_each(|total| self.total.record(micros(total)));
    }

    /// The phases that any connection had, by name, in the order in which they happen.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &Recorder)> {
        let Self { lookup, tcp, tls, negotiate, upgrade, handshake, first_call, total: _ } = self;
        let recorders = [lookup, tcp, tls, negotiate, upgrade, handshake, first_call];
        Self::NAMES.into_iter().zip(recorders).filter(|(_, recorder)| !recorder.is_empty())
    }

    /// Adds what another process measured.
    pub fn merge(&mut self, other: &Self) {
        let Self { lookup, tcp, tls, negotiate, upgrade, handshake, first_call, total } = other;
        let others = [lookup, tcp, tls, negotiate, upgrade, handshake, first_call];
        self.recorders_mut().into_iter().zip(others).for_each(|(own, other)| own.add(other));
        self.total.add(total);
    }

    fn recorders_mut(&mut self) -> [&mut Recorder; 7] {
        let Self { lookup, tcp, tls, negotiate, upgrade, handshake, first_call, total: _ } = self;
        [lookup, tcp, tls, negotiate, upgrade, handshake, first_call]
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_that_a_connection_did_not_reach_are_not_counted() {
        let millis = |millis| Some(Duration::from_millis(millis));
        let came_in = PhaseTimes {
            tcp: millis(1),
            negotiate: millis(2),
            upgrade: millis(4),
            handshake: millis(8),
            first_call: millis(100),
            total: millis(16),
            ..PhaseTimes::default()
        };
        let refused = PhaseTimes { tcp: millis(1), negotiate: millis(3), ..PhaseTimes::default() };
        let mut phases = Phases::default();
        phases.record(&came_in);
        phases.record(&refused);
        let mut merged = Phases::default();
        merged.merge(&phases);
        assert_eq!(merged, phases);
        let counts: Vec<_> = merged.each().map(|(name, recorder)| (name, recorder.count())).collect();
        assert_eq!(
            counts,
            [("TCP", 2), ("negotiate", 2), ("upgrade", 1), ("handshake", 1), ("first call", 1)]
        );
        let total = merged.total.percentiles();
        assert_eq!((total.count, total.max_micros / 100), (1, 160));
    }
}
