//! What instances say of themselves: how they are, which version they run, and what time it is there.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::{Method, StatusCode};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::Instant;

use super::NEEDS_KEY;
use super::http::Http;
use super::report::Report;
use crate::check::{About, INSTANCE};
use crate::paths::HEALTH;

/// Farthest that clocks may be apart beyond what is not known for sure: tokens and negotiations of one instance are looked at by others.
const CLOCKS_APART: Duration = Duration::from_secs(2);

/// An instance that has said what it is.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) url: String,
    pub(super) about: About,
    /// How far its clock is ahead of ours, in milliseconds.
    ahead: f64,
    /// Half a round trip, so much the last may be wrong.
    uncertainty: f64,
}

/// Asks all for `/health`; returns those that answer at all.
pub(super) async fn health(http: &Http, urls: &[String], report: &mut Report) -> Vec<String> {
    const STEP: &str = "Health";
    let ask = async |url: &String| {
        let begun = Instant::now();
        let answer = http.whole(Method::GET, &format!("{url}{HEALTH}"), &[], String::new()).await;
        (answer, begun.elapsed())
    };
    let answers = join_all(urls.iter().map(ask)).await;
    let mut living = Vec::new();
    for (url, (answer, took)) in urls.iter().zip(answers) {
        let (status, body) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let problem = format!("{error:#}");
                let cure = unanswered(&problem);
                report.failed(STEP, format!("{url} does not answer: {problem}"), cure);
                continue;
            }
        };
        living.push(url.clone());
        let said: Value = serde_json::from_str(&body).unwrap_or_default();
        match (status, said["status"].as_str()) {
            (StatusCode::OK, Some("Healthy")) => {
                report.passed(STEP, format!("{url} is healthy, after {}", milliseconds(took)));
            }
            (_, Some(word)) => {
                report.failed(STEP, format!("{url} is {word}{}", parts(&said)), cure_of(&said))
            }
            (StatusCode::BAD_REQUEST, None) => {
                report.failed(
                    STEP,
                    format!("{url} answers 400"),
                    "AllowedHosts of the instance has to list this host",
                );
            }
            (status, None) => {
                let cure = "what answers there is no Hubline; name its instances, or a load balancer that passes /health on";
                report.failed(STEP, format!("{url} answers {status}"), cure);
            }
        }
    }
    living
}

/// What to do where there is no answer.
fn unanswered(problem: &str) -> &'static str {
    if problem.contains("CaUsedAsEndEntity") {
        "its certificate is that of an authority: make one for a server, `openssl req -x509` with -addext basicConstraints=critical,CA:FALSE"
    } else if problem.contains("certificate") {
        "its certificate has to be for this name and of an authority that this machine trusts; SSL_CERT_FILE names others"
    } else {
        "is the instance started, and is this its address? Its log says where it listens"
    }
}

/// The parts that are not connected.
fn parts(said: &Value) -> String {
    let names = ["backplane", "directory", "tokenKeys", "database"];
    let apart = names.iter().filter(|name| said[**name]["connected"] == false);
    let apart: Vec<_> = apart.copied().collect();
    if apart.is_empty() { String::new() } else { format!(": not connected are {}", apart.join(", ")) }
}

fn cure_of(said: &Value) -> &'static str {
    match (&said["backplane"]["connected"], &said["database"]["connected"]) {
        (Value::Bool(false), _) => {
            "is Redis up, and reached from there? ConnectionStrings:RedisSignalR names it; the log says why not"
        }
        (_, Value::Bool(false)) => {
            "is the database up, and reached from there? ConnectionStrings:Database names it; the log says why not"
        }
        _ => "the log of the instance says why; Management:Key shows it to operators in /health",
    }
}

/// Asks all what they are. Whoever has no key is told once what is left out.
pub(super) async fn about(http: &Http, urls: &[String], report: &mut Report) -> Vec<Instance> {
    let answers = join_all(urls.iter().map(|url| ask(http, url))).await;
    let needs_key = |answer: &Result<Instance, Refusal>| matches!(answer, Err(Refusal::Key(_)));
    if !http.has_key() && answers.iter().any(needs_key) {
        for step in NEEDS_KEY {
            report.left_out(
                step,
                "left out: needs an admin key",
                "--admin-key names one, or the variable Admin__ApiKey",
            );
        }
        return Vec::new();
    }
    let mut known = Vec::new();
    for (url, answer) in urls.iter().zip(answers) {
        match answer {
            Ok(instance) => known.push(instance),
            Err(Refusal::Key(why)) => {
                let cure = "the key has to be one of Admin__ApiKey of the instances, or of /api/admin/keys with the scope write or full";
                report.failed("Instances", format!("{url} refuses the admin key: {why}"), cure);
            }
            Err(Refusal::Other(why)) => {
                let cure =
                    "is it a Hubline of this version, and does everything in front of it pass /hubline on?";
                report.failed("Instances", format!("{url} does not say what it is: {why}"), cure);
            }
        }
    }
    known
}

