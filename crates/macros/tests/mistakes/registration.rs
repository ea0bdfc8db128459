//! What the compiler says where a function is registered, and where clients are sent to.

use futures_util::stream::{self, Stream};
use hubline::{Clients, Hub, HubError, State};

#[derive(Clone)]
struct App;

struct Message;

fn is_not_async(a: i32, b: i32) -> i32 {
    a + b
}

async fn takes_the_state(State(_): State<App>) {}

async fn count(to: u32) -> u32 {
    to
}

fn countdown(from: u32) -> impl Stream<Item = u32> {
    stream::iter((0..from).rev())
}

fn hubs(app: App) {
    _ = Hub::new("Test").method("IsNotAsync", is_not_async);
    _ = Hub::new("Test").method("TakesTheState", takes_the_state);
    _ = Hub::new("Test").with_state(app);
    _ = Hub::new("Test").method("Countdown", countdown);
    _ = Hub::new("Test").stream("Count", count);
    _ = Hub::new("Test").method("Called", count(1));
}

async fn sends(clients: Clients) -> Result<(), HubError> {
    clients.all().send("Receive", "text").await?;
    clients.all().send("Receive", (Message,)).await?;
    clients.caller().invoke::<Message>("Ask", ()).await?;
    Ok(())
}

fn main() {}
