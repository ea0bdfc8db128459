use std::fmt::{Debug, Display, Formatter, Result as FmtResult};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as HdrDeserializer, Serializer as _, V2DeflateSerializer};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Summary of a [`Recorder`]: times in microseconds, to three digits. All are 0 where nothing was recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Percentiles {
    /// How many times were recorded.
    pub count: u64,
    /// The average.
    pub mean_micros: u64,
    /// Half were faster.
    pub p50_micros: u64,
    /// One in ten was slower.
    pub p90_micros: u64,
    /// One in twenty was slower.
    pub p95_micros: u64,
    /// One in a hundred was slower.
    pub p99_micros: u64,
    /// One in a thousand was slower.
    pub p999_micros: u64,
    /// The slowest.
    pub max_micros: u64,
}

impl Display for Percentiles {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        let Self { p50_micros, p99_micros, max_micros, .. } = self;
        write!(f, "p50 {p50_micros} µs, p99 {p99_micros} µs, max {max_micros} µs")
    }
}

/// Records times from 0 µs to 10 min (what is longer counts as 10 min), to three digits.
///
/// It takes 16 KB when new and at most 170 KB; [`Recorder::record`] allocates only when a time is longer than all before and
/// of another magnitude. Serialized it is the histogram itself, as base64 of the compressed V2 format of `HdrHistogram`, so
/// recorders of several processes or runs are merged without loss, and other tools read it.
#[derive(Clone, PartialEq)]
pub struct Recorder(Histogram<u64>);

impl Recorder {
    const MAX_MICROS: u64 = 600_000_000;

    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self(Histogram::new(3).expect("three digits are supported"))
    }

    /// Records one time.
    pub fn record(&mut self, micros: u64) {
        self.0.record(micros.min(Self::MAX_MICROS)).expect("it grows up to the largest value");
    }

    /// Adds all that another one has recorded.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("it grows up to the largest value");
    }

    /// Forgets all, and keeps its memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many times were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The time in microseconds that this share of all (0 to 1) did not exceed.
    #[must_use]
    pub fn at(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile).min(self.0.max())
    }

    /// The usual percentiles.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        #[expect(clippy::cast_possible_truncation, reason = "0 to 10 min in µs")]
        let mean_micros = self.0.mean().round() as u64;
        Percentiles {
            count: self.count(),
            mean_micros,
            p50_micros: self.at(0.5),
            p90_micros: self.at(0.9),
            p95_micros: self.at(0.95),
            p99_micros: self.at(0.99),
            p999_micros: self.at(0.999),
            max_micros: self.0.max(),
        }
    }

    /// The text that it is serialized as.
    #[must_use]
    pub fn to_base64(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.0, &mut bytes)
            .expect("counts of messages are below 2^63, and a Vec takes every write");
        STANDARD.encode(bytes)
    }

    /// Reads [`Recorder::to_base64`], or what another program wrote.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_base64(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|error| format!("no base64: {error}"))?;
        let read: Histogram<u64> = HdrDeserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| format!("no histogram: {error}"))?;
        let mut recorder = Self::new();
        recorder.0.add(&read).map_err(|error| format!("no histogram: {error}"))?;
        Ok(recorder)
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for Recorder {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        f.debug_tuple("Recorder").field(&self.percentiles()).finish()
    }
}

impl Serialize for Recorder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for Recorder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_base64(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(times: impl IntoIterator<Item = u64>) -> Recorder {
        let mut recorder = Recorder::new();
        times.into_iter().for_each(|micros| recorder.record(micros));
        recorder
    }

    #[test]
    fn percentiles_are_those_of_all_times() {
        let percentiles = recorder(1..=1000).percentiles();
        let expected = Percentiles {
            count: 1000,
            mean_micros: 501,
            p50_micros: 500,
            p90_micros: 900,
            p95_micros: 950,
            p99_micros: 990,
            p999_micros: 999,
            max_micros: 1000,
        };
        assert_eq!(percentiles, expected);
        assert_eq!(Recorder::new().percentiles(), Percentiles::default());
        let bounds = recorder([0, u64::MAX]).percentiles();
        assert_eq!((bounds.p50_micros, bounds.count), (0, 2));
        assert!((600_000_000..601_000_000).contains(&bounds.max_micros), "{bounds:?}");
    }

    #[test]
    fn what_was_written_and_read_and_merged_is_as_if_recorded_in_one() {
        let (first, second) = (recorder((0..5000).map(|n| n * n)), recorder([7, 30_000_000]));
        let both = serde_json::to_string(&[&first, &second]).unwrap();
        let read: Vec<Recorder> = serde_json::from_str(&both).unwrap();
        assert_eq!(read, [first, second]);
        let mut merged = read[0].clone();
        merged.add(&read[1]);
        let one = recorder((0..5000).map(|n| n * n).chain([7, 30_000_000]));
        assert_eq!(merged.percentiles(), one.percentiles());
        assert!(both.len() < 10_000, "{}", both.len());
    }

    #[test]
    fn what_is_no_histogram_is_said_to_be_none() {
        for (text, expected) in [("\"*\"", "no base64"), ("\"AAAA\"", "no histogram"), ("1", "invalid type")]
        {
            let error = serde_json::from_str::<Recorder>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
