//! Texts with placeholders.

use serde_json::Value;

/// What the placeholders of one call stand for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fill<'a> {
    /// `{n}`: the number of the connection, from 0.
    pub(crate) connection: u32,
    /// `{i}`: the number of the call on this connection, from 0.
    pub(crate) call: u64,
    /// `{group}`.
    pub(crate) group: &'a str,
    /// `{stamp}`.
    pub(crate) stamp: &'a str,
    /// `{role}`.
    pub(crate) role: &'a str,
}

const NAMES: [&str; 5] = ["n", "i", "group", "stamp", "role"];

impl Fill<'_> {
    fn push(&self, name: &str, out: &mut String) {
        match name {
            "n" => out.push_str(&self.connection.to_string()),
            "i" => out.push_str(&self.call.to_string()),
            "group" => out.push_str(self.group),
            "stamp" => out.push_str(self.stamp),
            "role" => out.push_str(self.role),
            _ => {}
        }
    }

    /// The text with its placeholders filled in; `{{` is a brace.
    pub(crate) fn text(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len() + self.stamp.len());
        for part in parts(template) {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Name(name) => self.push(name, &mut out),
            }
        }
        out
    }

    /// Each text in a value with its placeholders filled in; `{#n}` and `{#i}` alone become numbers.
    pub(crate) fn value(&self, template: &Value) -> Value {
        match template {
            Value::String(text) => match text.as_str() {
                "{#n}" => self.connection.into(),
                "{#i}" => self.call.into(),
                text => self.text(text).into(),
            },
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), self.value(value))).collect())
            }
            other => other.clone(),
        }
    }
}

enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// A brace that is no placeholder's is text.
fn parts(template: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(after) = rest.strip_prefix("{{") {
            let brace = &rest[..1];
            rest = after;
            return Some(Part::Text(brace));
        }
        if let Some(name) = NAMES.into_iter().find(|name| {
            rest.strip_prefix('{')
                .and_then(|rest| rest.strip_prefix(name))
                .is_some_and(|r| r.starts_with('}'))
        }) {
            let end = name.len() + 2;
            let placeholder = &rest[1..end - 1];
            rest = &rest[end..];
            return Some(Part::Name(placeholder));
        }
        let end = rest.char_indices().skip(1).find(|(_, c)| *c == '{').map_or(rest.len(), |(index, _)| index);
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(Part::Text(text))
    })
}

/// Whether any text in the values has the placeholder.
pub(crate) fn uses(values: &[Value], name: &str) -> bool {
    values.iter().any(|value| match value {
        Value::String(text) => uses_text(text, name),
        Value::Array(items) => uses(items, name),
        Value::Object(fields) => fields.values().any(|value| uses(std::slice::from_ref(value), name)),
        _ => false,
    })
}

pub(crate) fn uses_text(template: &str, name: &str) -> bool {
    parts(template).any(|part| matches!(part, Part::Name(used) if used == name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_braces_stay() {
        let fill = Fill { connection: 7, call: 3, group: "g1", stamp: "§", role: "writer" };
        for (template, expected) in [
            ("user-{n}@{group}", "user-7@g1"),
            ("{role}:{i}:{stamp}", "writer:3:§"),
            ("{{n} {x} {", "{n} {x} {"),
            ("{é}{n}", "{é}7"),
            ("", ""),
        ] {
            assert_eq!(fill.text(template), expected, "{template}");
        }
        let value = json!({"id": "{#n}", "texts": ["{stamp}", 1, null], "i": "{#i}", "s": "{n}"});
        assert_eq!(fill.value(&value), json!({"id": 7, "texts": ["§", 1, null], "i": 3, "s": "7"}));
        assert!(uses(std::slice::from_ref(&value), "stamp"));
        assert!(!uses(&[value], "group"));
    }
}
