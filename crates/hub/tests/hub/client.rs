//! A client over a pipe in memory.

use hubline_backplane::InProcess;
use hubline_hub::{Hub, HubContext, HubOptions};
use hubline_pipe::{Accepted, CloseCode, ConnectionHandler, ConnectionInfo, MemoryClient, memory};
use hubline_protocol::negotiate::TransportKind;
use tokio_util::task::TaskTracker;

pub(crate) const ACCEPTED: &str = "{}␞";

pub(crate) struct Client(pub(crate) MemoryClient);

impl Client {
    /// Opens a connection of that id to the hub, before its handshake.
    pub(crate) fn open(hub: &HubContext, id: &str) -> Self {
        Self::with_room_for(hub, id, 64)
    }

    pub(crate) fn with_room_for(hub: &HubContext, id: &str, frames: usize) -> Self {
        let (accepted, client) = accepted(info(id), frames);
        tokio::spawn(hub.run(accepted));
        client
    }

    pub(crate) async fn connect(hub: &HubContext, id: &str) -> Self {
        Self::connect_as(hub, info(id)).await
    }

    pub(crate) async fn connect_as(hub: &HubContext, info: ConnectionInfo) -> Self {
        let (accepted, mut client) = accepted(info, 64);
        tokio::spawn(hub.run(accepted));
        client.send(r#"{"protocol":"json","version":1}␞"#).await;
        assert_eq!(client.next().await, ACCEPTED);
        client
    }

    pub(crate) async fn send(&self, text: &str) {
        self.0.send(text.replace('␞', "\u{1e}")).await;
    }

    pub(crate) async fn next(&mut self) -> String {
        let frame = self.0.receive().await.expect("the server sends something");
        String::from_utf8(frame.to_vec()).unwrap().replace('\u{1e}', "␞")
    }

    /// Reads to the end.
    pub(crate) async fn until_closed(&mut self) {
        while self.0.receive().await.is_some() {}
    }

    pub(crate) async fn closed(&mut self) -> Option<CloseCode> {
        assert_eq!(self.0.receive().await, None);
        self.0.close_code()
    }
}

/// A connection as a transport hands it over, and its client.
pub(crate) fn accepted(info: ConnectionInfo, frames: usize) -> (Accepted, Client) {
    let (pipe, client) = memory(frames);
    (Accepted { pipe, info, resumable: None }, Client(client))
}

pub(crate) fn info(id: &str) -> ConnectionInfo {
    ConnectionInfo { path: "/hub".into(), ..ConnectionInfo::new(id, TransportKind::WebSockets) }
}

pub(crate) fn start<S>(hub: Hub<S>) -> HubContext {
    start_with(hub, HubOptions::default())
}

pub(crate) fn start_with<S>(hub: Hub<S>, options: HubOptions) -> HubContext {
    HubContext::start(hub, options, &InProcess, None, TaskTracker::new())
}

/// Waits until the connection has dealt with everything that came, as far as it can.
pub(crate) async fn settled(hub: &HubContext, client: &mut Client) {
    hub.clients().all().send("Settled", ()).await.unwrap();
    assert_eq!(client.next().await, r#"{"type":1,"target":"Settled","arguments":[]}␞"#);
}

/// An invocation of a method with these arguments.
pub(crate) fn call(id: u32, method: &str, arguments: &str) -> String {
    format!(r#"{{"type":1,"invocationId":"{id}","target":"{method}","arguments":[{arguments}]}}␞"#)
}

/// Its completion.
pub(crate) fn result(id: u32, value: &str) -> String {
    format!(r#"{{"type":3,"invocationId":"{id}","result":{value}}}␞"#)
}

/// Its completion if it failed.
pub(crate) fn failed(id: &str, text: &str) -> String {
    format!(r#"{{"type":3,"invocationId":"{id}","error":"{text}"}}␞"#)
}

/// An invocation of a method that takes streams of the client.
pub(crate) fn upload(id: u32, method: &str, arguments: &str, streams: &str) -> String {
    format!(
        r#"{{"type":1,"invocationId":"{id}","target":"{method}","arguments":[{arguments}],"streamIds":[{streams}]}}␞"#
    )
}

/// An invocation of a streaming method.
pub(crate) fn stream(id: &str, method: &str, arguments: &str) -> String {
    format!(r#"{{"type":4,"invocationId":"{id}","target":"{method}","arguments":[{arguments}]}}␞"#)
}

/// One item of a stream, in either direction.
pub(crate) fn item(id: &str, value: &str) -> String {
    format!(r#"{{"type":2,"invocationId":"{id}","item":{value}}}␞"#)
}

/// The good end of a stream, in either direction.
pub(crate) fn end(id: &str) -> String {
    format!(r#"{{"type":3,"invocationId":"{id}"}}␞"#)
}

/// A cancelled invocation.
pub(crate) fn cancel(id: &str) -> String {
    format!(r#"{{"type":5,"invocationId":"{id}"}}␞"#)
}
