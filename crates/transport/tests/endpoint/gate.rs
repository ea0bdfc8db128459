//! Who is let through to a connection, where and to what: the answers of ASP.NET Core 11, on every instance.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Extensions;
use hubline_identity::{Claim, ExpiredPrincipal, Policy, Principal};
use hubline_transport::{Connections, EndpointOptions};

use crate::fleet::Fleet;
use crate::hub::{Answer, EVENTS, Hub, UPGRADE, collect, options, request};

/// Who asks for a connection of Ada's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// With the token that she has negotiated with.
    Ada,
    Newer,
    Older,
    /// Another issuer's Ada.
    Issuer,
    Bob,
    /// With a token that ends before Ada's.
    OldBob,
    Nobody,
    /// Ada with a token whose time is over.
    Expired,
    /// Bob with such a token.
    ExpiredBob,
}

/// At which time `seconds` before midnight of the year 2100 an authentication ends.
fn expires(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800 - seconds)
}

impl Who {
    pub(crate) const ALL: [Self; 8] = [
        Self::Ada,
        Self::Newer,
        Self::Older,
        Self::Issuer,
        Self::Bob,
        Self::OldBob,
        Self::Nobody,
        Self::Expired,
    ];

    pub(crate) fn principal(self) -> Option<Principal> {
        let (id, issuer, role, before) = match self {
            Self::Ada | Self::Expired => ("ada", "one", "Nurse", 500),
            Self::Newer => ("ada", "one", "Doctor", 100),
            Self::Older => ("ada", "one", "Doctor", 900),
            Self::Issuer => ("ada", "two", "Doctor", 100),
            Self::Bob | Self::ExpiredBob => ("bob", "one", "Doctor", 100),
            Self::OldBob => ("bob", "one", "Doctor", 900),
            Self::Nobody => return None,
        };
        let mut principal = Principal::of_user(id);
        principal.issuer = Some(issuer.into());
        principal.roles = vec![role.into()];
        principal.claims = vec![Claim { name: "scope".into(), value: "é".into() }];
        principal.expires = Some(expires(before));
        Some(principal)
    }

    /// Puts into a request what an authentication layer makes of the token.
    pub(crate) fn present(self, extensions: &mut Extensions) {
        let Some(principal) = self.principal().map(Arc::new) else { return };
        if matches!(self, Self::Expired | Self::ExpiredBob) {
            extensions.insert(ExpiredPrincipal(principal));
        } else {
            extensions.insert(principal);
        }
    }
}

/// A request of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    OpenEvents,
    OpenPolls,
    Poll,
    Post,
    Delete,
    /// Before there is a transport.
    EarlyRefresh,
    Refresh,
}

impl What {
    const ALL: [Self; 7] = [
        Self::OpenEvents,
        Self::OpenPolls,
        Self::Poll,
        Self::Post,
        Self::Delete,
        Self::EarlyRefresh,
        Self::Refresh,
    ];

    fn needs_transport(self) -> bool {
        matches!(self, Self::Poll | Self::Post | Self::Delete | Self::Refresh)
    }

    async fn ask(self, hub: &Hub, token: &str, who: Who) -> String {
        let uri = format!("/hub?id={token}");
        let (method, uri, headers) = match self {
            Self::OpenEvents => ("GET", &*uri, &EVENTS[..]),
            Self::OpenPolls | Self::Poll => ("GET", &*uri, &[][..]),
            Self::Post => ("POST", &*uri, &[][..]),
            Self::Delete => ("DELETE", &*uri, &[][..]),
            Self::EarlyRefresh | Self::Refresh => {
                ("POST", "/hub/refresh", &[("x-signalr-connection-token", token)][..])
            }
        };
        let mut request = request(method, uri, headers, None);
        who.present(request.extensions_mut());
        let response = hub.endpoint.respond(request).await;
        if self == Self::OpenEvents && response.status() == 200 {
            return "ok".to_owned();
        }
        told(&collect(response).await)
    }
}

