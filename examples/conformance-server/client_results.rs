//! Asking clients.

use std::time::Duration;

use hubline::{Clients, ConnectionId, Hub, HubError, InvokeError};

pub(crate) fn add(hub: Hub) -> Hub {
    hub.method("AskCaller", async |clients: Clients, question: Option<String>| {
        clients.caller().invoke::<Option<String>>("Ask", (question,)).await
    })
    .method("AskClient", async |clients: Clients, id: ConnectionId, question: Option<String>| {
        told(clients.client(&id).invoke("Ask", (question,)).await)
    })
    .method("AskWithin", async |clients: Clients, id: ConnectionId, milliseconds: u64| {
        let patience = Duration::from_millis(milliseconds);
        told(clients.client(&id).timeout(patience).invoke("Ask", ("within",)).await)
    })
    .method("AskNumber", async |clients: Clients, id: ConnectionId| {
        clients.client(&id).invoke::<i32>("Ask", ("number",)).await
    })
}

/// The answer, or the error as the reference server tells it.
pub(crate) fn told(asked: Result<Option<String>, InvokeError>) -> Option<String> {
    asked.unwrap_or_else(|error| Some(HubError::from(error).to_string()))
}
