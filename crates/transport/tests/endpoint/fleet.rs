//! Requests that land on any instance of a fleet.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::channel::Channel;
use hubline_backplane::{MemoryFleet, memory_fleet};
use hubline_pipe::PipeEnd;
use hubline_transport::{Connections, EndpointOptions};
use tokio::time::{Instant, sleep, timeout};

use crate::gate::Who;
use crate::hub::{Connection, Hub, collect, is_pending, options};

const FOUND: Option<&str> = Some("application/octet-stream");
const TEXT: Option<&str> = Some("text/plain");

pub(crate) struct Fleet {
    pub(crate) members: Vec<Arc<MemoryFleet>>,
    pub(crate) hubs: Vec<Hub>,
}

impl Fleet {
    pub(crate) fn of(instances: usize) -> Self {
        Self::with(instances, options())
    }

    pub(crate) fn with(instances: usize, options: EndpointOptions) -> Self {
        Self::made(instances, |connections| Hub::sharing(connections, options.clone()))
    }

    pub(crate) fn made(instances: usize, mut hub: impl FnMut(&Connections) -> Hub) -> Self {
        let members = memory_fleet(instances);
        let join = |member: &Arc<MemoryFleet>| Connections::in_fleet(Arc::clone(member) as _, Vec::new());
        Self { hubs: members.iter().map(|member| hub(&join(member))).collect(), members }
    }

    /// Waits until all sign with the same key: a token of any is known to all.
    pub(crate) async fn agreed(self) -> Self {
        while !self.has_agreed().await {
            sleep(Duration::from_millis(1)).await;
        }
        self
    }

    async fn has_agreed(&self) -> bool {
        for negotiator in &self.hubs {
            let token = negotiator.negotiate().await;
            for hub in &self.hubs {
                if hub.delete(&token).await.status == 404 {
                    return false;
                }
            }
        }
        true
    }

