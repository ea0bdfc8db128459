//! Futures that are not `Send` and references, which the compiler looks for once everything else is right.

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use hubline::{Clients, Hub, HubError, State};
use hubline_macros::method;

#[method]
async fn keeps_an_rc(clients: Clients) -> Result<(), HubError> {
    let text = Rc::new("text".to_owned());
    clients.all().send("Receive", (&*text.clone(),)).await?;
    drop(text);
    Ok(())
}

#[method]
async fn keeps_a_lock(State(counter): State<Arc<Mutex<u32>>>, clients: Clients) -> u32 {
    let mut counter = counter.lock().unwrap();
    *counter += 1;
    _ = clients.all().send("Counted", ()).await;
    *counter
}

async fn borrows(text: &str) -> usize {
    text.len()
}

fn main() {
    _ = Hub::new("Test").method("Borrows", borrows);
}
