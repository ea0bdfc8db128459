//! Tokens: what is kept of them, how often they are good, and what others than their owners can do.

use std::collections::HashSet;
use std::time::Duration;

use hubline_backplane::memory_fleet;
use hubline_transport::Connections;
use tokio::time::sleep;

use crate::fleet::Fleet;
use crate::hub::{Hub, options};

const UNKNOWN: (u16, Option<&str>, &str) = (404, Some("text/plain"), "No Connection with that ID");
const MANY: (u16, Option<&str>, &str) =
    (503, Some("text/plain"), "Too many connections wait for their transport");

async fn id_of_version_0(hub: &Hub) -> Option<String> {
    let answer = hub.request("POST", "/hub/negotiate", &[], None).await;
    if answer.status != 200 {
        assert_eq!(answer.summary(), MANY);
        return None;
    }
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    Some(body["connectionId"].as_str().unwrap().to_owned())
}

#[tokio::test(start_paused = true)]
async fn who_negotiates_without_end_keeps_nobody_out() {
    let mut hub = Hub::new(options());
    let mut tokens = HashSet::new();
    for _ in 0..2_000 {
        tokens.insert(hub.negotiate().await);
    }
    assert_eq!(tokens.len(), 2_000);
    // Version 0 has its bound, which is nobody else's.
    let first = id_of_version_0(&hub).await.unwrap();
    while id_of_version_0(&hub).await.is_some() {}
    for token in [first, hub.negotiate().await, tokens.into_iter().next().unwrap()] {
        assert_eq!(hub.get(&token).await.status, 200);
        hub.accept().await;
    }
    assert_eq!(id_of_version_0(&hub).await.map(|id| id.len()), Some(22), "one has made room");
    assert_eq!(id_of_version_0(&hub).await, None);
    sleep(Duration::from_secs(17)).await;
    assert!(id_of_version_0(&hub).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_hub_is_told_which_ids_are_secrets() {
    let mut fleet = Fleet::of(2).agreed().await;
    for opened_at in [0, 1] {
        let id = id_of_version_0(&fleet.hubs[0]).await.unwrap();
        let token = fleet.hubs[0].negotiate().await;
        for (token, is_secret) in [(id, true), (token, false)] {
            assert_eq!(fleet.hubs[opened_at].get(&token).await.status, 200);
            let info = fleet.hubs[opened_at].accept().await.info;
            assert_eq!((info.is_id_secret, info.public_id() == info.id), (is_secret, !is_secret));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_good_once_wherever_it_was_claimed() {
    for claimed_at in 0..3 {
        let mut fleet = Fleet::of(3).agreed().await;
        let token = fleet.hubs[0].negotiate().await;
        let stream = fleet.hubs[claimed_at].events(&token).await;
        assert_eq!(stream.status(), 200);
        let connection = fleet.hubs[claimed_at].accept().await;
        for hub in &fleet.hubs {
            assert_eq!(hub.events(&token).await.status(), 409);
        }
        drop((stream, connection));
        tokio::task::yield_now().await;
        for _ in 0..20 {
            for hub in &fleet.hubs {
                assert_eq!(hub.get(&token).await.summary(), UNKNOWN);
                assert_eq!(hub.events(&token).await.status(), 404);
                assert_eq!(hub.post(&token, b"x").await.status, 404);
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_others_a_token_is_good_once_too() {
    let mut fleet = Fleet::of(2).agreed().await;
    let token = fleet.hubs[0].negotiate().await;
    fleet.members.iter().for_each(|member| member.set_connected(false));
    let stream = fleet.hubs[1].events(&token).await;
    assert_eq!(stream.status(), 200);
    drop((stream, fleet.hubs[1].accept().await));
    tokio::task::yield_now().await;
    assert_eq!(fleet.hubs[1].events(&token).await.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_made_costs_redis_little_or_nothing() {
    let fleet = Fleet::of(2).agreed().await;
    let (hub, member) = (&fleet.hubs[1], &fleet.members[1]);
    let of_another_kind = fleet.hubs[0].negotiate().await.replacen('A', "B", 1);
    let mut wrong_tag = fleet.hubs[0].negotiate().await;
    let last = if wrong_tag.ends_with('A') { "Q" } else { "A" };
    wrong_tag.replace_range(wrong_tag.len() - 1.., last);
    let long = "A".repeat(5000);
    // What they have asked until they agreed is done with.
    sleep(Duration::from_secs(5)).await;
    let cost = || (member.sent(), member.notes_read());
    let before = cost();
    for token in ["", "x", "%F0%9F%98%80", &of_another_kind, &wrong_tag, &long] {
        for answer in [hub.get(token).await, hub.post(token, b"x").await, hub.delete(token).await] {
            assert!([400, 404].contains(&answer.status.as_u16()), "{token}");
        }
        assert!([400, 404].contains(&hub.events(token).await.status().as_u16()));
        assert_eq!(cost(), before, "no command for {token}");
    }

    // What may be an id of version 0: whether it is there, and whether it was negotiated.
    for n in 1..=20 {
        let made_up = format!("{n:021}A");
        assert_eq!(hub.get(&made_up).await.summary(), UNKNOWN);
        assert_eq!(cost(), (before.0 + n, before.1 + n));
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(cost(), (before.0 + 20, before.1 + 20), "nobody is told that they are not asked for any more");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_made_up_ids_has_its_pace_and_other_requests_have_none() {
    let mut fleet = Fleet::of(2).agreed().await;
    let token = fleet.hubs[0].negotiate().await;
    assert_eq!(fleet.hubs[0].get(&token).await.status, 200);
    let _connection = fleet.hubs[0].accept().await;
    let (hub, member) = (&fleet.hubs[1], &fleet.members[1]);
    sleep(Duration::from_secs(1)).await;
    let read = member.notes_read();
    let ids: Vec<String> = (0..7000).map(|n| format!("{n:021}A")).collect();
    let flood =
        futures_util::future::join_all(ids.iter().map(|id| async { hub.get(id).await.status.as_u16() }));
    let other = async {
        let answer = hub.post(&token, b"x").await;
        (answer.status, member.notes_read() - read)
    };
    let (answers, (status, read_before)) = tokio::join!(flood, other);
    assert_eq!(status, 200);
    assert!(read_before <= 201, "{read_before}");
    let refused = answers.iter().filter(|status| **status == 503).count();
    assert_eq!((refused, answers.len() - refused), (1799, 5201));
    assert!(answers.iter().all(|status| [404, 503].contains(status)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_outlives_the_key_of_its_token() {
    let members = memory_fleet(3);
    let join = |n: usize| Connections::in_fleet(std::sync::Arc::clone(&members[n]) as _, Vec::new());
    let hubs = [0, 1].map(|n| Hub::sharing(&join(n), options())).into();
    let mut fleet = Fleet { members: members.clone(), hubs }.agreed().await;
    let token = fleet.hubs[0].negotiate().await;
    assert_eq!(fleet.hubs[1].get(&token).await.status, 200);
    let mut connection = fleet.hubs[1].accept().await;
    let key_id = |token: &str| token[1..7].to_owned();
    for rotation in 0..3 {
        members[0].forget_notes();
        // Until everybody has noticed.
        sleep(Duration::from_secs(11)).await;
        assert_ne!(key_id(&fleet.hubs[0].negotiate().await), key_id(&token));
        if rotation == 2 {
            let newcomer = Hub::sharing(&join(2), options());
            fleet.hubs.push(newcomer);
            sleep(Duration::from_secs(1)).await;
        }
        for hub in &fleet.hubs {
            connection.send("x").await.unwrap();
            assert_eq!(hub.get(&token).await.body, "x");
            assert_eq!(hub.post(&token, b"y").await.status, 200);
            assert_eq!(connection.receive().await.unwrap(), "y");
        }
    }
}
