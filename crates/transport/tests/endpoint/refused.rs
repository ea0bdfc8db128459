//! What an observer is told of requests that are refused, and that it is told of no others.

use std::net::IpAddr;
use std::sync::Arc;

use hubline_identity::Policy;
use hubline_pipe::{LifecycleEvent, LifecycleObserver, RefusedRequest};
use hubline_transport::{AddressLimits, Connections, RemoteAddress};
use parking_lot::Mutex;

use crate::fleet::Fleet;
use crate::gate::Who;
use crate::hub::{EVENTS, Hub, UPGRADE, options, request};

#[derive(Debug, Default)]
struct Journal(Mutex<Vec<String>>);

impl LifecycleObserver for Journal {
    fn observe(&self, _: &LifecycleEvent<'_>) {}

    fn refused(&self, request: &RefusedRequest<'_>) {
        let RefusedRequest { path, reason, user, address, connection, .. } = request;
        let named = |name: Option<String>| name.unwrap_or_else(|| "-".to_owned());
        let [user, connection, address] = [
            user.map(ToString::to_string),
            connection.map(ToString::to_string),
            address.map(|address| address.to_string()),
        ]
        .map(named);
        self.0.lock().push(format!("{path} {reason} {user} {connection} {address}"));
    }
}

impl Journal {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

async fn send(hub: &Hub, who: Who, method: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = request(method, uri, headers, None);
    who.present(request.extensions_mut());
    request.extensions_mut().insert(RemoteAddress(IpAddr::from([10, 0, 0, 7])));
    hub.endpoint.respond(request).await.status().as_u16()
}

#[tokio::test]
async fn each_refusal_is_told_with_its_reason_and_whom_it_met() {
    let journal = Arc::<Journal>::default();
    let connections = Connections::default();
    connections.observe(Arc::clone(&journal) as _);
    let mut hub = Hub::sharing(&connections, options().authorize(Policy::authenticated()));
    let answer = hub.request("POST", "/hub/negotiate?negotiateVersion=1", &[], Who::Ada.principal()).await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let [id, token] = ["connectionId", "connectionToken"].map(|name| body[name].as_str().unwrap().to_owned());
    let of_it = &*format!("/hub?id={token}");
    for (who, method, uri, headers, status, told) in [
        (Who::Nobody, "POST", "/hub/negotiate", &[][..], 401, "/hub/negotiate unauthenticated - -"),
        (Who::Expired, "POST", "/hub/negotiate", &[], 401, "/hub/negotiate expired ada -"),
        (Who::Bob, "GET", of_it, &EVENTS, 403, &*format!("/hub another_user bob {id}")),
        (Who::ExpiredBob, "GET", of_it, &UPGRADE, 401, &*format!("/hub expired bob {id}")),
        (Who::Ada, "GET", "/hub?id=made-up", &EVENTS, 404, "/hub unknown_connection ada -"),
        (Who::Ada, "GET", "/hub?id=AAECAwQFBgcICQoLDA0ODw", &EVENTS, 404, "/hub unknown_connection ada -"),
        (Who::Ada, "GET", "/hub", &[], 400, "/hub no_connection_id ada -"),
        (Who::Ada, "POST", of_it, &[], 400, &*format!("/hub no_transport ada {id}")),
    ] {
        assert_eq!(send(&hub, who, method, uri, headers).await, status, "{told}");
        assert_eq!(journal.take(), [format!("{told} 10.0.0.7")]);
    }
    // What is let through is not told, nor what is no attempt of a client.
    assert_eq!(send(&hub, Who::Ada, "GET", of_it, &EVENTS).await, 200);
    let _connection = hub.accept().await;
    assert_eq!(send(&hub, Who::Ada, "PUT", of_it, &[]).await, 405);
    assert_eq!(journal.take(), [""; 0]);
    assert_eq!(send(&hub, Who::Ada, "GET", of_it, &EVENTS).await, 409);
    assert_eq!(journal.take(), [format!("/hub connected_already ada {id} 10.0.0.7")]);

    // An instance that takes nobody more, for whichever reason.
    connections.limit_addresses(AddressLimits::default().negotiations_per_second(1));
    let negotiate = async || send(&hub, Who::Ada, "POST", "/hub/negotiate", &[]).await;
    assert_eq!((negotiate().await, negotiate().await), (200, 429));
    connections.refuse_negotiations();
    assert_eq!(negotiate().await, 503);
    let told = ["negotiations_per_address", "draining"];
    assert_eq!(journal.take(), told.map(|reason| format!("/hub/negotiate {reason} ada - 10.0.0.7")));
}

#[tokio::test]
async fn the_instance_that_refuses_tells_of_it_wherever_the_connection_is() {
    let journal = Arc::<Journal>::default();
    let fleet = Fleet::made(2, |connections| {
        connections.observe(Arc::clone(&journal) as _);
        Hub::sharing(connections, options())
    });
    let fleet = fleet.agreed().await;
    journal.take();
    let token = fleet.hubs[0].negotiate_as(Who::Ada.principal(), "").await;
    let uri = format!("/hub?id={token}");
    assert_eq!(send(&fleet.hubs[1], Who::Bob, "GET", &uri, &EVENTS).await, 403);
    let told = journal.take();
    assert_eq!(told.len(), 1, "{told:?}");
    let words: Vec<_> = told[0].split(' ').collect();
    assert_eq!((words[1], words[2], words[3].len()), ("another_user", "bob", 22), "{told:?}");
}
