use hubline_backplane::InstanceId;
use hubline_protocol::negotiate::TransportKind;

use super::*;
use crate::TokenKey;
use crate::identity::Identity;
use crate::requester::Purpose;
use crate::token::random_id;

fn alone() -> ConnectionManager {
    ConnectionManager::alone(Tickets::of_process())
}

fn nobody() -> Requester {
    Requester {
        purpose: Purpose::Transport(TransportKind::WebSockets),
        endpoint: EndpointId::named("/hub"),
        identity: Identity::NOBODY,
        user: None,
        credentials: None,
        is_expired: false,
    }
}

fn owner() -> Owner {
    Owner { endpoint: nobody().endpoint, identity: Identity::NOBODY, authentication: None }
}

fn of_version_0() -> Negotiated {
    Negotiated { id: random_id(), is_stateful: false, owner: owner(), is_looked_for: true }
}

fn negotiated(connections: &ConnectionManager) -> ConnectionToken {
    connections.issue(&random_id(), false, &nobody())
}

async fn ticket(connections: &ConnectionManager, token: &ConnectionToken) -> Ticket {
    connections.read(token.as_str(), &nobody()).await.unwrap().ticket
}

async fn claimed(connections: &ConnectionManager) -> ConnectionToken {
    let token = negotiated(connections);
    connections.claim(token.as_str(), &ticket(connections, &token).await, owner()).unwrap();
    token
}

fn attach(connections: &ConnectionManager, token: &ConnectionToken) -> Result<Attachment, AttachError> {
    connections.attach(token.as_str(), |_| (Attached::WebSocket(None), ())).map(|(_, place)| place)
}

#[tokio::test(start_paused = true)]
async fn a_token_attaches_once_and_is_forgotten_at_the_end() {
    let connections = alone();
    let token = claimed(&connections).await;
    let known = |token: &ConnectionToken| connections.find(token.as_str()).map(|found| found.state);
    assert!(matches!(known(&token), Some(ConnectionState::Negotiated)));
    let attachment = attach(&connections, &token).unwrap();
    assert!(matches!(known(&token), Some(ConnectionState::Attached(_))));
    assert!(matches!(attach(&connections, &token), Err(AttachError::Attached(_))));
    drop(attachment);
    assert!(matches!(attach(&connections, &token), Err(AttachError::Unknown)));
}

