use hubline_backplane::conformance::Targets;
use hubline_backplane::{Reach, Status, Target};
use hubline_redis::{ConnectError, RedisBackplane, RedisClient, redis};
use hubline_testkit::{Certificates, Cluster, RedisServer, Sentinels};

use crate::instance::{Instance, conform};

async fn failure(connection_string: &str) -> ConnectError {
    let at_once = format!("{connection_string},abortConnect=true,connectRetry=1,connectTimeout=2000");
    RedisBackplane::connect(at_once.parse().unwrap()).await.expect_err("it cannot connect")
}

fn at(redis: &RedisServer) -> String {
    format!("127.0.0.1:{},ssl=true", redis.tls_port().unwrap())
}

fn trusting(redis: &RedisServer, certificates: &Certificates) -> String {
    format!("{},sslCaFile={}", at(redis), certificates.authority().display())
}

async fn connected(connection_string: &str) -> RedisBackplane {
    Instance::connected(connection_string).await.backplane
}

#[tokio::test]
async fn it_conforms_over_tls() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let redis = RedisServer::start_with_tls(&certificates, &[]).await.unwrap();
    for versions in ["Tls12", "Tls13"] {
        let text = format!("{},sslProtocols={versions}", trusting(&redis, &certificates));
        let (one, other) = (connected(&text).await, connected(&text).await);
        conform(&one, &other, Targets::OnOneNode).await;
    }
}

#[tokio::test]
async fn a_large_message_arrives_whole_over_tls() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let redis = RedisServer::start_with_tls(&certificates, &[]).await.unwrap();
    let url = format!(
        "rediss://127.0.0.1:{}?sslCaFile={}",
        redis.tls_port().unwrap(),
        certificates.authority().display()
    );
    let here = Instance::connected(&url).await;
    let mut there = Instance::connected(&trusting(&redis, &certificates)).await;
    let text = "x".repeat(10_000_000);
    assert_eq!(here.publish(vec![Target::All], &text).await.reach, Reach::Fleet);
    assert!(there.next().await == (Target::All, text));
}

#[tokio::test]
async fn links_over_tls_come_back() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let mut redis = RedisServer::start_with_tls(&certificates, &[]).await.unwrap();
    let mut here = Instance::connected(&trusting(&redis, &certificates)).await;
    redis.stop().await.unwrap();
    here.lost().await;
    redis.start_again().await.unwrap();
    here.status(|status| *status == Status::Connected).await;
    assert_eq!(here.publish(vec![Target::All], "back").await.reach, Reach::Fleet);
    while here.next().await.1 != "back" {}
}

#[tokio::test]
async fn certificates_are_checked() {
    let certificates = Certificates::new(&["redis.example"]).unwrap();
    let redis = RedisServer::start_with_tls(&certificates, &[]).await.unwrap();

    let unknown = failure(&format!("{},sslHost=redis.example", at(&redis))).await.to_string();
    assert!(unknown.contains("authority that is not trusted here; sslCaFile"), "{unknown}");

    let other_name = failure(&trusting(&redis, &certificates)).await.to_string();
    assert!(other_name.contains("not for '127.0.0.1'; sslHost"), "{other_name}");

    Instance::connected(&format!("{},sslHost=redis.example", trusting(&redis, &certificates))).await;
}

#[tokio::test]
async fn a_fleet_that_is_not_let_in_learns_why() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let redis = RedisServer::start_with_tls(&certificates, &[]).await.unwrap();
    let here = Instance::start(&at(&redis)).await;
    here.status(|status| matches!(status, Status::Disconnected(reason) if reason.contains("not trusted")))
        .await;
    assert_eq!(here.publish(vec![Target::All], "alone").await.reach, Reach::Queued);
}

#[tokio::test]
async fn the_wrong_port_is_told() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let redis = RedisServer::start_with_tls(&certificates, &[]).await.unwrap();

    let plain = failure(&format!("127.0.0.1:{}", redis.tls_port().unwrap())).await.to_string();
    assert!(plain.contains("its port for TLS, which ssl=true speaks?"), "{plain}");

    let ca = certificates.authority().display().to_string();
    let tls = failure(&format!("127.0.0.1:{},ssl=true,sslCaFile={ca}", redis.port())).await.to_string();
    assert!(tls.contains("its port for connections without TLS?"), "{tls}");
}

#[tokio::test]
async fn redis_may_want_a_certificate() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let redis = RedisServer::start_with_tls(&certificates, &["--tls-auth-clients", "yes"]).await.unwrap();
    let text = trusting(&redis, &certificates);
    let error = failure(&text).await.to_string();
    assert!(error.contains("sslCertFile and sslKeyFile"), "{error}");

    let (certificate, key) = (certificates.certificate(), certificates.key());
    let ours = format!("{text},sslCertFile={},sslKeyFile={}", certificate.display(), key.display());
    Instance::connected(&ours).await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_at_once() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let key = certificates.key().display().to_string();
    let cases = [
        (
            "localhost,ssl=true,sslCaFile=/nowhere/ca.pem".to_owned(),
            "sslCaFile=/nowhere/ca.pem cannot be used: No such",
        ),
        (format!("localhost,ssl=true,sslCaFile={key}"), "it has no certificate as PEM"),
    ];
    for (text, expected) in cases {
        let error = RedisBackplane::connect(text.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls(_)));
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn commands_go_over_tls_too() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let redis = RedisServer::start_with_tls(&certificates, &[]).await.unwrap();
    let client = RedisClient::new(trusting(&redis, &certificates).parse().unwrap()).unwrap();
    let value = "x".repeat(1_000_000);
    let mut set = redis::cmd("SET");
    set.arg("key").arg(&value);
    let () = client.query(set).await.unwrap();
    let mut get = redis::cmd("GET");
    get.arg("key");
    let got: String = client.query(get).await.unwrap();
    assert_eq!(got, value);
}

#[tokio::test]
async fn a_cluster_is_reached_by_its_tls_ports() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let cluster = Cluster::start_with_tls(3, &certificates).await.unwrap();
    let ca = certificates.authority().display().to_string();
    // Where the others are only the first one tells.
    let first = cluster.servers[0].tls_port().unwrap();
    let text = format!("127.0.0.1:{first},ssl=true,sslCaFile={ca}");
    let (one, other) = (connected(&text).await, connected(&text).await);
    conform(&one, &other, Targets::OnSeveralNodes).await;
    for server in &cluster.servers {
        let clients = server.command(&["CLIENT", "LIST"]).await.unwrap();
        assert!(clients.matches("Hubline").count() >= 4, "each has links of both: {clients}");
    }
}

#[tokio::test]
async fn sentinels_and_their_master_are_reached_by_tls() {
    let certificates = Certificates::new(&["127.0.0.1"]).unwrap();
    let mut fleet = Sentinels::start_with_tls(&certificates).await.unwrap();
    let ca = certificates.authority().display().to_string();
    let text = format!("{},ssl=true,sslCaFile={ca}", fleet.connection_string());
    let here = Instance::connected(&text).await;
    fleet.servers[0].stop().await.unwrap();
    here.lost().await;
    fleet.agree_on(1).await.unwrap();
    here.status(|status| *status == Status::Connected).await;
    assert_eq!(here.publish(vec![Target::All], "on the replica").await.reach, Reach::Fleet);
}
