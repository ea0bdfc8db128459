//! Whether instances are configured alike.

use std::collections::{BTreeMap, BTreeSet};

use super::instances::{Instance, count};
use super::report::Report;
use crate::check::Compared;

const STEP: &str = "Configuration";

/// Keys that are each instance's own affair, by how they begin.
const OWN: [&str; 12] = [
    "ApplicationName",
    "CONDUIT_SKIP_DATABASE_INIT",
    "contentRoot",
    "Database:SkipMigrations",
    "HTTP_PORTS",
    "HTTPS_PORTS",
    "Kestrel:Certificates:",
    "Logging:",
    "Management:Urls",
    "Redis:ClientName",
    "urls",
    "Urls",
];

/// Compares codes, which say nothing but which values are equal.
pub(super) fn compare(known: &[Instance], report: &mut Report) {
    let mut codes: Vec<(&Instance, &String, &BTreeMap<String, String>)> = Vec::new();
    for instance in known {
        match &instance.about.configuration {
            Compared::Codes { key, codes: values } => codes.push((instance, key, values)),
            Compared::Alone if known.len() == 1 => {}
            Compared::Alone => {
                let cure = "set ConnectionStrings:RedisSignalR to that of the others";
                report.failed(STEP, format!("{} has no Redis and serves alone", instance.url), cure);
            }
            Compared::Unavailable(why) => {
                let text = format!(
                    "{} cannot be compared: Redis does not say the key of the comparison: {why}",
                    instance.url
                );
                report.failed(STEP, text, "compare again once its Redis answers");
            }
        }
    }
    let keys: BTreeSet<&String> = codes.iter().map(|(_, key, _)| *key).collect();
    if keys.len() > 1 {
        let (first, other) = (codes[0].0, codes.iter().find(|(_, key, _)| *key != codes[0].1));
        let other = other.map_or("", |(instance, ..)| &instance.url);
        let cure = "ConnectionStrings:RedisSignalR, its defaultDatabase, Redis:InstanceName and SignalR:ChannelPrefix have to be the same; \
                    if they are, Redis has lost its data since one of them started: start it anew";
        report.failed(STEP, format!("{} and {other} do not share their keys on Redis", first.url), cure);
        return;
    }
    if let [(_, _, first), _, ..] = &codes[..] {
        let names = codes.iter().flat_map(|(_, _, codes)| codes.keys()).collect::<BTreeSet<_>>();
        let differing: Vec<_> =
            names.into_iter().filter(|name| is_shared(name) && differs(&codes, name)).collect();
        if differing.is_empty() {
            let keys = first.keys().filter(|name| is_shared(name)).count();
            report.passed(
                STEP,
                format!("{} of {} are the same", count(keys, "key"), count(codes.len(), "instance")),
            );
        }
        for name in differing {
            let text = format!("{name} differs: {}", groups(&codes, name).join(" | "));
            report.failed(STEP, text, format!("hubline config, with the variables of each of them, shows it and where it comes from: {name}"));
        }
    } else if known.len() == 1 {
        report.passed(STEP, "of one instance alone, so there is nothing to compare");
    }
}

fn is_shared(name: &str) -> bool {
    !OWN.iter().any(|own| name.get(..own.len()).is_some_and(|start| start.eq_ignore_ascii_case(own)))
}

fn differs(codes: &[(&Instance, &String, &BTreeMap<String, String>)], name: &str) -> bool {
    codes.iter().any(|(_, _, values)| values.get(name) != codes[0].2.get(name))
}

/// Addresses of those with the same value together.
fn groups(codes: &[(&Instance, &String, &BTreeMap<String, String>)], name: &str) -> Vec<String> {
    let mut groups: BTreeMap<Option<&String>, Vec<&str>> = BTreeMap::new();
    for (instance, _, values) in codes {
        groups.entry(values.get(name)).or_default().push(&instance.url);
    }
    groups.into_values().map(|urls| urls.join(" ")).collect()
}
