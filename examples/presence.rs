//! Who is in the room, on whichever instance?
//!
//! Each client that enters a room gets a stream: first who is there, then everybody who comes and goes, also when
//! their instance dies. Two instances over one Redis, or one alone:
//!
//!     cargo run -p hubline --example presence -- 5000 localhost:6379
//!     cargo run -p hubline --example presence -- 5001 localhost:6379
//!     curl http://localhost:5001/online
//!
//! The client's side, with `@microsoft/signalr`:
//!
//! ```js
//! await connection.invoke('Enter', 'kitchen');
//! connection.stream('Watch', 'kitchen').subscribe({ next: console.log, complete() {}, error: console.error });
//! ```

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use futures_util::stream::{Stream, StreamExt};
use hubline::directory::{GroupEvent, InProcess, Member, Scope};
use hubline::redis::RedisBackplane;
use hubline::{Caller, Directory, GroupError, Groups, Hub, HubContext, Server, UserId};
use serde::Serialize;
use tokio::net::TcpListener;

/// What happened in a room, as clients get it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Change {
    /// What was known before is void.
    Present(Vec<Option<UserId>>),
    Came(Option<UserId>),
    Went(Option<UserId>),
}

impl From<GroupEvent> for Change {
    fn from(event: GroupEvent) -> Self {
        let user = |member: Member| member.user;
        match event {
            GroupEvent::Snapshot(members) => Self::Present(members.into_iter().map(user).collect()),
            GroupEvent::Joined(member) => Self::Came(member.user),
            GroupEvent::Left(member) => Self::Went(member.user),
        }
    }
}

async fn enter(groups: Groups, caller: Caller, room: String) -> Result<(), GroupError> {
    groups.add(caller.connection_id(), room).await
}

/// Ends when the client cancels it or goes away.
async fn watch(directory: Directory, room: String) -> impl Stream<Item = Change> {
    directory.watch_group(room.into()).await.map(Change::from)
}

/// Outside of hub methods the directory comes from the hub's context.
async fn online(State(hub): State<HubContext>) -> String {
    let Some(directory) = hub.directory() else { return "nobody keeps count\n".to_owned() };
    let users = directory.user_count().await;
    match users.scope {
        Scope::Fleet => format!("{} users are online\n", users.value),
        Scope::ThisInstance => format!("{} users are online here, Redis is away\n", users.value),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().as_deref().unwrap_or("5000").parse()?;
    let server = match arguments.next() {
        Some(redis) => {
            let backplane = RedisBackplane::connect(redis.parse()?).await?;
            Server::builder().directory(backplane.directory()).backplane(backplane).build()
        }
        None => Server::builder().directory(InProcess::default()).build(),
    };
    let hub = Hub::new("Rooms")
        // Nobody signs in here, so everybody is who they are connected as.
        .user_id(|connection| Some(connection.id.as_str().into()))
        .method("Enter", enter)
        .stream("Watch", watch);
    let rooms = server.add_hub(hub);
    let count = get(online).with_state(rooms.context().clone());
    let listener = TcpListener::bind(("localhost", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/online", count).merge(rooms.map("/rooms"))).await?;
    Ok(())
}
