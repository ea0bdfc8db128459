use hubline::{ConnectionId, UserId};

use super::*;
use crate::console::alike::Times;

const ID: &str = "AAECAwQFBgcICQoLDA0ODw";

fn all(ring: &Ring) -> Vec<Entry> {
    read(&ring.contents())
}

fn read(contents: &Contents) -> Vec<Entry> {
    contents.segments().flatten().filter_map(|record| contents.read(record)).collect()
}

fn life<'a>(user: &'a UserId, address: Option<IpAddr>) -> [LifecycleKind<'a>; 8] {
    let (json, sockets) = (HubProtocol::Json, TransportKind::WebSockets);
    [
        LifecycleKind::negotiated("/ChatHub/negotiate", address),
        LifecycleKind::connected("ChatHub", Some(user), sockets, json, address),
        LifecycleKind::TransportLost,
        LifecycleKind::resumed(address),
        LifecycleKind::Slow,
        LifecycleKind::call_failed("SendMessageToEverybodyWhoIsThere"),
        LifecycleKind::call_failed("Ö"),
        LifecycleKind::closed("slow_client", 341, 2),
    ]
}

#[test]
fn what_is_written_is_read_and_a_connection_takes_few_bytes() {
    let ring = Ring::new(0);
    assert_eq!((all(&ring), ring.fill().oldest_at), (vec![], None));
    let user = UserId::from("3f2504e0-4f89-11d3-9a0c-0305e82c3301");
    let address: IpAddr = "2001:db8::7".parse().unwrap();
    for (place, id) in [ID, "of another server"].into_iter().enumerate() {
        let before = ring.fill().bytes;
        for (later, kind) in life(&user, Some(address)).into_iter().enumerate() {
            let at = 1_000 * (place as u64 + 1) + later as u64;
            ring.add_at(at, &LifecycleEvent::new(&ConnectionId::from(id), kind));
        }
        let took = ring.fill().bytes - before;
        assert!(took <= 256 + 8, "{took} bytes, and a segment's own 8");
    }
    let entries = all(&ring);
    assert_eq!(entries.len(), 16);
    assert_eq!((ring.fill().oldest_at, entries[0].at, entries[15].at), (Some(1_000), 1_000, 2_007));
    let (first, second) = entries.split_at(8);
    assert!(first.iter().all(|entry| entry.connection == ring.hash(ID)));
    assert!(second.iter().all(|entry| entry.connection == ring.hash("of another server")));
    let address = Some(address);
    let connected = |id: &str| {
        What::Connected(Connected {
            id: id.to_owned(),
            address,
            hub: "ChatHub".to_owned(),
            user: Some(user.as_str().to_owned()),
            transport: TransportKind::WebSockets,
            protocol: HubProtocol::Json,
        })
    };
    let negotiated = What::Negotiated { id: ID.to_owned(), address, path: "/chathub".to_owned() };
    assert_eq!((&first[0].what, &first[1].what), (&negotiated, &connected(ID)));
    assert_eq!(second[1].what, connected("of another server"));
    assert_eq!(first[3].what, What::Resumed { address });
    assert_eq!(first[5].what, What::CallFailed { method: "SendMessageToEverybo".to_owned() });
    assert_eq!(first[6].what, What::CallFailed { method: "Ö".to_owned() });
    assert_eq!(first[7].what, What::Closed { reason: "slow_client".to_owned(), calls: 341, failed: 2 });
}

#[test]
fn the_oldest_is_overwritten_and_the_bound_holds() {
    let ring = Ring::new(5 * SEGMENT_BYTES / 2);
    let id = ConnectionId::from("x".repeat(200));
    for at in 0..100_000_u64 {
        let user = UserId::from("ü".repeat(200));
        let kind = match at % 3 {
            0 => LifecycleKind::connected(
                "H",
                Some(&user),
                TransportKind::LongPolling,
                HubProtocol::MessagePack,
                None,
            ),
            1 => LifecycleKind::call_failed("m"),
            // The clock was set back.
            _ => LifecycleKind::Slow,
        };
        ring.add_at(if at == 50_000 { 7 } else { at }, &LifecycleEvent::new(&id, kind));
        let fill = ring.fill();
        assert!(fill.bytes <= fill.limit_bytes, "{fill:?}");
    }
    let entries = all(&ring);
    assert_eq!(entries.last().map(|entry| entry.at), Some(99_999));
    assert_eq!(entries.first().map(|entry| entry.at), ring.fill().oldest_at);
    assert!(entries.len() > 1_000 && entries[0].at > 50_000, "{} entries", entries.len());
    let What::Connected(Connected { user, id, .. }) =
        &entries.iter().find(|entry| matches!(entry.what, What::Connected(_))).unwrap().what
    else {
        panic!("{entries:?}")
    };
    assert_eq!((user.as_deref(), id.len()), (Some(kept_user(&"ü".repeat(200))), ID_BYTES));
}

