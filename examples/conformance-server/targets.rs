//! Groups and everybody a message can be for.

use std::fmt;

use hubline::value::{Any, Bytes};
use hubline::{Caller, Clients, ConnectionId, GroupName, Groups, Hub, HubError, SendError, UserId};

use crate::values::{Color, Person};

type Sent = Result<(), HubError>;
/// What .NET's framework refuses when it is null, after the call has begun.
type Required<T> = Option<T>;

/// What is reported where the reference server throws an exception of that name.
#[derive(Debug)]
struct ArgumentNullException(&'static str);

impl fmt::Display for ArgumentNullException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value cannot be null. (Parameter '{}')", self.0)
    }
}

impl std::error::Error for ArgumentNullException {}

fn required<T>(argument: Required<T>, name: &'static str) -> Result<T, ArgumentNullException> {
    argument.ok_or(ArgumentNullException(name))
}

pub(crate) fn add(hub: Hub) -> Hub {
    several(groups(everybody(hub)))
        .method("SendPersonToAll", async |clients: Clients, person: Option<Person>| {
            clients.all().send("ReceivePerson", (person,)).await
        })
        .method("SendAny", async |clients: Clients, value: Any| {
            clients.all().send("ReceiveAny", (value,)).await
        })
        .method("SendBytes", async |clients: Clients, value: Option<Bytes>| {
            clients.all().send("ReceiveBytes", (value,)).await
        })
        .method("SendNone", async |clients: Clients| clients.all().send("ReceiveNone", ()).await)
        .method("SendMany", async |clients: Clients| {
            clients.all().send("ReceiveMany", (1, "two", None::<()>, true, 4.5, [6, 7], Color::Blue)).await
        })
        .method("Burst", async |clients: Clients, caller: Caller, count: u32, text: String| {
            for n in 0..count {
                clients.all().send("Receive", (caller.connection_id(), format!("{text}{n}"))).await?;
            }
            Ok::<_, SendError>(())
        })
        .method(
            "BurstTo",
            async |clients: Clients, caller: Caller, id: ConnectionId, count: u32, text: String| {
                for n in 0..count {
                    let text = format!("{text}{n}");
                    clients.client(&id).send("Receive", (caller.connection_id(), text)).await?;
                }
                Ok::<_, SendError>(())
            },
        )
}

fn groups(hub: Hub) -> Hub {
    hub.method("JoinGroup", async |groups: Groups, caller: Caller, group: Required<GroupName>| -> Sent {
        Ok(groups.add(caller.connection_id(), required(group, "groupName")?).await?)
    })
    .method("LeaveGroup", async |groups: Groups, caller: Caller, group: Required<GroupName>| -> Sent {
        Ok(groups.remove(caller.connection_id(), required(group, "groupName")?).await?)
    })
    .method(
        "AddToGroup",
        async |groups: Groups, id: Required<ConnectionId>, group: Required<GroupName>| -> Sent {
            let (id, group) = (required(id, "connectionId")?, required(group, "groupName")?);
            Ok(groups.add(&id, group).await?)
        },
    )
    .method(
        "RemoveFromGroup",
        async |groups: Groups, id: Required<ConnectionId>, group: Required<GroupName>| -> Sent {
            let (id, group) = (required(id, "connectionId")?, required(group, "groupName")?);
            Ok(groups.remove(&id, group).await?)
        },
    )
}

fn everybody(hub: Hub) -> Hub {
    hub.method("SendAll", async |clients: Clients, caller: Caller, text: Option<String>| -> Sent {
        Ok(clients.all().send("Receive", (caller.connection_id(), text)).await?)
    })
    .method("SendOthers", async |clients: Clients, caller: Caller, text: Option<String>| -> Sent {
        Ok(clients.others().send("Receive", (caller.connection_id(), text)).await?)
    })
    .method("SendCaller", async |clients: Clients, caller: Caller, text: Option<String>| -> Sent {
        Ok(clients.caller().send("Receive", (caller.connection_id(), text)).await?)
    })
    .method(
        "SendAllExcept",
        async |clients: Clients,
               caller: Caller,
               ids: Required<Vec<ConnectionId>>,
               text: Option<String>|
               -> Sent {
            let ids = required(ids, "source")?;
            Ok(clients.all_except(ids).send("Receive", (caller.connection_id(), text)).await?)
        },
    )
    .method(
        "SendClient",
        async |clients: Clients, caller: Caller, id: Required<ConnectionId>, text: Option<String>| -> Sent {
            let id = required(id, "connectionId")?;
            Ok(clients.client(&id).send("Receive", (caller.connection_id(), text)).await?)
        },
    )
    .method(
        "SendUser",
        async |clients: Clients, caller: Caller, user: Required<UserId>, text: Option<String>| -> Sent {
            let user = required(user, "userId")?;
            Ok(clients.user(&user).send("Receive", (caller.connection_id(), text)).await?)
        },
    )
    .method(
        "SendGroup",
        async |clients: Clients, caller: Caller, group: Required<GroupName>, text: Option<String>| -> Sent {
            let group = required(group, "groupName")?;
            Ok(clients.group(group).send("Receive", (caller.connection_id(), text)).await?)
        },
    )
}

fn several(hub: Hub) -> Hub {
    hub.method(
        "SendClients",
        async |clients: Clients,
               caller: Caller,
               ids: Required<Vec<ConnectionId>>,
               text: Option<String>|
               -> Sent {
            let ids = required(ids, "source")?;
            Ok(clients.clients(ids).send("Receive", (caller.connection_id(), text)).await?)
        },
    )
    .method(
        "SendGroups",
        async |clients: Clients,
               caller: Caller,
               groups: Required<Vec<String>>,
               text: Option<String>|
               -> Sent {
            let groups = required(groups, "source")?;
            Ok(clients.groups(groups).send("Receive", (caller.connection_id(), text)).await?)
        },
    )
    .method(
        "SendUsers",
        async |clients: Clients,
               caller: Caller,
               users: Required<Vec<UserId>>,
               text: Option<String>|
               -> Sent {
            let users = required(users, "source")?;
            Ok(clients.users(users).send("Receive", (caller.connection_id(), text)).await?)
        },
    )
    .method(
        "SendGroupExcept",
        async |clients: Clients,
               caller: Caller,
               group: Required<GroupName>,
               ids: Required<Vec<ConnectionId>>,
               text: Option<String>|
               -> Sent {
            let (group, ids) = (required(group, "groupName")?, required(ids, "source")?);
            Ok(clients.group_except(group, ids).send("Receive", (caller.connection_id(), text)).await?)
        },
    )
    .method(
        "SendOthersInGroup",
        async |clients: Clients, caller: Caller, group: Required<GroupName>, text: Option<String>| -> Sent {
            let group = required(group, "groupName")?;
            Ok(clients.others_in_group(group).send("Receive", (caller.connection_id(), text)).await?)
        },
    )
}