    /// A long-polling connection that was negotiated on one instance and begun on another.
    async fn polling(&mut self, negotiator: usize, owner: usize) -> (String, Connection) {
        let token = self.hubs[negotiator].negotiate().await;
        assert_eq!(self.hubs[owner].get(&token).await.summary(), (200, FOUND, ""));
        let connection = self.hubs[owner].accept().await;
        (token, connection)
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_of_a_long_polling_client_may_land_anywhere() {
    let mut fleet = Fleet::of(3).agreed().await;
    for (negotiator, owner) in [(0, 0), (0, 1), (1, 2)] {
        let (token, mut connection) = fleet.polling(negotiator, owner).await;
        for round in 0..6 {
            let text = format!("{round}");
            connection.send(&text).await.unwrap();
            let hub = &fleet.hubs[round % 3];
            assert_eq!(hub.get(&token).await.summary(), (200, FOUND, &*text));
            assert_eq!(hub.post(&token, b"posted").await.summary(), (200, TEXT, ""));
            assert_eq!(connection.receive().await.unwrap(), "posted");
        }
        let mut poll = pin!(fleet.hubs[2].get(&token));
        assert!(is_pending(poll.as_mut()).await);
        assert_eq!(fleet.hubs[0].delete(&token).await.summary(), (202, TEXT, ""));
        assert_eq!(connection.receive().await, Err(PipeEnd::InputEnded));
        connection.send("last").await.unwrap();
        assert_eq!(poll.await.summary(), (200, FOUND, "last"));
        connection.close().await;
        assert_eq!(fleet.hubs[1].get(&token).await.summary(), (204, TEXT, ""));
        drop(connection);
        for hub in &fleet.hubs {
            assert_eq!(hub.get(&token).await.status, 404);
            assert_eq!(hub.post(&token, b"x").await.status, 404);
            assert_eq!(hub.delete(&token).await.status, 404);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_takes_posts_from_anywhere() {
    let mut fleet = Fleet::of(3).agreed().await;
    let token = fleet.hubs[0].negotiate().await;
    let stream = fleet.hubs[1].events(&token).await;
    assert_eq!(stream.status(), 200);
    let mut connection = fleet.hubs[1].accept().await;
    for hub in &fleet.hubs {
        assert_eq!(hub.post(&token, b"posted").await.status, 200);
        assert_eq!(connection.receive().await.unwrap(), "posted");
        assert_eq!(hub.events(&token).await.status(), 409, "attached twice");
        assert_eq!(hub.get(&token).await.summary(), (400, TEXT, "Cannot change transports mid-connection"));
        assert_eq!(hub.delete(&token).await.status, 400);
    }
    drop(stream);
    assert_eq!(connection.receive().await, Err(PipeEnd::Lost));
    drop(connection);
    assert_eq!(fleet.hubs[2].post(&token, b"x").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_post_before_the_transport_is_refused_anywhere() {
    let mut fleet = Fleet::of(3).agreed().await;
    let token = fleet.hubs[0].negotiate().await;
    for hub in &fleet.hubs {
        assert_eq!(hub.post(&token, b"handshake").await.summary(), (400, None, ""));
    }
    assert_eq!(fleet.hubs[1].get(&token).await.status, 200);
    fleet.hubs[1].accept().await;
}

#[tokio::test(start_paused = true)]
async fn version_0_needs_no_affinity_either() {
    let mut fleet = Fleet::of(3).agreed().await;
    let answer = fleet.hubs[0].request("POST", "/hub/negotiate", &[], None).await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let id = body["connectionId"].as_str().unwrap();
    assert_eq!(fleet.hubs[1].get(id).await.summary(), (200, FOUND, ""));
    let mut connection = fleet.hubs[1].accept().await;
    assert_eq!(connection.info.id.as_str(), id);
    // Long after its note has gone.
    for _ in 0..10 {
        sleep(Duration::from_secs(10)).await;
        connection.send("x").await.unwrap();
        assert_eq!(fleet.hubs[2].get(id).await.summary(), (200, FOUND, "x"));
        assert_eq!(fleet.hubs[0].post(id, b"y").await.status, 200);
        assert_eq!(connection.receive().await.unwrap(), "y");
    }
}

/// A connection of version 0 that Ada has negotiated on the first instance.
async fn of_version_0(fleet: &Fleet) -> String {
    let answer = fleet.hubs[0].request("POST", "/hub/negotiate", &[], Who::Ada.principal()).await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    body["connectionId"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn in_version_0_the_note_says_whose_a_connection_is() {
    for is_negotiator_gone in [false, true] {
        let mut others = Vec::new();
        let fleet = Fleet::made(2, |connections| {
            others.push(Hub::sharing(connections, options().name("/other")));
            Hub::sharing(connections, options())
        });
        let mut fleet = fleet.agreed().await;
        let id = of_version_0(&fleet).await;
        if is_negotiator_gone {
            fleet.members[0].kill();
        }
        let uri = format!("/hub?id={id}");
        let hub = &fleet.hubs[1];
        assert_eq!(others[1].request("GET", &uri, &[], Who::Ada.principal()).await.status, 404);
        for who in [Who::Bob, Who::Issuer, Who::Nobody] {
            assert_eq!(hub.request("GET", &uri, &[], who.principal()).await.status, 403, "{who:?}");
        }
        assert_eq!(hub.request("GET", &uri, &[], Who::Newer.principal()).await.status, 200);
        fleet.hubs[1].accept().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_negotiators_connection_is_claimed_by_its_user_alone() {
    let mut fleet = Fleet::of(3).agreed().await;
    let token = fleet.hubs[0].negotiate_as(Who::Ada.principal(), "").await;
    fleet.members[0].kill();
    let uri = format!("/hub?id={token}");
    for who in [Who::Bob, Who::Issuer, Who::Nobody] {
        assert_eq!(fleet.hubs[1].request("GET", &uri, &[], who.principal()).await.status, 403, "{who:?}");
    }
    assert_eq!(fleet.hubs[2].request("GET", &uri, &[], Who::Older.principal()).await.status, 200);
    let connection = fleet.hubs[2].accept().await;
    assert_eq!(connection.info.principal.as_deref(), Who::Older.principal().as_ref());
    let post = fleet.hubs[1].request("POST", &uri, &[], Who::Bob.principal()).await;
    assert_eq!(post.status, 403, "and belongs to it from then on");
    assert_eq!(fleet.hubs[1].request("POST", &uri, &[], Who::Ada.principal()).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn forged_and_expired_tokens_are_unknown_everywhere() {
    let fleet = Fleet::of(2).agreed().await;
    let token = fleet.hubs[0].negotiate().await;
    let mut forged = token.clone().into_bytes();
    forged[30] = if forged[30] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let sent = fleet.members[0].sent();
    assert_eq!(fleet.hubs[1].get(&forged).await.summary(), (404, TEXT, "No Connection with that ID"));
    assert_eq!(fleet.members[0].sent(), sent, "nobody is bothered with a forgery");

    // With version 0 anybody can make up an id: that costs no time and few messages.
    let begun = Instant::now();
    let made_up = fleet.hubs[1].get("AAAAAAAAAAAAAAAAAAAAAA").await;
    assert_eq!(made_up.summary(), (404, TEXT, "No Connection with that ID"));
    assert_eq!((fleet.members[0].sent() - sent, begun.elapsed()), (1, Duration::ZERO));

    sleep(Duration::from_secs(16)).await;
    assert_eq!(fleet.hubs[1].get(&token).await.summary(), (404, TEXT, "No Connection with that ID"));
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_on_the_way_is_asked_for_again() {
    let mut fleet = Fleet::of(2).agreed().await;
    let (token, mut connection) = fleet.polling(0, 0).await;
    for lost in 0..4 {
        fleet.members[0].lose(lost);
        assert_eq!(fleet.hubs[1].post(&token, b"once").await.status, 200);
        assert_eq!(connection.receive().await.unwrap(), "once");
        connection.send("also once").await.unwrap();
        fleet.members[0].lose(lost);
        assert_eq!(fleet.hubs[1].get(&token).await.summary(), (200, FOUND, "also once"));
    }
    let mut receive = pin!(connection.receive());
    assert!(is_pending(receive.as_mut()).await);
}

#[tokio::test(start_paused = true)]
async fn what_a_poll_elsewhere_was_given_goes_back_when_nobody_got_it() {
    let mut fleet = Fleet::of(2).agreed().await;
    let (token, mut connection) = fleet.polling(0, 0).await;
    {
        let mut poll = pin!(fleet.hubs[1].get(&token));
        assert!(timeout(Duration::from_millis(10), poll.as_mut()).await.is_err());
        fleet.members[1].set_connected(false);
        connection.send("precious").await.unwrap();
        sleep(Duration::from_millis(10)).await;
        // The client gives up, or its connection breaks.
    }
    let mut here = pin!(fleet.hubs[0].get(&token));
    assert!(is_pending(here.as_mut()).await, "perhaps it has got it");
    fleet.members[1].set_connected(true);
    assert_eq!(here.await.summary(), (200, FOUND, "precious"));
}

#[tokio::test(start_paused = true)]
async fn while_the_others_cannot_be_reached_polls_come_back_and_posts_fail() {
    let mut fleet = Fleet::of(2).agreed().await;
    let (token, mut connection) = fleet.polling(0, 0).await;
    assert_eq!(fleet.hubs[1].post(&token, b"x").await.status, 200);
    connection.receive().await.unwrap();
    fleet.members.iter().for_each(|member| member.set_connected(false));
    let begun = Instant::now();
    let mut receive = pin!(connection.receive());
    while begun.elapsed() < Duration::from_secs(40) {
        let poll = fleet.hubs[1].get(&token);
        tokio::select! {
            answer = poll => assert_eq!(answer.summary(), (200, TEXT, "")),
            end = receive.as_mut() => panic!("its clock stands still, but it ended: {end:?}"),
        }
        assert_eq!(fleet.hubs[1].post(&token, b"x").await.status, 503);
    }
    fleet.members.iter().for_each(|member| member.set_connected(true));
    assert_eq!(fleet.hubs[1].post(&token, b"back").await.status, 200);
    assert_eq!(receive.await.unwrap(), "back");
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_is_good_without_its_negotiator() {
    let mut fleet = Fleet::of(3).agreed().await;
    let token = fleet.hubs[0].negotiate().await;
    fleet.members[0].kill();
    assert_eq!(fleet.hubs[1].get(&token).await.summary(), (200, FOUND, ""));
    let mut connection = fleet.hubs[1].accept().await;
    connection.send("x").await.unwrap();
    assert_eq!(fleet.hubs[2].get(&token).await.summary(), (200, FOUND, "x"));

    // One that had a transport there is gone with it.
    let token = fleet.hubs[1].negotiate().await;
    fleet.hubs[1].get(&token).await;
    let lost = fleet.hubs[1].accept().await;
    assert_eq!(fleet.hubs[2].post(&token, b"x").await.status, 200);
    fleet.members[1].kill();
    assert_eq!(fleet.hubs[2].get(&token).await.status, 404);
    drop(lost);

    // And without anybody.
    let token = fleet.hubs[1].negotiate().await;
    fleet.members.iter().for_each(|member| member.set_connected(false));
    assert_eq!(fleet.hubs[2].events(&token).await.status(), 200);
    fleet.hubs[2].accept().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_its_poll_elsewhere_gives_the_turn_back() {
    let mut fleet = Fleet::of(2).agreed().await;
    let (token, connection) = fleet.polling(0, 0).await;
    {
        let mut poll = pin!(fleet.hubs[1].get(&token));
        assert!(timeout(Duration::from_secs(30), poll.as_mut()).await.is_err());
    }
    let mut connection = connection;
    let mut receive = pin!(connection.receive());
    assert!(is_pending(receive.as_mut()).await);
    assert_eq!(receive.await, Err(PipeEnd::Lost), "without a poll it is given up");
}

#[tokio::test(start_paused = true)]
async fn long_bodies_come_in_pieces_and_wait_for_room() {
    let mut fleet = Fleet::with(2, options().application_max_buffer_size(4096)).agreed().await;
    let (token, mut connection) = fleet.polling(0, 0).await;
    let (mut sender, body) = Channel::<Bytes>::new(4);
    let request = Request::post(format!("/hub?id={token}")).body(body).unwrap();
    let mut posting = pin!(async { collect(fleet.hubs[1].endpoint.respond(request).await).await });
    let piece = Bytes::from(vec![b'x'; 100_000]);
    let sending = async {
        for _ in 0..10 {
            sender.send_data(piece.clone()).await.unwrap();
        }
        drop(sender);
    };
    let receiving = async {
        let mut size = 0;
        while size < 1_000_000 {
            size += connection.receive().await.unwrap().len();
        }
        size
    };
    let (answer, (), size) = tokio::join!(posting.as_mut(), sending, receiving);
    assert_eq!((answer.status.as_u16(), size), (200, 1_000_000));
}
