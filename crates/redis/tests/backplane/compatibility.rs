//! What stands on the wire, against the recordings of ASP.NET Core in `conformance/redis/vectors.json`.

use futures_util::StreamExt;
use hubline_backplane::{Frames, Publication, Subject, Target};
use hubline_protocol::{ConnectionId, Encoded, HubProtocol};
use hubline_redis::RedisBackplane;
use hubline_redis::wire::{Ack, AnswerTo, Completion, GroupCommand, Invocation, Messages};
use hubline_testkit::RedisServer;
use serde_json::Value;

use crate::instance::{attach, group, next, publication};
use crate::monitor::monitor;

const VECTORS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/redis/vectors.json"));
const HUB: &str = "Conformance.ConformanceHub";

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

struct Published {
    name: String,
    channel: String,
    template: String,
    payload: Vec<u8>,
    decoded: Value,
}

fn published() -> Vec<Published> {
    let vectors = vectors();
    let scenarios = ["recorded", "recordedJsonOnly", "recordedMessagePackOnly"]
        .into_iter()
        .flat_map(|member| array(&vectors[member]));
    let commands = scenarios
        .flat_map(|scenario| array(&scenario["commands"]).iter().map(move |command| (scenario, command)));
    let published =
        commands.filter(|(_, command)| command["command"] == "PUBLISH").map(|(scenario, command)| {
            Published {
                name: text(&scenario["name"]).to_owned(),
                channel: text(&command["channel"]).to_owned(),
                template: text(&command["template"]).to_owned(),
                payload: hex(&command["payload"]),
                decoded: command["decoded"].clone(),
            }
        });
    published.collect()
}

#[test]
fn recorded_payloads_hold_both_ways() {
    let published = published();
    assert!(published.len() > 50);
    for Published { name, template, payload, decoded, .. } in &published {
        if template.contains(":internal:groups") {
            let command = GroupCommand::decode(payload).unwrap();
            let expected = GroupCommand {
                id: number(&decoded["id"]),
                server_name: text(&decoded["server"]),
                action: u8::try_from(number(&decoded["action"])).unwrap().into(),
                group: text(&decoded["group"]),
                connection_id: text(&decoded["connection"]),
            };
            assert_eq!(command, expected, "{name}");
            assert_eq!(&expected.encode(), payload, "{name}");
        } else if template.contains(":internal:ack:") {
            let ack = Ack { id: number(&decoded["ack"]) };
            assert_eq!(Ack::decode(payload), Ok(ack), "{name}");
            assert_eq!(&ack.encode(), payload, "{name}");
        } else if template.contains(":internal:return:") {
            let completion = Completion::decode(payload).unwrap();
            assert_eq!(completion.protocol, text(&decoded["protocol"]), "{name}");
            if let Some(text) = decoded["completion"]["text"].as_str() {
                assert_eq!(completion.message, with_separator(text), "{name}");
            }
            assert_eq!(&completion.encode(), payload, "{name}");
        } else {
            let invocation = Invocation::decode(payload).unwrap();
            let json = decoded["messages"]["json"]["text"].as_str().map(with_separator);
            assert_eq!(invocation.messages.json, json.as_deref(), "{name}");
            let message_pack = invocation.messages.message_pack;
            assert_eq!(message_pack.is_some(), decoded["messages"].get("messagepack").is_some(), "{name}");
            let expected = Invocation {
                excluded: array(&decoded["excluded"]).iter().map(|id| ConnectionId::from(text(id))).collect(),
                messages: Messages { json: json.as_deref(), message_pack },
                answer_to: decoded
                    .get("invocationId")
                    .map(|id| AnswerTo { invocation_id: text(id), channel: text(&decoded["returnChannel"]) }),
                id: None,
                trace_parent: None,
            };
            assert_eq!(invocation, expected, "{name}");
            assert_eq!(&expected.encode(), payload, "{name}");
        }
    }
}

