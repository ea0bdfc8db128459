//! The recorded cases, and those that are answered otherwise on purpose.

use std::collections::BTreeMap;

use serde_json::Value;

/// Writes how many cases of each file passed.
pub(crate) fn cases(text: &mut String, report: Option<&Value>) {
    text.push_str("\n## Recorded cases\n\n");
    let Some(results) = report.and_then(|report| report["results"].as_array()) else {
        text.push_str("Not replayed.\n");
        return;
    };
    let mut files: BTreeMap<&str, [u32; 3]> = BTreeMap::new();
    for result in results {
        let outcome = ["failure", "exception"].iter().position(|name| result[name].is_string());
        let counts = files.entry(result["file"].as_str().unwrap_or("lists")).or_default();
        counts[outcome.map_or(0, |at| at + 1)] += 1;
    }
    text.push_str("Texts are compared byte for byte.\n\n");
    text.push_str("| file | passed | failed | exceptions |\n| --- | --- | --- | --- |\n");
    let mut total = [0; 3];
    for (file, counts) in &files {
        text.push_str(&row(file, *counts));
        total = std::array::from_fn(|at| total[at] + counts[at]);
    }
    text.push_str(&row("all", total));
}

fn row(name: &str, [passed, failed, exceptions]: [u32; 3]) -> String {
    format!("| {name} | {passed} | {failed} | {exceptions} |\n")
}

/// Writes the list of exceptions with their reasons.
pub(crate) fn exceptions(text: &mut String, list: Option<&Value>) {
    text.push_str("\n## Exceptions\n\n");
    let groups = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if groups.is_empty() {
        text.push_str("None.\n");
    }
    for group in groups {
        let cases = group["cases"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<String> =
            cases.iter().filter_map(Value::as_str).map(|name| format!("`{name}`")).collect();
        text.push_str(&format!("- {}: {}\n", group["reason"].as_str().unwrap_or_default(), names.join(", ")));
    }
}
