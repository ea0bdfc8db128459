//! One hub that touches every feature there is so far.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hubline::{
    Caller, Clients, ConnectionId, Disconnected, GroupError, Groups, Hub, HubError, SendError, UserId,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

static LOG: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

pub(crate) fn hub() -> Hub {
    let hub =
        Hub::new("Conformance.ConformanceHub").on_connected(on_connected).on_disconnected(on_disconnected);
    targets(values(hub))
        .method("TakeLog", async || lock().drain(..).collect::<Vec<_>>())
        .method("Abort", async |caller: Caller| caller.abort())
        .method("WhoAmI", who_am_i)
        .method("Add", async |a: i32, b: i32| a.wrapping_add(b))
        .method("Nothing", async || ())
        .method("NothingAsync", async || ())
        .method("Null", async || None::<String>)
        .method("Throw", async |message: String| Err::<(), _>(InvalidOperationException(message)))
        .method("ThrowHub", async |message: String| Err::<(), _>(HubError::new(message)))
        .method("ThrowTeapot", async |message: String| {
            Err::<(), _>(HubError::named("TeapotException", message))
        })
        .method("Slow", slow)
        .method("renamed", async || "renamed")
        .method("JoinGroup", join_group)
        .method("LeaveGroup", leave_group)
        .method("AddToGroup", async |groups: Groups, id: ConnectionId, group: String| {
            groups.add(&id, group).await
        })
        .method("RemoveFromGroup", async |groups: Groups, id: ConnectionId, group: String| {
            groups.remove(&id, group).await
        })
}

/// What is reported where the reference server throws an exception of that name.
#[derive(Debug)]
struct InvalidOperationException(String);

impl fmt::Display for InvalidOperationException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidOperationException {}

fn lock() -> std::sync::MutexGuard<'static, VecDeque<String>> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name_of(caller: &Caller) -> String {
    caller.info().query_value("name").unwrap_or_default()
}

async fn on_connected(clients: Clients, caller: Caller) -> Result<(), HubError> {
    lock().push_back(format!("connected {}", name_of(&caller)));
    match caller.info().query_value("onConnected").as_deref() {
        Some("throw") => return Err(InvalidOperationException("refused".into()).into()),
        Some("throwHub") => return Err(HubError::new("refused")),
        Some("send") => clients.caller().send("Receive", ("server", "welcome")).await?,
        Some("slow") => tokio::time::sleep(Duration::from_secs(1)).await,
        _ => {}
    }
    Ok(())
}

