//! A message from every instance to every other one and to itself, over every transport.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout, timeout_at};

use super::client::{Client, Refusal, Transport};
use super::http::Http;
use super::instances::{Instance, count, milliseconds};
use super::redis::Listening;
use super::report::Report;
use crate::check::{NAME, random};

const STEP: &str = "Messages";
const CHANNELS: &str = "Channels";
/// For connecting.
const PATIENCE: Duration = Duration::from_secs(10);
/// For the messages: many times what they take where they come at all.
const DELIVERY: Duration = Duration::from_secs(5);
/// Ways that are named one by one.
const LIMIT_NAMED: usize = 6;

/// Who takes part.
struct Participant<'a> {
    url: &'a str,
    transport: Transport,
    client: Client,
}

/// What has come to a participant: the number of the sender, and how long it took.
type Arrived = Vec<(usize, Duration)>;

/// Sends, and tells what came, over which channels of Redis.
pub(super) async fn check(http: &Http, known: &[Instance], redis: Option<&Listening>, report: &mut Report) {
    let run = format!("{:032x}", random());
    let listener = match redis {
        Some(redis) => Some(redis.listen(&run).await),
        None => None,
    };
    let mut participants = match join(http, known, &run, report).await {
        Ok(participants) => participants,
        Err(why) => {
            for step in [STEP, CHANNELS] {
                let cure = "--admin-key names one of the scope write or full, or the variable Admin__ApiKey";
                report.left_out(step, format!("left out: {why}"), cure);
            }
            return;
        }
    };
    let listening = match redis {
        Some(redis) => redis.instances().await,
        None => None,
    };
    let arrived = exchange(&mut participants, &run).await;
    tell(&participants, &arrived, report);
    match listener {
        None => report.left_out(
            CHANNELS,
            "left out",
            "--redis names the Redis to listen to, or ConnectionStrings:RedisSignalR",
        ),
        Some(Err(why)) => report.failed(
            CHANNELS,
            format!("cannot be listened to: {why}"),
            "its user needs SUBSCRIBE on these channels",
        ),
        Some(Ok(mut listener)) => {
            let seen = listener.seen(participants.len()).await;
            let prefix = redis.map(Listening::prefix).unwrap_or_default();
            tell_of_channels((seen, participants.len()), prefix, listening, known, report);
        }
    }
    join_all(participants.into_iter().map(|participant| timeout(PATIENCE, participant.client.close()))).await;
}

/// Connects to all over all transports.
///
/// # Errors
/// The key may not do that anywhere; why.
async fn join<'a>(
    http: &Http,
    known: &'a [Instance],
    run: &str,
    report: &mut Report,
) -> Result<Vec<Participant<'a>>, String> {
    let pairs =
        known.iter().flat_map(|instance| Transport::ALL.map(|transport| (instance.url.as_str(), transport)));
    let joining = pairs.map(async |(url, transport)| {
        let joined = timeout(PATIENCE, Client::join(http, url, transport, run)).await;
        let joined = joined.unwrap_or_else(|_| {
            Err(Refusal::Failed(anyhow::anyhow!("no connection within {} s", PATIENCE.as_secs())))
        });
        (url, transport, joined)
    });
    let joined = join_all(joining).await;
    if let [(.., Err(Refusal::Key(why))), ..] = &joined[..]
        && joined.iter().all(|(.., joined)| matches!(joined, Err(Refusal::Key(_))))
    {
        return Err(why.clone());
    }
    let mut participants = Vec::new();
    for (url, transport, joined) in joined {
        match joined {
            Ok(client) => participants.push(Participant { url, transport, client }),
            Err(Refusal::NotOffered) => {
                report.passed(STEP, format!("{url} offers no {transport}, as SignalR:Transports says"));
            }
            Err(Refusal::Key(why)) => {
                let cure = "all instances need the same admin keys";
                report.failed(STEP, format!("{url} over {transport}: {why}"), cure);
            }
            Err(Refusal::Failed(error)) => {
                let cure = "its log says why; a proxy in between has to pass the transport on";
                report.failed(STEP, format!("{url} over {transport}: {error:#}"), cure);
            }
        }
    }
    Ok(participants)
}

