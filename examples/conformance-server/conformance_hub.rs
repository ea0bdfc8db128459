//! One hub that touches every feature there is.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hubline::{
    AuthenticationRefresh, Caller, Clients, ConnectionId, Disconnected, Groups, Hub, HubError, Naming,
    Policy, Principal, UserId,
};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use crate::{cancellation, client_results, streams, targets, values};

static LOG: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

pub(crate) fn hub() -> Hub {
    let hub = Hub::new("Conformance.ConformanceHub")
        .naming(Naming::DotNet)
        .on_connected(on_connected)
        .on_disconnected(on_disconnected)
        .on_authentication_refreshed(on_authentication_refreshed)
        .method("TakeLog", async || lock().drain(..).collect::<Vec<_>>())
        .method("Abort", async |caller: Caller| caller.abort())
        .method("WhoAmI", who_am_i)
        .method("Principal", async |caller: Caller| principal(&caller))
        .method("SignedIn", async |caller: Caller| {
            caller.user_id().map(ToString::to_string).unwrap_or_default()
        })
        .authorize_method("SignedIn", Policy::authenticated())
        .method("DoctorsOnly", async || "doctor")
        .authorize_method("DoctorsOnly", Policy::authenticated().role("Doctor"));
    let hub = cancellation::add(streams::add(calls(hub)));
    client_results::add(targets::add(values::add(hub)))
}

fn calls(hub: Hub) -> Hub {
    hub.method("Add", async |a: i32, b: i32| a.wrapping_add(b))
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
        .method("Try", attempt)
}

/// What is reported where the reference server throws an exception of that name.
#[derive(Debug)]
pub(crate) struct InvalidOperationException(pub(crate) String);

impl fmt::Display for InvalidOperationException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidOperationException {}

/// Adds a line to what `TakeLog` returns.
pub(crate) fn log(line: String) {
    lock().push_back(line);
}

fn lock() -> parking_lot::MutexGuard<'static, VecDeque<String>> {
    LOG.lock()
}

pub(crate) fn name_of(caller: &Caller) -> String {
    caller.info().query_value("name").unwrap_or_default()
}

/// Whether a newer principal is let in.
pub(crate) fn asked(refresh: &AuthenticationRefresh) -> bool {
    let named = |who: &Option<Arc<Principal>>| {
        who.as_ref().and_then(|who| who.name.clone()).unwrap_or_else(|| "-".into())
    };
    let is_refused = refresh.principal.as_ref().is_some_and(|who| who.has_role("Refused"));
    let (previous, newer) = (named(&refresh.previous), named(&refresh.principal));
    let name = refresh.query_value("name").unwrap_or_default();
    log(format!("asked {name} {previous} to {newer}{}", if is_refused { ", refused" } else { "" }));
    !is_refused
}

async fn on_connected(clients: Clients, caller: Caller) -> Result<(), HubError> {
    log(format!("connected {}", name_of(&caller)));
    match caller.info().query_value("onConnected").as_deref() {
        Some("throw") => return Err(InvalidOperationException("refused".into()).into()),
        Some("throwHub") => return Err(HubError::new("refused")),
        Some("send") => clients.caller().send("Receive", ("server", "welcome")).await?,
        Some("ask") => {
            if let Err(error) = clients.caller().invoke::<Option<String>>("Ask", ("?",)).await {
                log(format!("ask {}", HubError::from(error)));
            }
        }
        Some("slow") => tokio::time::sleep(Duration::from_secs(1)).await,
        _ => {}
    }
    Ok(())
}

async fn on_authentication_refreshed(clients: Clients, caller: Caller) -> Result<(), HubError> {
    let (name, principal) = (name_of(&caller), principal(&caller));
    log(format!("refreshed {name} {principal}"));
    match caller.info().query_value("onRefreshed").as_deref() {
        Some("throw") => return Err(InvalidOperationException("refused".into()).into()),
        Some("send") => {
            clients.caller().send("Receive", ("server", format!("refreshed {principal}"))).await?;
        }
        Some("ask") => {
            if let Err(error) = clients.caller().invoke::<Option<String>>("Ask", ("?",)).await {
                log(format!("ask {name} {}", HubError::from(error)));
            }
        }
        Some("slow") => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            log(format!("slept {name}"));
        }
        _ => {}
    }
    Ok(())
}

async fn on_disconnected(caller: Caller, disconnected: Disconnected) {
    let error = disconnected.error();
    log(format!("disconnected {} {}", name_of(&caller), error.as_deref().unwrap_or("-")));
}

#[derive(Serialize)]
struct WhoAmI {
    connection_id: ConnectionId,
    user_identifier: Option<UserId>,
    name: Option<Box<str>>,
}

async fn who_am_i(caller: Caller) -> WhoAmI {
    WhoAmI {
        connection_id: caller.connection_id().clone(),
        user_identifier: caller.user_id().cloned(),
        name: caller.principal().and_then(|principal| principal.name.clone()),
    }
}

/// The name and the roles of the caller now, and the user that the connection began with.
fn principal(caller: &Caller) -> String {
    let principal = caller.principal();
    let name = principal.as_ref().and_then(|principal| principal.name.as_deref()).unwrap_or("-");
    let roles = principal.as_ref().map(|principal| principal.roles.join(",")).unwrap_or_default();
    format!("{name} [{roles}] as {}", caller.user_id().map_or("-", |user| user.as_str()))
}

async fn slow(milliseconds: u64) -> String {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    format!("slept {milliseconds}")
}

/// Does one of all, group, user, client, join, leave and tells how it went and how long it took.
async fn attempt(
    clients: Clients,
    groups: Groups,
    caller: Caller,
    operation: String,
    target: String,
    text: String,
) -> Result<String, HubError> {
    let started = Instant::now();
    let arguments = (caller.connection_id(), &text);
    let outcome: Result<(), HubError> = match operation.as_str() {
        "all" => clients.all().send("Receive", arguments).await.map_err(Into::into),
        "group" => clients.group(target).send("Receive", arguments).await.map_err(Into::into),
        "user" => clients.user(target).send("Receive", arguments).await.map_err(Into::into),
        "client" => clients.client(target).send("Receive", arguments).await.map_err(Into::into),
        "join" => groups.add(target, text).await.map_err(Into::into),
        "leave" => groups.remove(target, text).await.map_err(Into::into),
        _ => return Err(HubError::new(format!("unknown operation {operation}"))),
    };
    let outcome = outcome.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
    Ok(format!("{} ms {outcome}", started.elapsed().as_millis()))
}