async fn on_disconnected(caller: Caller, disconnected: Disconnected) {
    let error = disconnected.error();
    lock().push_back(format!("disconnected {} {}", name_of(&caller), error.as_deref().unwrap_or("-")));
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WhoAmI {
    connection_id: ConnectionId,
    user_identifier: Option<UserId>,
    name: Option<String>,
}

async fn who_am_i(caller: Caller) -> WhoAmI {
    let (connection_id, user_identifier) = (caller.connection_id().clone(), caller.user_id().cloned());
    WhoAmI { connection_id, user_identifier, name: None }
}

async fn slow(milliseconds: u64) -> String {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    format!("slept {milliseconds}")
}

/// Every value that is a type of Rust's or serde_json's own.
fn values(hub: Hub) -> Hub {
    hub.method("EchoString", async |value: Option<String>| value)
        .method("EchoInt", async |value: i32| value)
        .method("EchoLong", async |value: i64| value)
        .method("EchoDouble", async |value: f64| value)
        .method("EchoFloat", async |value: f32| value)
        .method("EchoBool", async |value: bool| value)
        .method("EchoNullableInt", async |value: Option<i32>| value)
        .method("EchoPerson", async |value: Option<Person>| value)
        .method("EchoInts", async |value: Option<Vec<i32>>| value)
        .method("EchoAny", async |value: Box<RawValue>| value)
        .method("SampleLong", async || 1i64 << 53)
        .method("SampleDouble", async || 1.5)
        .method("SampleWholeDouble", async || 3.0)
        .method("SampleFloat", async || 0.1f32)
        .method("SampleDictionaryIntKey", async || BTreeMap::from([(1, "one")]))
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Person {
    name: Option<String>,
    age: i32,
    email: Option<String>,
    tags: Option<Vec<String>>,
    scores: Option<BTreeMap<String, i32>>,
}

async fn join_group(groups: Groups, caller: Caller, group: String) -> Result<(), GroupError> {
    groups.add(caller.connection_id(), group).await
}

async fn leave_group(groups: Groups, caller: Caller, group: String) -> Result<(), GroupError> {
    groups.remove(caller.connection_id(), group).await
}

type Sent = Result<(), SendError>;

fn targets(hub: Hub) -> Hub {
    hub.method("SendAll", async |clients: Clients, caller: Caller, text: String| -> Sent {
        clients.all().send("Receive", (caller.connection_id(), text)).await
    })
    .method("SendOthers", async |clients: Clients, caller: Caller, text: String| -> Sent {
        clients.others().send("Receive", (caller.connection_id(), text)).await
    })
    .method("SendCaller", async |clients: Clients, caller: Caller, text: String| -> Sent {
        clients.caller().send("Receive", (caller.connection_id(), text)).await
    })
    .method(
        "SendAllExcept",
        async |clients: Clients, caller: Caller, ids: Vec<ConnectionId>, text: String| -> Sent {
            clients.all_except(ids).send("Receive", (caller.connection_id(), text)).await
        },
    )
    .method("SendClient", async |clients: Clients, caller: Caller, id: ConnectionId, text: String| -> Sent {
        clients.client(&id).send("Receive", (caller.connection_id(), text)).await
    })
    .method(
        "SendClients",
        async |clients: Clients, caller: Caller, ids: Vec<ConnectionId>, text: String| -> Sent {
            clients.clients(ids).send("Receive", (caller.connection_id(), text)).await
        },
    )
    .method("SendGroup", async |clients: Clients, caller: Caller, group: String, text: String| -> Sent {
        clients.group(group).send("Receive", (caller.connection_id(), text)).await
    })
    .method(
        "SendGroups",
        async |clients: Clients, caller: Caller, groups: Vec<String>, text: String| -> Sent {
            clients.groups(groups).send("Receive", (caller.connection_id(), text)).await
        },
    )
    .method(
        "SendGroupExcept",
        async |clients: Clients,
               caller: Caller,
               group: String,
               ids: Vec<ConnectionId>,
               text: String|
               -> Sent {
            clients.group_except(group, ids).send("Receive", (caller.connection_id(), text)).await
        },
    )
    .method(
        "SendOthersInGroup",
        async |clients: Clients, caller: Caller, group: String, text: String| -> Sent {
            clients.others_in_group(group).send("Receive", (caller.connection_id(), text)).await
        },
    )
    .method("SendUser", async |clients: Clients, caller: Caller, user: UserId, text: String| -> Sent {
        clients.user(&user).send("Receive", (caller.connection_id(), text)).await
    })
    .method("SendUsers", async |clients: Clients, caller: Caller, users: Vec<UserId>, text: String| -> Sent {
        clients.users(users).send("Receive", (caller.connection_id(), text)).await
    })
    .method("SendPersonToAll", async |clients: Clients, person: Person| -> Sent {
        clients.all().send("ReceivePerson", (person,)).await
    })
    .method("SendAny", async |clients: Clients, value: serde_json::Value| -> Sent {
        clients.all().send("ReceiveAny", (value,)).await
    })
    .method("SendNone", async |clients: Clients| -> Sent { clients.all().send("ReceiveNone", ()).await })
    .method("SendMany", async |clients: Clients| -> Sent {
        clients.all().send("ReceiveMany", (1, "two", None::<()>, true, 4.5, [6, 7], 2)).await
    })
    .method("Burst", async |clients: Clients, caller: Caller, count: u32, text: String| -> Sent {
        for n in 0..count {
            clients.all().send("Receive", (caller.connection_id(), format!("{text}{n}"))).await?;
        }
        Ok(())
    })
    .method(
        "BurstTo",
        async |clients: Clients, caller: Caller, id: ConnectionId, count: u32, text: String| -> Sent {
            for n in 0..count {
                clients.client(&id).send("Receive", (caller.connection_id(), format!("{text}{n}"))).await?;
            }
            Ok(())
        },
    )
}