/// Has every participant send once, and collects what each receives until it has everything.
async fn exchange(participants: &mut [Participant<'_>], run: &str) -> Vec<Arrived> {
    let (begun, all) = (Instant::now(), participants.len());
    let give_up = begun + DELIVERY;
    let each = participants.iter_mut().enumerate().map(async |(number, participant)| {
        let mut arrived = Arrived::new();
        let exchanging = async {
            participant.client.send(run, &number.to_string()).await?;
            let mut missing: BTreeSet<usize> = (0..all).collect();
            while !missing.is_empty() {
                let senders = participant.client.received().await?;
                let senders = senders.iter().filter_map(|sender| sender.parse().ok());
                arrived.extend(
                    senders.filter(|sender| missing.remove(sender)).map(|sender| (sender, begun.elapsed())),
                );
            }
            anyhow::Ok(())
        };
        // What has not come by then, or before the connection ended, is told as missing.
        _ = timeout_at(give_up, exchanging).await;
        arrived
    });
    join_all(each).await
}

fn tell(participants: &[Participant<'_>], arrived: &[Arrived], report: &mut Report) {
    let expected = participants.len() * participants.len();
    if expected == 0 {
        return;
    }
    let came: usize = arrived.iter().map(Vec::len).sum();
    let slowest = arrived.iter().flatten().map(|(_, took)| *took).max().unwrap_or_default();
    let transports: BTreeSet<Transport> =
        participants.iter().map(|participant| participant.transport).collect();
    let instances: BTreeSet<&str> = participants.iter().map(|participant| participant.url).collect();
    let what = format!(
        "{came} of {} arrived, between {} over {}",
        count(expected, "message"),
        count(instances.len(), "address"),
        transports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    );
    if came == expected {
        report.passed(STEP, format!("{what}, the last after {}", milliseconds(slowest)));
        return;
    }
    let missing = missing(participants, arrived);
    let named = missing.iter().take(LIMIT_NAMED).cloned().collect::<Vec<_>>().join("; ");
    let more = match missing.len().saturating_sub(LIMIT_NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let cure = "instances hear each other only over the same Redis with the same SignalR:ChannelPrefix and names of hubs: compare their logs";
    report.failed(STEP, format!("{what}; missing {named}{more}"), cure);
}

/// From where to where nothing came: between two addresses at all, or else by transport.
fn missing(participants: &[Participant<'_>], arrived: &[Arrived]) -> BTreeSet<String> {
    let ways = |to: usize| {
        let senders: BTreeSet<usize> = arrived[to].iter().map(|(sender, _)| *sender).collect();
        let ways = participants.iter().enumerate();
        ways.map(move |(from, sender)| (sender, senders.contains(&from))).collect::<Vec<_>>()
    };
    let receivers = || participants.iter().enumerate();
    let crossed: BTreeSet<(&str, &str)> = receivers()
        .flat_map(|(to, receiver)| {
            ways(to).into_iter().filter(|(_, came)| *came).map(|(sender, _)| (sender.url, receiver.url))
        })
        .collect();
    let all = receivers()
        .flat_map(|(to, receiver)| ways(to).into_iter().map(move |(sender, came)| (sender, receiver, came)));
    let lost =
        all.filter(|(.., came)| !came).map(|(from, to, _)| match crossed.contains(&(from.url, to.url)) {
            true => format!("from {} ({}) to {} ({})", from.url, from.transport, to.url, to.transport),
            false => format!("all from {} to {}", from.url, to.url),
        });
    lost.collect()
}

fn tell_of_channels(
    (seen, sent): (usize, usize),
    prefix: &str,
    listening: Option<u64>,
    known: &[Instance],
    report: &mut Report,
) {
    let ids: BTreeSet<&str> = known.iter().map(|instance| instance.about.instance.as_str()).collect();
    let listen = match listening {
        Some(listening) => format!(
            ", to which {} listen, {} of them asked",
            count(usize::try_from(listening).unwrap_or(usize::MAX), "instance"),
            ids.len()
        ),
        None => String::new(),
    };
    let text =
        format!("{seen} of {} were seen on the channels '{prefix}{NAME}:'{listen}", count(sent, "message"));
    let cure = "instances have to use this Redis, with this channel prefix: compare the line each says at its start, 'SignalR configured with'";
    match seen >= sent && listening.is_none_or(|listening| listening >= ids.len() as u64) && sent > 0 {
        true => report.passed(CHANNELS, text),
        false => report.failed(CHANNELS, text, cure),
    }
}