#[test]
fn inbound_payloads_are_read_as_aspnet_core_reads_them() {
    for vector in array(&vectors()["inbound"]) {
        let (channel, payload) = (text(&vector["channel"]), hex(&vector["payload"]));
        let name = format!("{} on {channel}", text(&vector["name"]));
        let effect = text(&vector["effect"]);
        if channel.contains(":internal:groups") {
            assert_eq!(GroupCommand::decode(&payload).is_err(), effect.starts_with("dropped"), "{name}");
        } else if channel.contains(":internal:ack:") {
            assert_eq!(
                Ack::decode(&payload).is_err(),
                !name.contains("unknown id") && !name.contains("two items"),
                "{name}"
            );
        } else if channel.contains(":internal:return:") {
            // What the completion itself holds is for its reader.
            assert_eq!(
                Completion::decode(&payload).is_err(),
                name.contains("empty") || name.contains("one item"),
                "{name}"
            );
        } else {
            assert_eq!(Invocation::decode(&payload).is_err(), effect.starts_with("dropped"), "{name}");
        }
    }
}

/// Every recorded broadcast, sent by this backplane: same channel, same bytes besides the id.
#[tokio::test]
async fn recorded_sends_look_the_same_on_redis() {
    let redis = RedisServer::start().await.unwrap();
    let mut seen = client(&redis).get_async_pubsub().await.unwrap();
    seen.psubscribe("*").await.unwrap();
    let mut seen = seen.into_on_message();
    let backplane = connected(&redis).await;
    let (hub, _delivered) = attach(&backplane, HUB);
    hub.subscribe(group("so that the hub's own channels are confirmed")).await;

    for Published { name, channel, template, payload, decoded } in published() {
        let Some(target) = target(&channel, &template).filter(|_| decoded.get("invocationId").is_none())
        else {
            continue;
        };
        let Invocation { excluded, messages, .. } = Invocation::decode(&payload).unwrap();
        let mut frames = Frames::default();
        for (protocol, body) in
            [(HubProtocol::Json, messages.json), (HubProtocol::MessagePack, messages.message_pack)]
        {
            body.into_iter().for_each(|body| frames.set(protocol, Encoded::copy_from(body)));
        }
        hub.publish(Publication { targets: vec![target], excluded, frames }).await.unwrap();
        let message = seen.next().await.unwrap();
        assert_eq!(message.get_channel_name(), channel, "{name}");
        let sent = Invocation::decode(message.get_payload_bytes()).unwrap();
        assert!(sent.id.is_some(), "{name}");
        assert_eq!(Invocation { id: None, ..sent }.encode(), payload, "{name}");
    }
}

#[tokio::test]
async fn a_nameless_group_is_skipped_among_several_only() {
    let redis = RedisServer::start().await.unwrap();
    let mut seen = client(&redis).get_async_pubsub().await.unwrap();
    seen.psubscribe("*").await.unwrap();
    let mut seen = seen.into_on_message();
    let backplane = connected(&redis).await;
    let (hub, _delivered) = attach(&backplane, HUB);
    hub.subscribe(group("g")).await;
    let groups = |names: &[&str]| names.iter().map(|name| Target::Subject(group(name))).collect();
    for (targets, channels) in [(vec!["g", "", "h", "g"], vec!["g", "h", "g"]), (vec![""], vec![""])] {
        hub.publish(publication(groups(&targets), "x")).await.unwrap();
        for channel in channels {
            assert_eq!(seen.next().await.unwrap().get_channel_name(), format!("conf:{HUB}:group:{channel}"));
        }
    }
}

#[tokio::test]
async fn a_hub_subscribes_its_four_channels_in_order() {
    let redis = RedisServer::start().await.unwrap();
    let mut lines = monitor(&redis).await;
    let backplane = RedisBackplane::connect(
        format!("{},channelPrefix=conf:", redis.connection_string()).parse().unwrap(),
    );
    let backplane = backplane.await.unwrap();
    let (_hub, _delivered) = attach(&backplane, HUB);

    let mut server_names = Vec::new();
    for kind in ["all", "internal:groups", "internal:ack:", "internal:return:"] {
        let line = loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if line.contains("SUBSCRIBE") {
                break line;
            }
        };
        let start = format!("\"SUBSCRIBE\" \"conf:{HUB}:{kind}");
        let (_, rest) = line.split_once(&start).unwrap_or_else(|| panic!("{line} has {start}"));
        server_names.push(rest.trim_end_matches('"').to_owned());
    }
    assert!(server_names[0].is_empty() && server_names[1].is_empty());
    assert!(server_names[2] == server_names[3] && server_names[2].len() > 33, "{server_names:?}");
}

