//! Who may put a new WebSocket in the place of a lost one, on any instance.

use std::convert::Infallible;
use std::fmt::Write;
use std::future::poll_fn;

use hubline_pipe::{PipeEnd, Resumable};
use hubline_transport::EndpointOptions;

use crate::fleet::Fleet;
use crate::gate::Who::{self, Ada, Issuer, Newer, Older};
use crate::hub::{Connection, options};
use crate::web_sockets::{Client, serve_as};

/// A connection of Ada's on the first of two instances, whose socket is lost.
struct Away {
    fleet: Fleet,
    token: String,
    connection: Connection,
}

impl Away {
    async fn begin(options: EndpointOptions) -> Self {
        let mut fleet = Fleet::with(2, options.allow_stateful_reconnects()).agreed().await;
        let hub = &mut fleet.hubs[0];
        let token = hub.negotiate_as(Ada.principal(), "&useStatefulReconnect=true").await;
        let address = serve_as(hub, Ada).await;
        let client = Client::open(address, &format!("?id={token}")).await.ok().unwrap();
        let mut connection = hub.accept().await;
        connection.principals().await;
        drop(client);
        assert_eq!(connection.receive().await, Err(PipeEnd::Lost));
        Self { fleet, token, connection }
    }

    /// What somebody is told who comes to an instance, while the connection lets everybody in.
    async fn resume(&mut self, instance: usize, who: Who) -> String {
        let address = serve_as(&self.fleet.hubs[instance], who).await;
        let query = format!("?id={}", self.token);
        let resumable = self.connection.resumable.as_mut().unwrap();
        let opened = tokio::spawn(async move { Client::open(address, &query).await });
        tokio::select! {
            biased;
            outcome = granted(resumable) => outcome.to_owned(),
            refused = opened => match refused.unwrap() {
                Err((403, body)) if body.starts_with("The user") => "403".to_owned(),
                Err((status, body)) => format!("{status} {body}"),
                Ok(_) => unreachable!("nobody else lets it in"),
            },
        }
    }
}

/// How the connection goes on: with a new pipe, or not.
async fn granted(resumable: &mut Resumable) -> &'static str {
    let taken = poll_fn(|cx| resumable.poll_request(cx)).await.unwrap().accept();
    match taken.await.unwrap() {
        Some(_) => "resumed",
        None => "ended",
    }
}

async fn table(options: EndpointOptions) -> String {
    let mut table = String::new();
    for who in Who::ALL {
        let [here, elsewhere] = [0, 1];
        let here = Away::begin(options.clone()).await.resume(here, who).await;
        let elsewhere = Away::begin(options.clone()).await.resume(elsewhere, who).await;
        writeln!(table, "{who:?}: {here} | {elsewhere}").unwrap();
    }
    table
}

#[tokio::test]
async fn only_its_user_resumes_a_connection() {
    let expected = "\
        Ada: resumed | resumed\nNewer: resumed | resumed\nOlder: resumed | resumed\n\
        Issuer: 403 | 403\nBob: 403 | 403\nOldBob: 403 | 403\nNobody: 403 | 403\nExpired: 403 | 403\n";
    assert_eq!(table(options()).await, expected);
}

#[tokio::test]
async fn its_user_resumes_a_connection_with_an_expired_token_where_that_is_allowed() {
    for refreshing in [false, true] {
        let options = || {
            let options = options().keep_own_connections_of_expired_principals();
            if refreshing { options.enable_authentication_refresh() } else { options }
        };
        for (who, expected) in [(Who::Expired, "resumed"), (Who::ExpiredBob, "401 ")] {
            for instance in [0, 1] {
                let told = Away::begin(options()).await.resume(instance, who).await;
                assert_eq!(told, expected, "{who:?} at {instance}, {refreshing}");
            }
        }
    }
}

