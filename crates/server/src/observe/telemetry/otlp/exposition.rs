//! The page of the metrics, taken apart again: so there is one place where metrics are named.

/// What the values of a family may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// All series of one name.
#[derive(Debug, PartialEq)]
pub(super) struct Family<'a> {
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) kind: Kind,
    pub(super) samples: Vec<Sample<'a>>,
}

/// One line.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    /// What the line's name has behind the family's, such as `_bucket`.
    pub(super) suffix: &'a str,
    /// As on the page, sorted by nothing.
    pub(super) labels: Vec<(&'a str, String)>,
    pub(super) value: f64,
}

/// Reads OpenMetrics as this program writes it. What is neither counter, gauge nor histogram is a gauge.
pub(super) fn parse(page: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    let mut help = ("", "");
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text.split_once(' ').unwrap_or((text, ""));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|text| text.split_once(' '))
        {
            let kind = match kind {
                "counter" => Kind::Counter,
                "histogram" => Kind::Histogram,
                _ => Kind::Gauge,
            };
            let help = if help.0 == name { help.1 } else { "" };
            families.push(Family { name, help, kind, samples: Vec::new() });
        } else if !line.starts_with('#')
            && let Some(family) = families.last_mut()
            && let Some(sample) = sample(line, family.name)
        {
            family.samples.push(sample);
        }
    }
    families
}

fn sample<'a>(line: &'a str, family: &str) -> Option<Sample<'a>> {
    let rest = line.strip_prefix(family)?;
    let (suffix, rest) = rest.split_at(rest.find(['{', ' '])?);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    // A time and an exemplar may follow.
    let value = rest.split_whitespace().next()?;
    Some(Sample { suffix, labels, value: value.parse().ok()? })
}

/// `name="value",...}`, and what is behind it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, behind) = rest.trim_start_matches(',').split_once("=\"")?;
        let (value, behind) = quoted(behind)?;
        labels.push((name, value));
        rest = behind;
    }
}

/// A text up to its closing quote, and what is behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_taken_apart() {
        let page = "# HELP a_seconds How \\\"long\\\".\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
                    a_seconds_sum{hub=\"x\\\"\\\\,}y\",m=\"\"} 1.5\na_seconds_bucket{hub=\"x\",le=\"+Inf\"} 2\n\
                    # HELP b Things.\n# TYPE b counter\nb_total 7\n# TYPE c info\nc_info{version=\"1\"} 1\n# EOF\n";
        let families = parse(page);
        let names: Vec<_> = families.iter().map(|family| (family.name, family.kind, family.help)).collect();
        assert_eq!(
            names,
            [
                ("a_seconds", Kind::Histogram, "How \\\"long\\\"."),
                ("b", Kind::Counter, "Things."),
                ("c", Kind::Gauge, "")
            ]
        );
        let first = &families[0].samples[0];
        assert_eq!((first.suffix, first.value), ("_sum", 1.5));
        assert_eq!(first.labels, [("hub", "x\"\\,}y".to_owned()), ("m", String::new())]);
        assert_eq!(families[0].samples[1].labels[1], ("le", "+Inf".to_owned()));
        assert_eq!((families[1].samples[0].suffix, families[1].samples[0].value), ("_total", 7.0));
        assert_eq!(families[2].samples[0].suffix, "_info");
    }
}
