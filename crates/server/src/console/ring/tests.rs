use hubline::{ConnectionId, UserId};

use super::*;

const ID: &str = "AAECAwQFBgcICQoLDA0ODw";

fn all(ring: &Ring) -> Vec<Entry> {
    ring.contents().segments().flatten().collect()
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
