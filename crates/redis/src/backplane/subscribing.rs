//! The subscribing link: tells Redis what is wanted, and puts what comes into the hubs' inboxes.

use std::sync::Arc;

use redis::Value;
use tokio::time::timeout;

use super::echoes::Arrival;
use super::hub::Delivery;
use super::node::Node;
use super::publishing::Patience;
use super::subscriptions::{Reply, Route, Subscriptions};
use super::wire::PublicationId;
use crate::client::link::{Link, LinkLost, Replies, Writer};

const LIMIT_UNWRITTEN_BYTES: usize = 64 * 1024;

/// Runs until the link is gone.
pub(super) async fn run(link: Link, node: &Node, patience: Patience) -> LinkLost {
    let Link { replies, writer, .. } = link;
    tokio::select! {
        lost = write(writer, &node.subscriptions, patience) => lost,
        lost = read(replies, node) => lost,
    }
}

async fn write(mut writer: Writer, wanted: &Subscriptions, patience: Patience) -> LinkLost {
    let mut commands = Vec::new();
    loop {
        let idle = timeout(patience.keep_alive, wanted.commands(&mut commands, LIMIT_UNWRITTEN_BYTES)).await;
        if idle.is_err() {
            wanted.ping();
        }
        if let Err(error) = writer.write_all(&commands).await {
            return error.into();
        }
        commands.clear();
    }
}

async fn read(mut replies: Replies, node: &Node) -> LinkLost {
    loop {
        match replies.next().await.and_then(Pushed::try_from) {
            Ok(pushed) => take(pushed, node).await,
            Err(lost) => return lost,
        }
    }
}

async fn take(pushed: Pushed, node: &Node) {
    let wanted = &node.subscriptions;
    match pushed {
        Pushed::Message { channel, payload } => {
            wanted.heard(Reply::None);
            match wanted.route(&channel) {
                Some((channel, Route::Hub { hub, to })) => {
                    if let Some(room) = hub.room(payload.len()).await {
                        // From here on nothing waits: what counts as arrived is in the inbox.
                        if arrived(node, &channel, &payload) == Arrival::Deliver {
                            hub.deliver(Delivery::Received { channel, to, payload, room });
                        }
                    }
                }
                Some((_, Route::Raw { name, inbox })) => inbox.put(&name, payload),
                None => {}
            }
        }
        Pushed::Subscribed { channel } => wanted.heard(Reply::Subscribed(&channel)),
        Pushed::Unsubscribed { channel } if wanted.ended(&channel) => wanted.heard(Reply::None),
        Pushed::Unsubscribed { .. } | Pushed::Answer => wanted.heard(Reply::Other),
    }
}

/// Whether the hub gets a message, which may be this instance's own.
fn arrived(node: &Node, channel: &Arc<str>, payload: &[u8]) -> Arrival {
    let mut echoes = node.echoes();
    if !echoes.are_awaited() {
        return Arrival::Deliver;
    }
    match PublicationId::find(payload) {
        Some(id) if id.origin == node.counters.numbering.origin() => {
            if let Some(took) = echoes.measuring.end(channel, id.number) {
                node.counters.latencies.record(took);
            }
            echoes.arrived(channel, id.number)
        }
        _ => Arrival::Deliver,
    }
}

/// What a subscribing link says, in RESP2.
enum Pushed {
    Message {
        channel: String,
        payload: Vec<u8>,
    },
    Subscribed {
        channel: String,
    },
    Unsubscribed {
        channel: String,
    },
    /// To PING.
    Answer,
}

impl TryFrom<Value> for Pushed {
    type Error = LinkLost;

    fn try_from(value: Value) -> Result<Self, LinkLost> {
        let items = match value {
            Value::Array(items) => items,
            Value::SimpleString(pong) if pong == "PONG" => return Ok(Self::Answer),
            Value::ServerError(error) => return Err(LinkLost::refused(&error)),
            other => return Err(LinkLost::Malformed(format!("{other:?} among messages"))),
        };
        let mut items = items.into_iter();
        let (kind, channel, payload) = (items.next(), items.next(), items.next());
        let Some(Value::BulkString(kind)) = kind else {
            return Err(LinkLost::Malformed("a message without a kind".to_owned()));
        };
        match (&*kind, channel, payload) {
            (
                b"message" | b"smessage",
                Some(Value::BulkString(channel)),
                Some(Value::BulkString(payload)),
            ) => Ok(Self::Message { channel: text(channel), payload }),
            (b"subscribe" | b"ssubscribe", Some(Value::BulkString(channel)), _) => {
                Ok(Self::Subscribed { channel: text(channel) })
            }
            (b"unsubscribe" | b"sunsubscribe", Some(Value::BulkString(channel)), _) => {
                Ok(Self::Unsubscribed { channel: text(channel) })
            }
            (b"pong", ..) => Ok(Self::Answer),
            (kind, ..) => Err(LinkLost::Malformed(format!("a message of kind {}", kind.escape_ascii()))),
        }
    }
}

/// Only channels that are text are subscribed to.
fn text(channel: Vec<u8>) -> String {
    String::from_utf8(channel).unwrap_or_default()
}