/// Every hand-made payload on its channel; after each the next good message arrives.
#[tokio::test]
async fn garbage_harms_nothing() {
    let redis = RedisServer::start().await.unwrap();
    let mut raw = client(&redis).get_multiplexed_async_connection().await.unwrap();
    let backplane = connected(&redis).await;
    let (hub, mut delivered) = attach(&backplane, HUB);
    let user = Subject::User("ada".into());
    let connections = ["J1", "M1"].map(|id| Subject::Connection(format!("connection-{id}-00000000").into()));
    for subject in [group("g"), user].into_iter().chain(connections) {
        hub.subscribe(subject).await;
    }
    let good = hex(&array(&vectors()["inbound"])[0]["payload"]);
    let acks: Vec<String> =
        redis::cmd("PUBSUB").arg(&["CHANNELS", "*:internal:*"]).query_async(&mut raw).await.unwrap();

    let mut dropped = 0;
    for vector in array(&vectors()["inbound"]) {
        let (name, channel, payload) =
            (text(&vector["name"]), text(&vector["channel"]), hex(&vector["payload"]));
        let channel = match channel.split_once(":internal:") {
            // Acks and answers go to this very instance.
            Some((_, internal)) => {
                let kind = internal.split(':').next().unwrap();
                acks.iter().find(|channel| channel.contains(&format!(":internal:{kind}"))).unwrap().clone()
            }
            None => format!("conf:{channel}"),
        };
        let receivers: i64 =
            redis::cmd("PUBLISH").arg(&channel).arg(&payload).query_async(&mut raw).await.unwrap();
        assert_eq!(receivers, 1, "{name} on {channel}");
        let all = format!("conf:{HUB}:all");
        let _: i64 = redis::cmd("PUBLISH").arg(all).arg(&good).query_async(&mut raw).await.unwrap();
        let effect = text(&vector["effect"]);
        if Invocation::decode(&payload).is_ok() && !channel.contains(":internal:") {
            let (target, excluded, _) = next(&mut delivered).await;
            assert_eq!(target == Target::All, channel.ends_with(":all"), "{name}");
            assert_eq!(excluded.is_empty(), !name.contains("excluded id on"), "{name}");
            assert!(!effect.starts_with("dropped"), "{name}");
        } else {
            dropped += u64::from(!channel.contains(":internal:"));
        }
        assert_eq!(next(&mut delivered).await.0, Target::All, "{name}");
    }
    assert!(dropped > 30 && hubline_backplane::Backplane::statistics(&backplane).garbage >= dropped);
    assert!(delivered.is_empty());
}

async fn connected(redis: &RedisServer) -> RedisBackplane {
    let text = format!("{},channelPrefix=conf:,abortConnect=true", redis.connection_string());
    let backplane = RedisBackplane::connect(text.parse().unwrap()).await.unwrap();
    let mut status = hubline_backplane::Backplane::status(&backplane);
    status.wait_for(|status| *status == hubline_backplane::Status::Connected).await.unwrap();
    backplane
}

fn client(redis: &RedisServer) -> redis::Client {
    redis::Client::open(format!("redis://{}", redis.connection_string())).unwrap()
}

fn target(channel: &str, template: &str) -> Option<Target> {
    let name = |kind: &str| channel.strip_prefix(&format!("conf:{HUB}:{kind}:")).unwrap().to_owned();
    match template {
        "{prefix}{hub}:all" => Some(Target::All),
        "{prefix}{hub}:group:{group}" => Some(Target::Subject(Subject::Group(name("group").into()))),
        "{prefix}{hub}:user:{userId}" => Some(Target::Subject(Subject::User(name("user").into()))),
        "{prefix}{hub}:connection:{connectionId}" => {
            Some(Target::Subject(Subject::Connection(name("connection").into())))
        }
        _ => None,
    }
}

fn with_separator(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\x1e"].concat()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> i32 {
    i32::try_from(value.as_i64().unwrap()).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = text(value).as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