#[test]
fn who_has_not_signed_in_is_no_user() {
    let ring = Ring::new(0);
    let (json, sockets) = (HubProtocol::Json, TransportKind::WebSockets);
    let (user, id) = (UserId::from(ID), ConnectionId::from(ID));
    let kind = LifecycleKind::connected("ChatHub", Some(&user), sockets, json, None);
    ring.add_at(1, &LifecycleEvent::new(&id, kind));
    let What::Connected(connected) = &all(&ring)[0].what else { panic!() };
    assert_eq!((&*connected.id, &connected.user), (ID, &None));
}

#[test]
fn a_flood_of_refusals_leaves_connections_and_users_alone() {
    let ring = Ring::new(0);
    let (user, id) = (UserId::from("ada"), ConnectionId::from(ID));
    let address = |n: u64| Some(IpAddr::V6(((0x2001_0db8_u128 << 96) + (u128::from(n) << 64)).into()));
    for kind in life(&user, address(0)) {
        ring.add_at(1, &LifecycleEvent::new(&id, kind));
    }
    let expired = RefusedRequest::new("/ChatHub/negotiate", "expired").user(Some(&user)).address(address(0));
    for n in 0..9 {
        ring.refuse_at(2_000 + n * 1_000, &expired);
    }
    ring.refuse_at(
        20_000,
        &RefusedRequest::new("/chathub", "another_user").user(Some(&user)).connection(Some(&id)),
    );
    for n in 0..100_000 {
        ring.refuse_at(30_000 + n, &RefusedRequest::new("/chathub", "unauthenticated").address(address(n)));
        ring.refuse_at(30_000 + n, &RefusedRequest::new("/chathub", "origin").address(address(1)));
        let fill = ring.fill();
        assert!(fill.bytes <= fill.limit_bytes, "{fill:?}");
    }
    assert_eq!((all(&ring).len(), ring.fill().oldest_at), (8, Some(1)));

    let [of_users, of_strangers] = ring.refusals().map(|contents| read(&contents));
    let counts = of_users.iter().filter_map(|entry| match &entry.what {
        What::Refused(refused) => Some((&*refused.reason, refused.times.count)),
        _ => None,
    });
    let counts: Vec<_> = counts.collect();
    assert_eq!(counts, [("expired", 1), ("expired", 2), ("expired", 4), ("expired", 8), ("another_user", 1)]);
    assert_eq!(of_users[4].connection, ring.hash(ID), "it is among what happened to the connection");
    let What::Refused(refused) = &of_users[3].what else { panic!() };
    let Refused { id: own, path, reason, user, times, .. } = refused;
    assert_eq!((&**path, &**reason, user.as_deref()), ("/chathub", "expired", Some("ada")));
    assert_eq!(*times, Times { count: 8, seconds: 7 });
    assert_eq!(ring.hash(own), of_users[3].connection, "it is found by an id of its own");
    assert!(own.starts_with("refused-") && ring.hash("refused-x") != ring.hash("refused-y"));

    // The newest of the others are there, the address that comes again and again a few times.
    let came = |wanted: &str| {
        let is = |entry: &&Entry| matches!(&entry.what, What::Refused(refused) if refused.reason == wanted);
        of_strangers.iter().filter(is).count()
    };
    assert!(
        came("unauthenticated") > 50 && came("origin") < 20,
        "{} {}",
        came("unauthenticated"),
        came("origin")
    );
    assert_eq!(of_strangers.last().unwrap().at, 129_999);
}