enum Refusal {
    Key(String),
    Other(String),
}

async fn ask(http: &Http, url: &str) -> Result<Instance, Refusal> {
    let other = |error: anyhow::Error| Refusal::Other(format!("{error:#}"));
    let address = format!("{url}{INSTANCE}");
    // The first may have to wait for what the instance asks of Redis; the next is a fair measure of the clock.
    let mut best: Option<Instance> = None;
    for _ in 0..2 {
        let (begun, before) = (Instant::now(), SystemTime::now());
        let (status, body) = http.whole(Method::GET, &address, &[], String::new()).await.map_err(other)?;
        let half = begun.elapsed().as_secs_f64() * 1_000.0 / 2.0;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS)
        {
            let problem: Value = serde_json::from_str(&body).unwrap_or_default();
            return Err(Refusal::Key(problem["detail"].as_str().unwrap_or("it says not why").to_owned()));
        }
        super::http::ensure_ok(status, &body).map_err(other)?;
        let about: About = serde_json::from_str(&body).map_err(|error| other(error.into()))?;
        let sent = before.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0;
        let ahead = about.time - (sent + half);
        if best.as_ref().is_none_or(|best| half < best.uncertainty) {
            best = Some(Instance { url: url.to_owned(), about, ahead, uncertainty: half });
        }
    }
    best.ok_or_else(|| Refusal::Other("no answer".to_owned()))
}

/// Which versions there are, and how many instances.
pub(super) fn versions(known: &[Instance], report: &mut Report) {
    const STEP: &str = "Versions";
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut ids: Vec<&str> = Vec::new();
    for instance in known {
        versions.entry(&instance.about.version).or_default().push(&instance.url);
        ids.push(&instance.about.instance);
    }
    ids.sort_unstable();
    ids.dedup();
    let same = if ids.len() < known.len() { ", so some are of one instance" } else { "" };
    let counted = format!("{} at {}{same}", count(ids.len(), "instance"), count(known.len(), "address"));
    match versions.len() {
        1 => report.passed(STEP, format!("{counted}, version {}", known[0].about.version)),
        _ => {
            let each = versions.iter().map(|(version, urls)| format!("{version} at {}", urls.join(" and ")));
            let text = format!("{counted}, versions {}", each.collect::<Vec<_>>().join(", "));
            report.failed(
                STEP,
                text,
                "finish the rollout: for the time of an upgrade two versions may serve together",
            );
        }
    }
}

/// Whether clocks agree.
pub(super) fn clocks(known: &[Instance], report: &mut Report) {
    const STEP: &str = "Clocks";
    let last = known.iter().max_by(|a, b| a.ahead.total_cmp(&b.ahead));
    let first = known.iter().min_by(|a, b| a.ahead.total_cmp(&b.ahead));
    let (Some(first), Some(last)) = (first, last) else { return };
    let (apart, uncertainty) = (last.ahead - first.ahead, first.uncertainty + last.uncertainty);
    if apart - uncertainty > CLOCKS_APART.as_secs_f64() * 1_000.0 {
        let text = format!(
            "{} is {:.1} s ahead of {} (± {:.1} ms)",
            last.url,
            apart / 1_000.0,
            first.url,
            uncertainty
        );
        report.failed(
            STEP,
            text,
            "synchronize the clocks of the machines (NTP): tokens and negotiations are judged by them",
        );
        return;
    }
    let from_here = known.iter().map(|instance| instance.ahead.abs()).fold(0.0, f64::max);
    let each_other = match known.len() {
        1 => String::new(),
        _ => format!("{apart:.1} ms apart (± {uncertainty:.1} ms), "),
    };
    let widest = known.iter().map(|instance| instance.uncertainty).fold(0.0, f64::max);
    report.passed(
        STEP,
        format!("{each_other}{from_here:.1} ms from this machine's at most (± {widest:.1} ms)"),
    );
}

pub(super) fn milliseconds(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1_000.0)
}

/// A number of things, named by the word for one.
pub(super) fn count(number: usize, one: &str) -> String {
    let many = if one.ends_with('s') { "es" } else { "s" };
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}{many}") }
}
