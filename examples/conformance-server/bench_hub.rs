//! The smallest hub, for measuring.

use futures_util::stream::{self, Stream};
use hubline::{
    Caller, Clients, ConnectionId, GroupError, Groups, Hub, SendError, Upload, UploadError, UserId,
};

pub(crate) fn hub() -> Hub {
    Hub::new("Conformance.BenchHub")
        .method("Echo", async |value: String| value)
        .method("Broadcast", broadcast)
        .method("Join", join)
        .method("SendToGroup", send_to_group)
        .method("SendToUser", send_to_user)
        .method("SendToConnection", send_to_connection)
        .method("Me", async |caller: Caller| caller.connection_id().clone())
        .stream("Stream", repeat)
        .method("Upload", count)
}

async fn broadcast(clients: Clients, value: String) -> Result<(), SendError> {
    clients.all().send("OnBroadcast", (value,)).await
}

async fn join(groups: Groups, caller: Caller, group: String) -> Result<(), GroupError> {
    groups.add(caller.connection_id(), group).await
}

async fn send_to_group(clients: Clients, group: String, value: String) -> Result<(), SendError> {
    clients.group(group).send("OnGroup", (value,)).await
}

async fn send_to_user(clients: Clients, user: UserId, value: String) -> Result<(), SendError> {
    clients.user(&user).send("OnUser", (value,)).await
}

async fn send_to_connection(clients: Clients, id: ConnectionId, value: String) -> Result<(), SendError> {
    clients.client(&id).send("OnConnection", (value,)).await
}

fn repeat(count: usize, value: String) -> impl Stream<Item = String> {
    stream::iter(std::iter::repeat_n(value, count))
}

async fn count(mut values: Upload<String>) -> Result<u32, UploadError> {
    let mut count = 0;
    while let Some(value) = values.next().await {
        value?;
        count += 1;
    }
    Ok(count)
}
