//! What `#[hubline::method]` has the compiler find in the types of a function.

use std::cell::Cell;
use std::sync::Arc;

use hubline::{Clients, HubError, Binding, FromInvocation};
use hubline_macros::method;

/// As `axum::extract::State`, imported by mistake.
mod extract {
    pub struct State<T>(pub T);
}

#[derive(Clone)]
struct App;

struct Message {
    text: String,
}

#[method]
async fn takes_what_cannot_be_deserialized(clients: Clients, message: Message) -> Result<(), HubError> {
    Ok(clients.all().send("Receive", (message.text,)).await?)
}

#[method]
async fn returns_what_cannot_be_serialized() -> Message {
    Message { text: String::new() }
}

#[method]
async fn returns_a_result_of_what_cannot_be_serialized() -> Result<Message, HubError> {
    Ok(Message { text: String::new() })
}

#[method]
async fn takes_another_state(extract::State(_): extract::State<App>) {}

struct NotClone;

#[method]
async fn takes_a_state_that_cannot_be_cloned(hubline::State(_): hubline::State<NotClone>) {}

struct NoError;

#[method]
async fn fails_with_what_is_no_error() -> Result<u32, NoError> {
    Err(NoError)
}

#[method]
async fn fails_with_what_is_not_sync() -> Result<u32, NotSync> {
    Err(NotSync(Cell::new(1)))
}

#[derive(Debug)]
struct NotSync(Cell<u32>);

impl std::fmt::Display for NotSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.get())
    }
}

impl std::error::Error for NotSync {}

struct Tenant;

impl FromInvocation<App> for Tenant {
    fn from_invocation(_: &mut Binding<'_, App>) -> Result<Self, hubline_protocol::BindError> {
        Ok(Self)
    }
}

#[method]
async fn takes_something_of_a_state_that_is_not_named(_tenant: Tenant) {}

#[method(state = App)]
async fn takes_something_of_a_state_that_is_named(_tenant: Tenant) {}

#[method]
async fn passes_on_what_is_no_error() -> Result<u32, HubError> {
    let number: Result<u32, NoError> = Err(NoError);
    Ok(number?)
}

#[method]
async fn forgets_to_wait(clients: Clients) -> Result<(), HubError> {
    clients.all().send("Receive", ())?;
    Ok(())
}

#[method]
async fn takes_a_reference_in_a_box(text: Arc<Message>) -> usize {
    text.text.len()
}

fn main() {}
