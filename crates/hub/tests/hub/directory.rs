//! What hubs report to a session directory, and what their methods learn from it.

use futures_util::stream::{Stream, StreamExt};
use hubline_backplane as backplane;
use hubline_directory::{GroupEvent, HubDirectory, InProcess, Page, SessionDirectory};
use hubline_hub::{Caller, Directory, GroupError, Groups, Hub, HubContext, HubOptions};
use tokio_util::task::TaskTracker;

use crate::client::{Client, call, end, info, item, result, start, stream};

async fn join(groups: Groups, caller: Caller, group: String) -> Result<(), GroupError> {
    groups.add(caller.connection_id(), group).await
}

async fn leave(groups: Groups, caller: Caller, group: String) -> Result<(), GroupError> {
    groups.remove(caller.connection_id(), group).await
}

async fn online(directory: Directory) -> (u64, u64) {
    (directory.connection_count().await.value, directory.user_count().await.value)
}

async fn watch(directory: Directory, group: String) -> impl Stream<Item = String> {
    directory.watch_group(group.into()).await.map(|event| match event {
        GroupEvent::Snapshot(members) => format!("{} members", members.len()),
        GroupEvent::Joined(member) => format!("+{}", member.connection),
        GroupEvent::Left(member) => format!("-{}", member.connection),
    })
}

fn hub() -> Hub {
    Hub::new("Test")
        .user_id(|connection| connection.id.as_str().split_once('@').map(|(user, _)| user.into()))
        .method("Join", join)
        .method("Leave", leave)
        .method("Online", online)
        .stream("Watch", watch)
}

fn with_directory() -> (HubContext, std::sync::Arc<dyn HubDirectory>) {
    let directory = InProcess::default();
    let tasks = TaskTracker::new();
    let hub = HubContext::start(hub(), HubOptions::default(), &backplane::InProcess, Some(&directory), tasks);
    (hub, directory.attach("Test"))
}

#[tokio::test]
async fn methods_see_who_comes_and_goes() {
    let (hub, directory) = with_directory();
    let mut ada = Client::connect(&hub, "ada@1").await;
    let mut again = Client::connect(&hub, "ada@2").await;
    let mut nobody = Client::connect(&hub, "x").await;
    ada.send(&call(1, "Online", "")).await;
    assert_eq!(ada.next().await, result(1, "[3,1]"));

    ada.send(&stream("s", "Watch", r#""room""#)).await;
    assert_eq!(ada.next().await, item("s", r#""0 members""#));
    for (client, id) in [(&mut again, "ada@2"), (&mut nobody, "x")] {
        client.send(&call(1, "Join", r#""room""#)).await;
        assert_eq!(client.next().await, result(1, "null"));
        assert_eq!(ada.next().await, item("s", &format!(r#""+{id}""#)));
    }
    let members = directory.members("room".into(), Page::first(9)).await.value.items;
    assert!(members.iter().map(|member| member.connection.as_str()).eq(["ada@2", "x"]));
    again.send(&call(2, "Leave", r#""room""#)).await;
    assert_eq!(ada.next().await, item("s", r#""-ada@2""#));
    drop(nobody);
    assert_eq!(ada.next().await, item("s", r#""-x""#));
    hub.groups().add("ada@2", "room").await.unwrap();
    assert_eq!(ada.next().await, item("s", r#""+ada@2""#));

    drop((ada, again));
    hubline_directory::conformance::until(0, async || directory.connection_count().await.value).await;
    assert_eq!(directory.member_count("room".into()).await.value, 0);
}

#[tokio::test]
async fn without_a_directory_the_call_fails_and_the_connection_goes_on() {
    let hub = start(hub());
    let mut client = Client::connect_as(&hub, info("c")).await;
    client.send(&call(1, "Online", "")).await;
    assert!(client.next().await.contains("\"error\""));
    client.send(&call(2, "Join", r#""room""#)).await;
    assert_eq!(client.next().await, result(2, "null"));
    client.send(&stream("s", "Watch", r#""room""#)).await;
    assert_ne!(client.next().await, end("s"));
    assert!(hub.directory().is_none());
}
