//! What `#[hubline::method]` sees in the text of a function.

use hubline::{Clients, HubError};
use hubline_macros::method;

struct App;

#[method]
fn is_not_async(a: i32, b: i32) -> i32 {
    a + b
}

#[method]
async fn borrows_its_text(text: &str) -> usize {
    text.len()
}

#[method]
async fn borrows_a_slice(numbers: &[i64]) -> i64 {
    numbers.iter().sum()
}

#[method]
async fn borrows_what_the_server_gives(clients: &Clients) -> Result<(), HubError> {
    Ok(clients.all().send("Receive", ()).await?)
}

impl App {
    #[method]
    async fn has_a_self(&self, text: String) -> usize {
        text.len()
    }
}

#[method]
async fn takes_the_state_of_axum(axum::extract::State(_): axum::extract::State<App>) {}

#[method]
async fn takes_anything(text: impl Into<String>) -> usize {
    text.into().len()
}

#[method]
#[rustfmt::skip]
async fn takes_too_much(_: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _thirteenth: u8) {}

#[method(App)]
async fn names_its_state_without_saying_so() {}

#[method]
struct IsNoFunction;

fn main() {}
