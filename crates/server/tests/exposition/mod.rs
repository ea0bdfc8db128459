//! Reads Prometheus's text format, version 0.0.4, and takes nothing that Prometheus might not.

use std::collections::BTreeMap;

/// The series of a page, with their labels as written.
#[derive(Debug)]
pub(crate) struct Page(BTreeMap<String, f64>);

impl Page {
    /// # Panics
    /// If it is not valid.
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
        let mut series = BTreeMap::new();
        let (mut helped, mut family) = ("", "");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                (helped, _) = help.split_once(' ').unwrap();
                assert!(is_name(helped), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let kind = kind.split_once(' ').unwrap();
                assert_eq!(kind.0, helped, "{line}: its help stands above");
                assert!(["counter", "gauge", "histogram"].contains(&kind.1), "{line}");
                assert_eq!(kinds.insert(kind.0, kind.1), None, "{line}: all of a family stands together");
                family = kind.0;
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert_belongs(name, family, kinds[family]);
                let value: f64 = value.parse().unwrap();
                assert!(value >= 0.0, "{line}: nothing here is negative");
                assert_eq!(series.insert(name.to_owned(), value), None, "{line} is there twice");
            }
        }
        let page = Self(series);
        for (histogram, _) in kinds.iter().filter(|(_, kind)| **kind == "histogram") {
            page.assert_cumulative(histogram, text);
        }
        page
    }

    /// The value of a series.
    pub(crate) fn value(&self, series: &str) -> f64 {
        self.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    pub(crate) fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|series| series.split('{').next().unwrap_or_default())
    }

    /// Buckets grow in the order of the page up to the last, `+Inf`, which is the count.
    fn assert_cumulative(&self, histogram: &str, text: &str) {
        let bucket = format!("{histogram}_bucket{{");
        let (mut before, mut bounds) = (0.0, 0);
        for line in text.lines().filter(|line| line.starts_with(&bucket)) {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (labels, bound) = series[bucket.len()..].rsplit_once("le=\"").unwrap();
            let count = self.value(series);
            assert!(count >= before, "{line}");
            (before, bounds) = (count, bounds + 1);
            if bound == "+Inf\"}" {
                let labels = labels.trim_end_matches(',');
                let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
                assert_eq!(count, self.value(&format!("{histogram}_count{labels}")), "{line}");
                (before, bounds) = (0.0, 0);
            }
        }
        assert_eq!(bounds, 0, "{histogram} ends with +Inf");
    }
}

fn assert_belongs(series: &str, family: &str, kind: &str) {
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        None => (series, ""),
    };
    match kind {
        "histogram" => {
            let part = name.strip_prefix(family).unwrap_or_else(|| panic!("{series} is not of {family}"));
            assert!(["_bucket", "_sum", "_count"].contains(&part), "{series}");
        }
        _ => assert_eq!(name, family, "{series}"),
    }
    assert_eq!(kind == "counter", name.ends_with("_total"), "{series}: counters, and only they, are totals");
    // No value here has anything in it that would have to be escaped.
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (key, value) = label.split_once('=').unwrap();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
        assert!(is_name(key) && !key.contains(':') && !value.contains(['"', '\\']), "{series}");
    }
}

fn is_name(name: &str) -> bool {
    let is_first = |first: char| first.is_ascii_alphabetic() || "_:".contains(first);
    name.starts_with(is_first) && name.chars().all(|char| is_first(char) || char.is_ascii_digit())
}