/// What an answer means.
fn told(answer: &Answer) -> String {
    let (status, content_type, body) = answer.summary();
    match (status, content_type, body) {
        (200, Some("text/plain"), "") if answer.headers.contains_key("pragma") => "poll again".to_owned(),
        (200 | 202, ..) => "ok".to_owned(),
        (403, _, "The user associated with this connection changed.") => "403".to_owned(),
        (503, _, "The server with this connection cannot be reached") => "503".to_owned(),
        (404, ..) => "404".to_owned(),
        (409, _, r#"{"error":"authentication_refresh_required"}"#) => "409".to_owned(),
        (403, _, r#"{"error":"user_changed"}"#) => "403 user_changed".to_owned(),
        (503, _, r#"{"error":"connection_unreachable"}"#) => "503".to_owned(),
        _ => format!("{status} {body}"),
    }
}

/// A connection of Ada's on the first of two instances.
struct Scene {
    fleet: Fleet,
    token: String,
    /// Endpoints of another name beside both.
    others: Vec<Hub>,
}

impl Scene {
    async fn set(what: What, options: EndpointOptions) -> Self {
        let mut others = Vec::new();
        let mut fleet = Fleet::made(2, |connections: &Connections| {
            others.push(Hub::sharing(connections, options.clone().name("/other")));
            Hub::sharing(connections, options.clone())
        })
        .agreed()
        .await;
        let token = fleet.hubs[0].negotiate_as(Who::Ada.principal(), "").await;
        if what.needs_transport() {
            let poll = request("GET", &format!("/hub?id={token}"), &[], Who::Ada.principal());
            assert_eq!(fleet.hubs[0].endpoint.respond(poll).await.status(), 200);
            let mut connection = fleet.hubs[0].accept().await;
            connection.principals().await;
            connection.send("something for a poll").await.unwrap();
            std::mem::forget(connection);
        }
        Self { fleet, token, others }
    }

    fn lose_redis(&self) {
        self.fleet.members.iter().for_each(|member| member.set_connected(false));
    }
}

/// A row for each request and each who: what is answered by the instance with the connection, by another one, and by
/// another one while the first cannot be reached.
async fn table(options: EndpointOptions, whats: impl IntoIterator<Item = What>) -> String {
    table_of(options, whats, Who::ALL).await
}

async fn table_of(
    options: EndpointOptions,
    whats: impl IntoIterator<Item = What>,
    whos: impl IntoIterator<Item = Who> + Clone,
) -> String {
    let mut table = String::new();
    for what in whats {
        for who in whos.clone() {
            let scene = Scene::set(what, options.clone()).await;
            let here = what.ask(&scene.fleet.hubs[0], &scene.token, who).await;
            let scene = Scene::set(what, options.clone()).await;
            let elsewhere = what.ask(&scene.fleet.hubs[1], &scene.token, who).await;
            let scene = Scene::set(what, options.clone()).await;
            scene.lose_redis();
            let alone = what.ask(&scene.fleet.hubs[1], &scene.token, who).await;
            let (what, who) = (format!("{what:?}"), format!("{who:?}"));
            writeln!(table, "{what:12} {who:8} {here} | {elsewhere} | {alone}").unwrap();
        }
    }
    table
}

fn assert_table(found: &str, expected: &str) {
    let expected: String = expected.trim().lines().map(|line| format!("{}\n", line.trim())).collect();
    assert!(found == expected, "found:\n{found}\nexpected:\n{expected}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_belongs_to_its_user() {
    let whats = What::ALL.into_iter().filter(|what| !matches!(what, What::EarlyRefresh | What::Refresh));
    let found = table(options(), whats).await;
    assert_table(
        &found,
        "
        OpenEvents   Ada      ok | ok | ok
        OpenEvents   Newer    ok | ok | ok
        OpenEvents   Older    ok | ok | ok
        OpenEvents   Issuer   403 | 403 | 403
        OpenEvents   Bob      403 | 403 | 403
        OpenEvents   OldBob   403 | 403 | 403
        OpenEvents   Nobody   403 | 403 | 403
        OpenEvents   Expired  403 | 403 | 403
        OpenPolls    Ada      ok | ok | poll again
        OpenPolls    Newer    ok | ok | poll again
        OpenPolls    Older    ok | ok | poll again
        OpenPolls    Issuer   403 | 403 | 403
        OpenPolls    Bob      403 | 403 | 403
        OpenPolls    OldBob   403 | 403 | 403
        OpenPolls    Nobody   403 | 403 | 403
        OpenPolls    Expired  403 | 403 | 403
        Poll         Ada      ok | ok | poll again
        Poll         Newer    ok | ok | poll again
        Poll         Older    ok | ok | poll again
        Poll         Issuer   403 | 403 | 403
        Poll         Bob      403 | 403 | 403
        Poll         OldBob   403 | 403 | 403
        Poll         Nobody   403 | 403 | 403
        Poll         Expired  403 | 403 | 403
        Post         Ada      ok | ok | 503
        Post         Newer    ok | ok | 503
        Post         Older    ok | ok | 503
        Post         Issuer   403 | 403 | 403
        Post         Bob      403 | 403 | 403
        Post         OldBob   403 | 403 | 403
        Post         Nobody   403 | 403 | 403
        Post         Expired  403 | 403 | 403
        Delete       Ada      ok | ok | 503
        Delete       Newer    ok | ok | 503
        Delete       Older    ok | ok | 503
        Delete       Issuer   403 | 403 | 403
        Delete       Bob      403 | 403 | 403
        Delete       OldBob   403 | 403 | 403
        Delete       Nobody   403 | 403 | 403
        Delete       Expired  403 | 403 | 403
        ",
    );
}

#[tokio::test(start_paused = true)]
async fn where_refreshing_is_on_the_instance_with_the_connection_knows_who_its_user_is() {
    let found = table(options().enable_authentication_refresh(), What::ALL).await;
    assert_table(
        &found,
        "
        OpenEvents   Ada      ok | ok | ok
        OpenEvents   Newer    ok | ok | ok
        OpenEvents   Older    ok | ok | ok
        OpenEvents   Issuer   403 | 403 | 503
        OpenEvents   Bob      403 | 403 | 403
        OpenEvents   OldBob   403 | 403 | 403
        OpenEvents   Nobody   403 | 403 | 403
        OpenEvents   Expired  403 | 403 | 403
        OpenPolls    Ada      ok | ok | poll again
        OpenPolls    Newer    ok | ok | poll again
        OpenPolls    Older    ok | ok | poll again
        OpenPolls    Issuer   403 | 403 | poll again
        OpenPolls    Bob      403 | 409 | 409
        OpenPolls    OldBob   403 | 409 | 409
        OpenPolls    Nobody   403 | 409 | 409
        OpenPolls    Expired  403 | 409 | 409
        Poll         Ada      ok | ok | poll again
        Poll         Newer    ok | ok | poll again
        Poll         Older    ok | ok | poll again
        Poll         Issuer   409 | 409 | poll again
        Poll         Bob      409 | 409 | 409
        Poll         OldBob   403 | 409 | 409
        Poll         Nobody   409 | 409 | 409
        Poll         Expired  409 | 409 | 409
        Post         Ada      ok | ok | 503
        Post         Newer    ok | ok | 503
        Post         Older    ok | ok | 503
        Post         Issuer   403 | 403 | 503
        Post         Bob      403 | 403 | 403
        Post         OldBob   403 | 403 | 403
        Post         Nobody   403 | 403 | 403
        Post         Expired  403 | 403 | 403
        Delete       Ada      ok | ok | 503
        Delete       Newer    ok | ok | 503
        Delete       Older    ok | ok | 503
        Delete       Issuer   403 | 403 | 503
        Delete       Bob      403 | 403 | 403
        Delete       OldBob   403 | 403 | 403
        Delete       Nobody   403 | 403 | 403
        Delete       Expired  403 | 403 | 403
        EarlyRefresh Ada      ok | ok | 503
        EarlyRefresh Newer    ok | ok | 503
        EarlyRefresh Older    ok | ok | 503
        EarlyRefresh Issuer   403 user_changed | 403 user_changed | 503
        EarlyRefresh Bob      403 user_changed | 403 user_changed | 403 user_changed
        EarlyRefresh OldBob   403 user_changed | 403 user_changed | 403 user_changed
        EarlyRefresh Nobody   403 user_changed | 403 user_changed | 403 user_changed
        EarlyRefresh Expired  403 user_changed | 403 user_changed | 403 user_changed
        Refresh      Ada      ok | ok | 503
        Refresh      Newer    ok | ok | 503
        Refresh      Older    ok | ok | 503
        Refresh      Issuer   ok | ok | 503
        Refresh      Bob      403 user_changed | 403 user_changed | 403 user_changed
        Refresh      OldBob   403 user_changed | 403 user_changed | 403 user_changed
        Refresh      Nobody   403 user_changed | 403 user_changed | 403 user_changed
        Refresh      Expired  403 user_changed | 403 user_changed | 403 user_changed
        ",
    );
}

/// With `ExpiredPrincipals::KeepOwnConnections`, whether refreshing is on or not.
#[tokio::test(start_paused = true)]
async fn an_expired_token_goes_on_with_what_its_user_has_opened_and_opens_nothing() {
    let strict = || options().keep_own_connections_of_expired_principals();
    let whos = [Who::Expired, Who::ExpiredBob, Who::Nobody, Who::Newer];
    let whats = What::ALL.into_iter().filter(|what| !matches!(what, What::EarlyRefresh | What::Refresh));
    let expected = "
        OpenEvents   Expired  401  | 401  | 401
        OpenEvents   ExpiredBob 401  | 401  | 401
        OpenEvents   Nobody   403 | 403 | 403
        OpenEvents   Newer    ok | ok | ok
        OpenPolls    Expired  401  | 401  | poll again
        OpenPolls    ExpiredBob 401  | 401  | 401
        OpenPolls    Nobody   403 | 403 | 403
        OpenPolls    Newer    ok | ok | poll again
        Poll         Expired  ok | ok | poll again
        Poll         ExpiredBob 401  | 401  | 401
        Poll         Nobody   403 | 403 | 403
        Poll         Newer    ok | ok | poll again
        Post         Expired  ok | ok | 503
        Post         ExpiredBob 401  | 401  | 401
        Post         Nobody   403 | 403 | 403
        Post         Newer    ok | ok | 503
        Delete       Expired  ok | ok | 503
        Delete       ExpiredBob 401  | 401  | 401
        Delete       Nobody   403 | 403 | 403
        Delete       Newer    ok | ok | 503
        ";
    let found = table_of(strict(), whats, whos).await;
    assert_table(&found.replace(" \n", "\n"), expected);

    let expired = [Who::Expired, Who::ExpiredBob];
    let found = table_of(strict().enable_authentication_refresh(), What::ALL, expired).await;
    let expected = "
        OpenEvents   Expired  401  | 401  | 401
        OpenEvents   ExpiredBob 401  | 401  | 401
        OpenPolls    Expired  401  | 401  | poll again
        OpenPolls    ExpiredBob 401  | 401  | 401
        Poll         Expired  ok | ok | poll again
        Poll         ExpiredBob 401  | 401  | 401
        Post         Expired  ok | ok | 503
        Post         ExpiredBob 401  | 401  | 401
        Delete       Expired  ok | ok | 503
        Delete       ExpiredBob 401  | 401  | 401
        EarlyRefresh Expired  401  | 401  | 401
        EarlyRefresh ExpiredBob 401  | 401  | 401
        Refresh      Expired  401  | 401  | 401
        Refresh      ExpiredBob 401  | 401  | 401
        ";
    assert_table(&found.replace(" \n", "\n"), expected);
}

/// An expired token is worth nothing where nobody has claimed the connection, and neither is one without a negotiation.
#[tokio::test(start_paused = true)]
async fn an_expired_token_negotiates_nothing() {
    let hub = Hub::new(options().keep_own_connections_of_expired_principals());
    let ask = async |method, uri: &str, headers: &[(&str, &str)]| {
        let mut request = request(method, uri, headers, None);
        Who::Expired.present(request.extensions_mut());
        hub.endpoint.respond(request).await.status().as_u16()
    };
    let token = hub.negotiate_as(Who::Ada.principal(), "").await;
    let uri = format!("/hub?id={token}");
    assert_eq!(ask("POST", "/hub/negotiate?negotiateVersion=1", &[]).await, 401);
    assert_eq!(ask("POST", "/hub/negotiate", &[]).await, 401);
    assert_eq!(ask("GET", "/hub", &UPGRADE).await, 401, "without a negotiation");
    assert_eq!(ask("GET", &uri, &UPGRADE).await, 401);
    assert_eq!(ask("GET", &uri, &EVENTS).await, 401);
    assert_eq!(ask("GET", &uri, &[]).await, 401);
    assert_eq!(ask("POST", &uri, &[]).await, 400, "there is no transport yet");
    assert_eq!(ask("GET", "/hub?id=unknown", &[]).await, 404);
    let opened = request("GET", &uri, &[], Who::Ada.principal());
    assert_eq!(hub.endpoint.respond(opened).await.status(), 200, "what was refused has changed nothing");
}

/// The role is asked for of an expired token too.
#[tokio::test(start_paused = true)]
async fn an_expired_token_has_to_meet_the_policy() {
    for (role, expected) in [("Nurse", 200), ("Doctor", 403)] {
        let nurses = |who: &Principal| who.has_role("Nurse") || who.expires == Some(expires(100));
        let policy = match role {
            "Nurse" => Policy::authenticated().assert(nurses),
            role => Policy::authenticated().assert(move |who| who.has_role(role)),
        };
        let mut hub = Hub::new(options().authorize(policy).keep_own_connections_of_expired_principals());
        let token = hub.negotiate_as(Who::Newer.principal(), "").await;
        let uri = format!("/hub?id={token}");
        hub.request("GET", &uri, &[], Who::Newer.principal()).await;
        let mut connection = hub.accept().await;
        connection.send("something for a poll").await.unwrap();
        let mut poll = request("GET", &uri, &[], None);
        Who::Expired.present(poll.extensions_mut());
        assert_eq!(hub.endpoint.respond(poll).await.status(), expected, "{role}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_endpoint_does_not_know_the_connection() {
    for what in What::ALL {
        let scene = Scene::set(what, options().enable_authentication_refresh()).await;
        for hub in &scene.others {
            for who in [Who::Ada, Who::Bob, Who::Nobody] {
                assert_eq!(what.ask(hub, &scene.token, who).await, "404", "{what:?} {who:?}");
            }
        }
        scene.lose_redis();
        assert_eq!(what.ask(&scene.others[1], &scene.token, Who::Ada).await, "404", "{what:?}");
        assert_eq!(
            what.ask(&scene.fleet.hubs[0], &scene.token, Who::Ada).await,
            "ok",
            "{what:?}: it goes on"
        );
    }
}

#[test]
#[should_panic(expected = "two endpoints of one server are named `/HUB/` (the other one as `/hub`)")]
fn two_endpoints_of_one_name_are_a_mistake() {
    let connections = Connections::default();
    let _one = Hub::sharing(&connections, options());
    let _two = Hub::sharing(&connections, options().name("/HUB/"));
}