/// `None` of an expired token would mean that the connection goes on for ever.
#[tokio::test]
async fn a_resumption_with_an_expired_token_leaves_the_end_of_the_authentication_alone() {
    let options =
        || options().close_on_authentication_expiration().keep_own_connections_of_expired_principals();
    for instance in [0, 1] {
        let mut away = Away::begin(options()).await;
        let mut before = away.connection.pipe.as_ref().unwrap().expires().unwrap();
        for who in [Who::Expired, Who::Older, Who::Expired] {
            let address = serve_as(&away.fleet.hubs[instance], who).await;
            let query = format!("?id={}", away.token);
            let opened = tokio::spawn(async move { Client::open(address, &query).await });
            let resumable = away.connection.resumable.as_mut().unwrap();
            let taken = poll_fn(|cx| resumable.poll_request(cx)).await.unwrap().accept();
            let pipe = taken.await.unwrap().unwrap().pipe;
            let after = pipe.expires().unwrap();
            match who {
                Who::Expired => assert_eq!(after, before, "at {instance}"),
                _ => assert!(after < before, "a good token counts, at {instance}"),
            }
            before = after;
            opened.await.unwrap().ok().unwrap();
        }
    }
}

#[tokio::test]
async fn where_refreshing_is_on_the_hubs_user_id_decides() {
    let expected = "\
        Ada: resumed | resumed\nNewer: resumed | resumed\nOlder: resumed | resumed\n\
        Issuer: resumed | resumed\nBob: 403 | 403\nOldBob: 403 | 403\nNobody: 403 | 403\nExpired: 403 | 403\n";
    assert_eq!(table(options().enable_authentication_refresh()).await, expected);
}

#[tokio::test]
async fn a_resumption_whose_principal_the_application_refuses_ends_the_connection() {
    let refusing = || options().authentication_refresh(async |_| Ok::<_, Infallible>(false));
    for instance in [0, 1] {
        let mut away = Away::begin(refusing()).await;
        assert_eq!(away.resume(instance, Newer).await, "ended");
    }
}

#[tokio::test]
async fn a_resumption_refreshes_and_one_with_an_older_token_does_not() {
    for (who, expected) in [(Ada, None), (Older, None), (Newer, Some(Newer)), (Issuer, Some(Issuer))] {
        for instance in [0, 1] {
            let mut away = Away::begin(options().enable_authentication_refresh()).await;
            let address = serve_as(&away.fleet.hubs[instance], who).await;
            let query = format!("?id={}", away.token);
            let client = tokio::spawn(async move { Client::open(address, &query).await });
            let resumable = away.connection.resumable.as_mut().unwrap();
            let taken = poll_fn(|cx| resumable.poll_request(cx)).await.unwrap().accept();
            away.connection.pipe = Some(taken.await.unwrap().unwrap().pipe);
            let principals = away.connection.principals().await;
            let principals: Vec<_> =
                principals.into_iter().map(|principal| (*principal.unwrap()).clone()).collect();
            let expected: Vec<_> = expected.and_then(Who::principal).into_iter().collect();
            assert_eq!(principals, expected, "{who:?} {instance}");
            drop(client);
        }
    }
}

#[tokio::test]
async fn a_refresh_while_the_client_is_away_waits_for_its_return() {
    for instance in [0, 1] {
        let mut away = Away::begin(options().enable_authentication_refresh()).await;
        let refreshed = away.fleet.hubs[instance].refresh(&away.token, Newer.principal()).await;
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        let address = serve_as(&away.fleet.hubs[1 - instance], Ada).await;
        let query = format!("?id={}", away.token);
        let _client = tokio::spawn(async move { Client::open(address, &query).await });
        let resumable = away.connection.resumable.as_mut().unwrap();
        let taken = poll_fn(|cx| resumable.poll_request(cx)).await.unwrap().accept();
        away.connection.pipe = Some(taken.await.unwrap().unwrap().pipe);
        let principals = away.connection.principals().await;
        assert_eq!(principals[0].as_deref(), Newer.principal().as_ref());
    }
}