#[tokio::test(start_paused = true)]
async fn connections_count_while_they_have_a_transport() {
    let connections = alone();
    let tokens = [claimed(&connections).await, claimed(&connections).await];
    assert_eq!(connections.statistics(), ConnectionStatistics::default());
    let [first, second] = tokens.map(|token| attach(&connections, &token).unwrap());
    assert_eq!(connections.statistics().web_sockets.active, 2);
    sleep(Duration::from_secs(3)).await;
    drop(first);
    connections.stopping();
    drop(second);
    let counted = connections.statistics().web_sockets;
    assert_eq!((counted.active, counted.normal_closure.count, counted.app_shutdown.count), (0, 1, 1));
    assert_eq!(counted.app_shutdown.sum, Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn abandoned_negotiations_of_version_0_are_dropped_unasked() {
    let connections = alone();
    let negotiated = of_version_0();
    let id = negotiated.id.clone();
    connections.negotiate_version_0(negotiated).unwrap();
    sleep(DISCONNECT_TIMEOUT - Duration::from_millis(1)).await;
    assert!(connections.find(id.as_str()).is_some());
    sleep(Duration::from_millis(1)).await;
    assert!(connections.find(id.as_str()).is_none());
    sleep(SWEEP_INTERVAL).await;
    assert!(connections.lock().is_swept_clean());
    assert_eq!(connections.lock().swept, None, "the sweeper has ended");
}

#[tokio::test(start_paused = true)]
async fn a_negotiation_leaves_nothing_and_a_claim_is_remembered_for_its_time() {
    let connections = alone();
    let tokens: Vec<_> = (0..1000).map(|_| negotiated(&connections)).collect();
    assert!(connections.lock().is_swept_clean());
    let ticket = ticket(&connections, &tokens[0]).await;
    assert!(connections.is_unclaimed(&ticket));
    connections.claim(tokens[0].as_str(), &ticket, owner()).unwrap();
    drop(attach(&connections, &tokens[0]).unwrap());
    for _ in 0..16 {
        // Here and for another instance.
        assert!(!connections.is_unclaimed(&ticket));
        assert_eq!(connections.claim_for_another(&ticket), Err(Refusal::Attached));
        connections.claim(tokens[0].as_str(), &ticket, owner()).unwrap();
        assert!(matches!(attach(&connections, &tokens[0]), Err(AttachError::Unknown)));
        sleep(Duration::from_secs(1)).await;
    }
    assert!(!connections.is_unclaimed(&ticket), "its time is over");
    sleep(Duration::from_secs(3)).await;
    assert!(connections.lock().is_swept_clean());
    assert_eq!(connections.lock().swept, None, "the sweeper has ended");
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_over_is_not_claimed_here_nor_adopted_twice() {
    let [one, other] = [(); 2].map(|()| alone());
    let token = negotiated(&one);
    let ticket = ticket(&one, &token).await;
    one.claim_for_another(&ticket).unwrap();
    assert!(!one.is_unclaimed(&ticket));
    let adopt = || other.adopt(token.as_str(), Some(ticket.seal), of_version_0());
    adopt().unwrap();
    drop(attach(&other, &token).unwrap());
    assert_eq!(adopt(), Err(Refusal::Unknown));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_the_key_of_the_fleet_still_opens_no_living_connection() {
    let (key, instance) = (TokenKey::random(), InstanceId::random());
    let [owner_of_it, forger] =
        [(); 2].map(|()| ConnectionManager::alone(Tickets::of_fleet(instance, vec![key.clone()])));
    let id = random_id();
    let token = owner_of_it.issue(&id, true, &nobody());
    owner_of_it.claim(token.as_str(), &ticket(&owner_of_it, &token).await, owner()).unwrap();
    let living = attach(&owner_of_it, &token).unwrap();
    // All that is public of it, and the key.
    let forged = forger.issue(&id, true, &nobody());
    let told = ticket(&owner_of_it, &forged).await;
    assert_eq!((&told.id, told.negotiator), (&id, instance), "its tag is right");
    assert!(owner_of_it.find(forged.as_str()).is_none(), "not found: no poll, no post, no resumption");
    assert!(!owner_of_it.is_unclaimed(&told), "and nothing else begins under that id");
    assert!(matches!(attach(&owner_of_it, &forged), Err(AttachError::Unknown)));
    drop(living);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_refreshed_ones_may_wait() {
    let connections = alone();
    let refreshed = || {
        let token = ConnectionToken::from_text(random_id().as_str());
        connections.add_pending(token, of_version_0(), PendingReason::Refreshed)
    };
    (0..10_000).for_each(|_| refreshed().unwrap());
    assert_eq!(refreshed(), Err(TooManyPending));
    let token = negotiated(&connections);
    let ticket = ticket(&connections, &token).await;
    let refused = connections.claim_for_refresh(token.as_str(), &ticket, &nobody());
    assert_eq!(refused, Err(Refusal::TooMany));
    drop(attach(&connections, &claimed(&connections).await).unwrap());
    connections.negotiate_version_0(of_version_0()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_so_many_of_version_0_may_wait_and_nobody_else_is_concerned() {
    let connections = alone();
    let first = of_version_0();
    let token = ConnectionToken::from(&first.id);
    connections.negotiate_version_0(first).unwrap();
    for _ in 1..10_000 {
        connections.negotiate_version_0(of_version_0()).unwrap();
    }
    assert_eq!(connections.negotiate_version_0(of_version_0()), Err(TooManyPending));
    assert_eq!(connections.statistics().refused, 1);
    drop(attach(&connections, &claimed(&connections).await).unwrap());
    let attached = attach(&connections, &token).unwrap();
    connections.negotiate_version_0(of_version_0()).unwrap();
    assert_eq!(connections.negotiate_version_0(of_version_0()), Err(TooManyPending));
    sleep(DISCONNECT_TIMEOUT + SWEEP_INTERVAL).await;
    connections.negotiate_version_0(of_version_0()).unwrap();
    drop(attached);
}
