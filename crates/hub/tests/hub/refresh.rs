//! Clients that refresh their authentication.
//!
//! The clock is paused, so what would wait for ever is found by a ping in place of what should come.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use hubline_hub::{Caller, Clients, Disconnected, Hub, HubContext, HubError, HubOptions, State};
use hubline_identity::{Policy, Principal};
use hubline_pipe::{
    Accepted, CloseCode, CloseOutcome, ConnectionHandler, Frame, Pipe, PipeEnd, Resumer, resumption,
};
use hubline_protocol::negotiate::TransportKind;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::client::{ACCEPTED, Client, accepted, call, info, result, settled, start, start_with};

/// A pipe whose principal the test refreshes.
struct Refreshed {
    pipe: Box<dyn Pipe>,
    principals: mpsc::Receiver<Option<Arc<Principal>>>,
    expires: Expires,
}

/// When the authentication ends.
type Expires = Arc<Mutex<Option<Instant>>>;

impl Pipe for Refreshed {
    fn expires(&self) -> Option<Instant> {
        *self.expires.lock().unwrap()
    }

    fn poll_principal(&mut self, cx: &mut Context<'_>) -> Poll<Option<Arc<Principal>>> {
        match self.principals.poll_recv(cx) {
            Poll::Ready(Some(principal)) => Poll::Ready(principal),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>> {
        self.pipe.poll_receive(cx, input)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>> {
        self.pipe.poll_send(cx, frames)
    }

    fn close(self: Box<Self>, code: CloseCode) -> Pin<Box<dyn Future<Output = CloseOutcome> + Send>> {
        self.pipe.close(code)
    }
}

/// What refreshes the principal of a [`Refreshed`] pipe.
struct Refresher {
    principals: mpsc::Sender<Option<Arc<Principal>>>,
    expires: Expires,
}

impl Refresher {
    /// The same user, with this role now.
    fn refresh(&self, role: &str) {
        self.principals.try_send(Some(ada(role))).unwrap();
    }

    fn expires_in(&self, seconds: u64) {
        *self.expires.lock().unwrap() = Some(Instant::now() + Duration::from_secs(seconds));
    }
}

fn ada(role: &str) -> Arc<Principal> {
    let mut ada = Principal::of_user("ada");
    ada.roles = vec![role.into()];
    Arc::new(ada)
}

/// A connection of ada the nurse, before its handshake.
fn opened() -> (Accepted, Client, Refresher) {
    let (mut accepted, client) = accepted(info("a"), 64);
    accepted.info.principal = Some(ada("Nurse"));
    let (send, principals) = mpsc::channel(8);
    let expires = Expires::default();
    accepted.pipe = Box::new(Refreshed { pipe: accepted.pipe, principals, expires: Arc::clone(&expires) });
    (accepted, client, Refresher { principals: send, expires })
}

async fn connect(hub: &HubContext) -> (Client, Refresher) {
    let (accepted, mut client, refresher) = opened();
    tokio::spawn(hub.run(accepted));
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    (client, refresher)
}

async fn connect_stateful(hub: &HubContext) -> (Client, Refresher, Resumer) {
    let (mut accepted, mut client, refresher) = opened();
    let (resumer, resumable) = resumption();
    accepted.resumable = Some(resumable);
    tokio::spawn(hub.run(accepted));
    client.send(r#"{"protocol":"json","version":2}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    (client, refresher, resumer)
}

/// Opens for one call that waits at it.
type Gate = Arc<Notify>;

fn roles(caller: &Caller) -> String {
    let user = caller.user_id().unwrap();
    caller.principal().map(|principal| format!("{} {user}", principal.roles.join(","))).unwrap_or_default()
}

fn hub(gate: &Gate) -> Hub<Gate> {
    Hub::with_state("Test", Arc::clone(gate))
        .method("Roles", async |caller: Caller| roles(&caller))
        .method("Wait", async |State(gate): State<Gate>| gate.notified().await)
        .method("Doctors", async || "doctor")
        .authorize_method("Doctors", Policy::authenticated().role("Doctor"))
}

/// Tells the client of each refresh.
fn telling(gate: &Gate) -> Hub<Gate> {
    hub(gate).on_authentication_refreshed(async |clients: Clients, caller: Caller| {
        clients.caller().send("Refreshed", (roles(&caller),)).await
    })
}

fn parallel(limit: usize) -> HubOptions {
    let mut options = HubOptions::default();
    options.maximum_parallel_invocations_per_client = limit;
    options
}

fn told(roles: &str) -> String {
    format!(r#"{{"type":1,"target":"Refreshed","arguments":["{roles} ada"]}}␞"#)
}

fn roles_are(id: u32, roles: &str) -> String {
    result(id, &format!("\"{roles} ada\""))
}

#[tokio::test(start_paused = true)]
async fn what_begins_afterwards_sees_the_new_principal_and_the_hub_is_told_once() {
    let hub = start(telling(&Gate::default()));
    let (mut client, refresher) = connect(&hub).await;
    client.send(&[call(1, "Roles", ""), call(2, "Doctors", "")].concat()).await;
    assert_eq!(client.next().await, roles_are(1, "Nurse"));
    assert!(client.next().await.contains("because user is unauthorized"));
    refresher.refresh("Doctor");
    client.send(&[call(3, "Roles", ""), call(4, "Doctors", "")].concat()).await;
    assert_eq!(client.next().await, told("Doctor"));
    assert_eq!(client.next().await, roles_are(3, "Doctor"));
    assert_eq!(client.next().await, result(4, "\"doctor\""));
    // A refresh by nobody, of whom no user id is known any more.
    refresher.principals.try_send(None).unwrap();
    client.send(&call(5, "Doctors", "")).await;
    assert_eq!(client.next().await, r#"{"type":1,"target":"Refreshed","arguments":[""]}␞"#);
    assert!(client.next().await.contains("because user is unauthorized"));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_before_the_handshake_is_not_told() {
    let hub = start(telling(&Gate::default()));
    let (accepted, mut client, refresher) = opened();
    refresher.refresh("Doctor");
    tokio::spawn(hub.run(accepted));
    client.send(&["{\"protocol\":\"json\",\"version\":1}␞".to_owned(), call(1, "Roles", "")].concat()).await;
    assert_eq!(client.next().await, ACCEPTED);
    assert_eq!(client.next().await, roles_are(1, "Doctor"));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_while_the_connection_is_made_comes_before_the_calls() {
    let gate = Gate::default();
    let hub = start(
        hub(&gate)
            .on_connected(async |State(gate): State<Gate>| gate.notified().await)
            .on_authentication_refreshed(async |clients: Clients, caller: Caller| {
                clients.caller().send("Refreshed", (roles(&caller),)).await
            }),
    );
    let (mut client, refresher) = connect(&hub).await;
    client.send(&call(1, "Roles", "")).await;
    refresher.refresh("Doctor");
    gate.notify_one();
    assert_eq!(client.next().await, told("Doctor"));
    assert_eq!(client.next().await, roles_are(1, "Doctor"));
}

#[tokio::test(start_paused = true)]
async fn the_hub_is_told_behind_what_runs_and_waits_already() {
    let gate = Gate::default();
    let hub = start(telling(&gate));
    let (mut client, refresher) = connect(&hub).await;
    client.send(&[call(1, "Wait", ""), call(2, "Doctors", ""), call(3, "Roles", "")].concat()).await;
    // Behind the call that waits, as the recorded server has it; the third one is not read yet.
    settled(&hub, &mut client).await;
    refresher.refresh("Matron");
    settled(&hub, &mut client).await;
    refresher.refresh("Doctor");
    settled(&hub, &mut client).await;
    gate.notify_one();
    assert_eq!(client.next().await, result(1, "null"));
    assert_eq!(client.next().await, result(2, "\"doctor\""));
    assert_eq!(client.next().await, told("Doctor"));
    assert_eq!(client.next().await, told("Doctor"));
    assert_eq!(client.next().await, roles_are(3, "Doctor"));
}

#[tokio::test(start_paused = true)]
async fn calls_that_come_after_a_refresh_that_waits_wait_behind_it() {
    let gate = Gate::default();
    let hub = start(telling(&gate));
    let (mut client, refresher) = connect(&hub).await;
    client.send(&call(1, "Wait", "")).await;
    settled(&hub, &mut client).await;
    refresher.refresh("Doctor");
    settled(&hub, &mut client).await;
    client.send(&[call(2, "Roles", ""), call(3, "Nope", "")].concat()).await;
    settled(&hub, &mut client).await;
    gate.notify_one();
    assert_eq!(client.next().await, result(1, "null"));
    assert_eq!(client.next().await, told("Doctor"));
    assert_eq!(client.next().await, roles_are(2, "Doctor"));
    assert!(client.next().await.contains("Method does not exist"));
}

#[tokio::test(start_paused = true)]
async fn it_takes_one_of_the_places_for_calls() {
    let gate = Gate::default();
    let slow = hub(&gate).on_authentication_refreshed(async |State(gate): State<Gate>, clients: Clients| {
        clients.caller().send("Begun", ()).await?;
        gate.notified().await;
        Ok::<_, HubError>(())
    });
    let hub = start_with(slow, parallel(3));
    let (mut client, refresher) = connect(&hub).await;
    let begun = r#"{"type":1,"target":"Begun","arguments":[]}␞"#;
    // Two places are taken: it runs beside them, and the next call finds none.
    client.send(&[call(1, "Wait", ""), call(2, "Wait", "")].concat()).await;
    settled(&hub, &mut client).await;
    refresher.refresh("Doctor");
    assert_eq!(client.next().await, begun);
    client.send(&call(3, "Roles", "")).await;
    settled(&hub, &mut client).await;
    gate.notify_one();
    assert_eq!(client.next().await, result(1, "null"));
    assert_eq!(client.next().await, roles_are(3, "Doctor"));
    // Three are taken: it waits for one.
    client.send(&call(4, "Wait", "")).await;
    settled(&hub, &mut client).await;
    refresher.refresh("Matron");
    settled(&hub, &mut client).await;
    gate.notify_one();
    assert_eq!(client.next().await, result(2, "null"));
    assert_eq!(client.next().await, begun);
    // The first of the callbacks, the call, the second one.
    for _ in 0..3 {
        gate.notify_one();
    }
    assert_eq!(client.next().await, result(4, "null"));
    client.send(&call(5, "Roles", "")).await;
    assert_eq!(client.next().await, roles_are(5, "Matron"));
}

#[tokio::test(start_paused = true)]
async fn its_failure_and_its_panic_leave_the_connection_alone() {
    async fn failing(caller: Caller) -> Result<(), HubError> {
        assert!(roles(&caller) == "Doctor ada", "on purpose");
        Err(HubError::new("no"))
    }
    let hub = start(hub(&Gate::default()).on_authentication_refreshed(failing));
    let (mut client, refresher) = connect(&hub).await;
    for (id, role) in [(1, "Doctor"), (2, "Panic"), (3, "Doctor")] {
        refresher.refresh(role);
        client.send(&call(id, "Roles", "")).await;
        assert_eq!(client.next().await, roles_are(id, role));
    }
}

#[tokio::test(start_paused = true)]
async fn it_cannot_ask_for_results() {
    let hub = start(hub(&Gate::default()).on_authentication_refreshed(async |clients: Clients| {
        let asked = clients.caller().invoke::<String>("Ask", ("?",)).await;
        clients.caller().send("Error", (asked.unwrap_err().to_string(),)).await
    }));
    let (mut client, refresher) = connect(&hub).await;
    refresher.refresh("Doctor");
    let text = "Client results inside OnConnectedAsync Hub methods are not allowed.";
    let error = format!(r#"{{"type":1,"target":"Error","arguments":["{text}"]}}␞"#);
    assert_eq!(client.next().await, error);
}

#[tokio::test(start_paused = true)]
async fn what_still_waits_when_the_client_leaves_is_not_told() {
    let (log, mut logged) = mpsc::channel(4);
    let gate = Gate::default();
    let opened = Arc::clone(&gate);
    let hub = start(
        Hub::with_state("Test", log)
            .method("Wait", move || {
                let gate = Arc::clone(&opened);
                async move { gate.notified().await }
            })
            .on_authentication_refreshed(async |State(log): State<mpsc::Sender<&'static str>>| {
                _ = log.send("refreshed").await;
            })
            .on_disconnected(async |State(log): State<mpsc::Sender<&'static str>>| {
                _ = log.send("disconnected").await;
            }),
    );
    let (mut client, refresher) = connect(&hub).await;
    client.send(&call(1, "Wait", "")).await;
    settled(&hub, &mut client).await;
    refresher.refresh("Doctor");
    client.send("{\"type\":7}␞").await;
    client.until_closed().await;
    gate.notify_one();
    drop(hub);
    assert_eq!(logged.recv().await, Some("disconnected"));
    assert_eq!(logged.recv().await, None);
}

/// Reads pings until something else comes.
async fn not_a_ping(client: &mut Client) -> String {
    loop {
        let next = client.next().await;
        if next != "{\"type\":6}␞" {
            return next;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_moves_the_end_of_the_authentication() {
    let hub = start(telling(&Gate::default()));
    let (accepted, mut client, refresher) = opened();
    refresher.expires_in(10);
    let begin = Instant::now();
    tokio::spawn(hub.run(accepted));
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    refresher.expires_in(100);
    refresher.refresh("Doctor");
    assert_eq!(client.next().await, told("Doctor"));
    assert_eq!(not_a_ping(&mut client).await, r#"{"type":7,"allowReconnect":true}␞"#);
    assert_eq!(begin.elapsed().as_secs(), 100);
    assert_eq!(hub.statistics().closed["authentication_expired"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_moves_the_end_of_the_authentication_to_an_earlier_time_too() {
    let hub = start(telling(&Gate::default()));
    let (mut accepted, mut client, refresher) = opened();
    accepted.info.transport = TransportKind::LongPolling;
    refresher.expires_in(1000);
    let begin = Instant::now();
    tokio::spawn(hub.run(accepted));
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    refresher.expires_in(5);
    client.send(&call(1, "Roles", "")).await;
    assert_eq!(client.next().await, roles_are(1, "Nurse"));
    assert_eq!(client.next().await, r#"{"type":7,"allowReconnect":true}␞"#);
    assert_eq!(begin.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_away_has_its_newer_principal_once_it_is_back() {
    let hub = start(telling(&Gate::default()));
    let (client, _refresher, resumer) = connect_stateful(&hub).await;
    drop(client);
    let permit = resumer.request().await.unwrap();
    let (accepted, mut client, refresher) = opened();
    refresher.refresh("Doctor");
    permit.finish(accepted);
    client.send(&["{\"type\":9,\"sequenceId\":1}␞".to_owned(), call(1, "Roles", "")].concat()).await;
    assert_eq!(client.next().await, "{\"type\":9,\"sequenceId\":1}␞");
    assert_eq!(client.next().await, told("Doctor"));
    assert_eq!(client.next().await, roles_are(1, "Doctor"));
}

#[tokio::test(start_paused = true)]
async fn a_principal_that_the_application_refuses_ends_a_connection_that_was_away() {
    let (log, mut logged) = mpsc::channel(1);
    let hub = start(Hub::with_state("Test", log).on_disconnected(
        async |State(log): State<mpsc::Sender<String>>, disconnected: Disconnected| {
            let error = disconnected.error();
            _ = log.send(format!("{}, {error:?}", disconnected.reason())).await;
        },
    ));
    let (client, _refresher, resumer) = connect_stateful(&hub).await;
    drop(client);
    resumer.request().await.unwrap().abort();
    assert_eq!(logged.recv().await.unwrap(), "the application refused the newer principal, None");
    assert_eq!(hub.statistics().closed["refresh_refused"], 1);
    assert!(resumer.request().await.is_err());
}
