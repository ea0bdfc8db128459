//! The table of clients and features.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::counts::Counts;

/// A client, its version, where it ran, its transport and its hub protocol.
type Combination = [String; 5];

/// What the clients' tests have told.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    combinations: BTreeMap<Combination, Counts>,
    features: BTreeMap<String, BTreeMap<String, Counts>>,
    notes: BTreeSet<[String; 4]>,
}

impl Matrix {
    fn add(&mut self, line: &Value) {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let mut counts = Counts::default();
        match line["outcome"].as_str() {
            Some("passed") => counts.passed = 1,
            Some("skipped") => counts.skipped = 1,
            _ => counts.failed = 1,
        }
        let combination = ["client", "version", "environment", "transport", "protocol"].map(text);
        *self.combinations.entry(combination).or_default() += counts;
        let features = self.features.entry(text("client")).or_default();
        *features.entry(text("feature")).or_default() += counts;
        if counts.passed == 0 {
            let place = [text("transport"), text("protocol"), text("environment")].join(", ");
            // Details of failures hold ids and times; the reasons of skipped features do not.
            let detail = if counts.skipped > 0 { text("detail") } else { "failed".to_owned() };
            self.notes.insert([text("client"), place, text("feature"), detail]);
        }
    }
}

/// Reads the JSON lines; a file that is not there holds none.
///
/// # Errors
/// A line is not JSON.
pub(crate) fn read(file: &Path) -> Result<Matrix> {
    let mut matrix = Matrix::default();
    let text = if file.exists() { fs::read_to_string(file)? } else { String::new() };
    for line in text.lines() {
        matrix.add(&serde_json::from_str(line).with_context(|| file.display().to_string())?);
    }
    Ok(matrix)
}

/// Writes the tables.
pub(crate) fn render(text: &mut String, matrix: &Matrix) {
    text.push_str("\n## Clients\n\n");
    text.push_str("| client | version | environment | transport | protocol | passed | failed | skipped |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (combination, counts) in &matrix.combinations {
        text.push_str(&row(&combination.join(" | "), *counts));
    }
    for (client, features) in &matrix.features {
        text.push_str(&format!("\n### {client}\n\n| feature | passed | failed | skipped |\n"));
        text.push_str("| --- | --- | --- | --- |\n");
        for (feature, counts) in features {
            text.push_str(&row(feature, *counts));
        }
        let notes: Vec<_> = matrix.notes.iter().filter(|[whose, ..]| whose == client).collect();
        if !notes.is_empty() {
            text.push_str("\nWhat did not pass:\n\n");
        }
        for [_, place, feature, detail] in notes {
            text.push_str(&format!("- {feature} ({place}): {detail}\n"));
        }
    }
}

fn row(name: &str, counts: Counts) -> String {
    let Counts { passed, failed, skipped } = counts;
    format!("| {name} | {passed} | {failed} | {skipped} |\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(feature: &str, outcome: &str, detail: &str) -> Value {
        json!({
            "client": "JavaScript", "version": "10.0.11", "environment": "Node 20", "transport": "WebSockets",
            "protocol": "json", "feature": feature, "outcome": outcome, "detail": detail,
        })
    }

    #[test]
    fn the_order_of_results_does_not_count() {
        let lines =
            [line("calls", "passed", ""), line("streams", "failed", "id 7"), line("stop", "skipped", "why")];
        let rendered = |lines: &[Value]| {
            let (mut matrix, mut text) = (Matrix::default(), String::new());
            lines.iter().for_each(|line| matrix.add(line));
            render(&mut text, &matrix);
            text
        };
        let text = rendered(&lines);
        let mut reversed = lines;
        reversed.reverse();
        assert_eq!(rendered(&reversed), text);
        assert!(
            text.contains("| JavaScript | 10.0.11 | Node 20 | WebSockets | json | 1 | 1 | 1 |"),
            "{text}"
        );
        assert!(text.contains("- stop (WebSockets, json, Node 20): why"), "{text}");
        assert!(!text.contains("id 7"), "{text}");
    }
}
