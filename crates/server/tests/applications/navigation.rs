//! Navigation state on several instances over one Redis and one database.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use hubline::testing::TestClient;
use hubline::value::DateTime;
use hubline::{HubProtocol, Principal, Server};
use hubline_redis::RedisBackplane;
use hubline_server::navigation::{MODEL_SCOPE, Navigation, NavigationConfig};
use hubline_store::navigation::{Health, ImportMode, MappingValues, NavigationStore};
use hubline_store::{Store, StoreError, StoreOptions, sqlx};
use hubline_testkit::RedisServer;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt;

const STATE: &str = "NavigationStateChanged";
const MAPPING: &str = "ModelMappingChanged";
/// Longer than a test takes: what is told is told because somebody said so.
const NEVER: Duration = Duration::from_secs(3600);

/// The state as clients get it.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: i64,
    timestamp: f64,
    mappings: Vec<Mapping>,
    providers: Vec<Provider>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Mapping {
    id: i64,
    virtual_model_name: String,
    provider_model_name: String,
    provider_name: String,
    enabled: bool,
    priority: i32,
    updated_at: DateTime,
    /// Only in events, as the next.
    change_type: Option<String>,
    version: Option<i64>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Provider {
    name: String,
    health: String,
    detail: String,
    since: DateTime,
    /// Only in events, as the next.
    previous_health: Option<String>,
    version: Option<i64>,
}

impl State {
    fn names(&self) -> Vec<&str> {
        self.mappings.iter().map(|mapping| &*mapping.virtual_model_name).collect()
    }
}

impl Mapping {
    /// What happened to which model, at which version.
    fn told(&self) -> (&str, &str, i64) {
        (self.change_type.as_deref().unwrap(), &self.virtual_model_name, self.version.unwrap())
    }
}

fn values(name: &str, provider: &str) -> MappingValues {
    MappingValues {
        virtual_model_name: name.to_owned(),
        provider_model_name: "served".to_owned(),
        provider_name: provider.to_owned(),
        enabled: true,
        priority: 0,
    }
}

fn config(version_check_interval: Duration) -> NavigationConfig {
    let mut config = NavigationConfig::default();
    config.version_check_interval = version_check_interval;
    config
}

struct Instance {
    navigation: Navigation,
    mappings: NavigationStore,
    _server: Server,
}

impl Instance {
    async fn start(redis: &RedisServer, store: &Store, config: NavigationConfig) -> Self {
        let backplane = RedisBackplane::connect(redis.connection_string().parse().unwrap()).await.unwrap();
        let channels = Some(backplane.raw_channels());
        let server = Server::builder().backplane(backplane).build();
        let mappings = NavigationStore::new(store.clone());
        let navigation = Navigation::start(&server, |hub| hub, config, mappings.clone(), channels);
        let instance = Self { navigation, mappings, _server: server };
        // It has read the database once, and what it has heard until then changes nothing.
        instance.client().await.close().await;
        instance
    }

    /// One that knows no others.
    fn alone(store: &Store, config: NavigationConfig) -> Self {
        let server = Server::new();
        let mappings = NavigationStore::new(store.clone());
        let navigation = Navigation::start(&server, |hub| hub, config, mappings.clone(), None);
        Self { navigation, mappings, _server: server }
    }

    /// A client that has asked for the state.
    async fn client(&self) -> TestClient {
        self.client_with(None, HubProtocol::Json).await
    }

    async fn client_with(&self, models: Option<&[&str]>, protocol: HubProtocol) -> TestClient {
        let mut principal = Principal::builder().user("somebody");
        for model in models.unwrap_or_default() {
            principal = principal.claim(MODEL_SCOPE, *model);
        }
        let connect = TestClient::connect(self.navigation.hub()).protocol(protocol);
        let client = connect.principal(principal.build()).await;
        asked(&client).await;
        client
    }
}

/// The state that a client asks for, as it is returned and sent. What was sent to all before is left out.
async fn asked(client: &TestClient) -> State {
    let returned: State = client.invoke("RequestCurrentState", ()).await;
    while state(client).await != returned {}
    returned
}

/// The next state that comes.
async fn state(client: &TestClient) -> State {
    client.expect::<(State,)>(STATE).await.0
}

/// The next change of a mapping that comes.
async fn change(client: &TestClient) -> Mapping {
    client.expect::<(Mapping,)>(MAPPING).await.0
}

async fn fleet<const N: usize>(redis: &RedisServer, store: &Store) -> [Instance; N] {
    let instances =
        futures_util::future::join_all((0..N).map(|_| Instance::start(redis, store, config(NEVER))));
    let Ok(instances) = instances.await.try_into() else { panic!("as many as were started") };
    // Nobody looks at the database by himself, so all have to hear of changes.
    let all_listen = |answer: &str| answer.lines().last() == Some(&*N.to_string());
    redis.command_until(&["PUBSUB", "NUMSUB", "hubline:navigation-state"], all_listen).await.unwrap();
    instances
}

async fn in_memory() -> Store {
    Store::open(StoreOptions::in_memory()).await.unwrap()
}

/// Receives states until there is one of this version; versions never go back.
async fn state_of(client: &TestClient, version: i64) -> State {
    let mut last = 0;
    loop {
        let state = state(client).await;
        assert!(state.version >= last, "{} after {last}", state.version);
        last = state.version;
        if last == version {
            return state;
        }
    }
}

#[tokio::test]
async fn every_change_reaches_every_client_of_every_instance() {
    let (redis, store) = (RedisServer::start().await.unwrap(), in_memory().await);
    let instances = fleet::<3>(&redis, &store).await;
    let mut clients = Vec::new();
    for instance in &instances {
        for protocol in HubProtocol::ALL {
            clients.push(instance.client_with(None, protocol).await);
        }
    }
    instances[0].mappings.create(values("gpt", "openai"), "ada").await.unwrap();
    let mut disabled = values("gpt", "openai");
    disabled.enabled = false;
    instances[1].mappings.update(1, disabled, None, "ada").await.unwrap();
    instances[2].mappings.set_provider_health("openai", Health::Degraded, "slow", "probe").await.unwrap();
    instances[2].mappings.delete(1, None, "ada").await.unwrap();
    for client in &clients {
        for (told, enabled) in
            [(("Created", "gpt", 1), true), (("Updated", "gpt", 2), false), (("Deleted", "gpt", 4), false)]
        {
            let changed = change(client).await;
            assert_eq!((changed.told(), changed.enabled, changed.id), (told, enabled, 1));
            assert_eq!((&*changed.provider_name, &*changed.provider_model_name), ("openai", "served"));
        }
        let (provider,): (Provider,) = client.expect("ProviderHealthChanged").await;
        assert_eq!((&*provider.name, &*provider.health, provider.version), ("openai", "Degraded", Some(3)));
        assert_eq!(provider.previous_health.as_deref(), Some("Unknown"));
        let state = state_of(client, 4).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((0.0..30.0).contains(&(now - state.timestamp)), "{}", state.timestamp);
        assert_eq!((state.mappings.len(), &*state.providers[0].detail), (0, "slow"));
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_trigger_repeats_the_version_to_all() {
    let (redis, store) = (RedisServer::start().await.unwrap(), in_memory().await);
    let instances = fleet::<2>(&redis, &store).await;
    let clients = [instances[0].client().await, instances[1].client().await];
    instances[0].mappings.create(values("gpt", "openai"), "ada").await.unwrap();
    for client in &clients {
        state_of(client, 1).await;
    }
    for instance in &instances {
        assert_eq!(instance.navigation.trigger().await.unwrap(), 2);
        let [one, other] = [state(&clients[0]).await, state(&clients[1]).await];
        assert_eq!((one.version, one.names()), (1, vec!["gpt"]));
        assert_eq!(one, other, "the timestamp too");
    }
}

/// Three instances change things as fast as they can.
#[tokio::test]
async fn many_changes_are_few_states_and_each_change_is_told_once() {
    const EACH: usize = 40;
    let (redis, store) = (RedisServer::start().await.unwrap(), in_memory().await);
    let instances = fleet::<3>(&redis, &store).await;
    let mut clients = Vec::new();
    for instance in &instances {
        clients.push(instance.client().await);
    }
    let began = Instant::now();
    let change_all = async |who: usize| {
        for n in 0..EACH {
            instances[who].mappings.create(values(&format!("{who}-{n}"), "openai"), "ada").await.unwrap();
        }
    };
    tokio::join!(change_all(0), change_all(1), change_all(2));
    let last = i64::try_from(3 * EACH).unwrap();
    for (client, instance) in clients.iter().zip(&instances) {
        for version in 1..=last {
            assert_eq!(change(client).await.version, Some(version));
        }
        assert_eq!(state_of(client, last).await.mappings.len(), 3 * EACH);
        let sent = instance.navigation.counters().states_sent.load(Ordering::Relaxed);
        let most = began.elapsed().as_millis() / 25 + 2;
        assert!(u128::from(sent) <= most, "{sent} states, {most} at most");
    }
}

#[tokio::test]
async fn an_import_is_one_notification_and_subscribers_hear_of_their_model() {
    let (redis, store) = (RedisServer::start().await.unwrap(), in_memory().await);
    let [here, there] = fleet(&redis, &store).await;
    let client = there.client().await;
    for alias in ["gpt", "claude"] {
        () = client.invoke("SubscribeToModel", (alias,)).await;
    }
    () = client.invoke("UnsubscribeFromModel", ("claude",)).await;
    let imported = ["claude", "gpt", "llama"].map(|name| values(name, "one")).to_vec();
    here.mappings.import(imported, ImportMode::Merge, "ada").await.unwrap();
    let (update,): (Mapping,) = client.expect("ModelUpdate").await;
    assert_eq!(update.told(), ("Created", "gpt", 1));
    assert_eq!(state(&client).await.names(), ["claude", "gpt", "llama"]);
    client.expect_nothing().await;

    here.mappings.update(2, values("gpt-5", "one"), None, "ada").await.unwrap();
    let (gone,): (Mapping,) = client.expect("ModelUpdate").await;
    assert_eq!(gone.told(), ("Deleted", "gpt", 2));
    assert_eq!(change(&client).await.told(), ("Updated", "gpt-5", 2));
    for wrong in [String::new(), "x".repeat(201)] {
        assert!(client.invoke_error("SubscribeToModel", (wrong,)).await.contains("1 to 200 characters"));
    }
}

#[tokio::test]
async fn a_key_sees_its_models_alone() {
    let (redis, store) = (RedisServer::start().await.unwrap(), in_memory().await);
    let [here, there] = fleet(&redis, &store).await;
    let all = there.client().await;
    here.mappings.create(values("open", "one"), "ada").await.unwrap();
    here.mappings.create(values("secret", "two"), "ada").await.unwrap();
    state_of(&all, 2).await;
    let bounded = there.client_with(Some(&["open", "more"]), HubProtocol::Json).await;
    let none = there.client_with(Some(&[""]), HubProtocol::Json).await;
    let seen = asked(&bounded).await;
    assert_eq!((seen.names(), seen.version, seen.providers.len()), (vec!["open"], 2, 1));
    assert!(bounded.invoke_error("SubscribeToModel", ("secret",)).await.contains("with this key"));

    // What it does not see happens without it.
    here.mappings.delete(2, None, "ada").await.unwrap();
    here.mappings.set_provider_health("two", Health::Unhealthy, "", "probe").await.unwrap();
    state_of(&all, 4).await;
    here.mappings.create(values("more", "two"), "ada").await.unwrap();
    assert_eq!(change(&bounded).await.told(), ("Created", "more", 5));
    let seen = state(&bounded).await;
    assert_eq!((seen.names(), seen.version), (vec!["more", "open"], 5));
    bounded.expect_nothing().await;
    none.expect_nothing().await;

    // A trigger goes to all, each with what it sees.
    here.navigation.trigger().await.unwrap();
    let seen = state(&none).await;
    assert!(seen.mappings.is_empty() && seen.providers.is_empty(), "{seen:?}");
}

/// An instance that dies after it has stored a change tells nobody.
#[tokio::test]
async fn a_change_that_nobody_announces_is_found() {
    let (redis, store) = (RedisServer::start().await.unwrap(), in_memory().await);
    let seldom = Instance::start(&redis, &store, config(NEVER)).await;
    let often = Instance::start(&redis, &store, config(Duration::from_millis(100))).await;
    let clients = [seldom.client().await, often.client().await];
    NavigationStore::new(store).create(values("gpt", "openai"), "ada").await.unwrap();
    assert_eq!(change(&clients[1]).await.told(), ("Created", "gpt", 1));
    assert_eq!(state(&clients[1]).await.names(), ["gpt"]);
    // Who asks gets what the database has, not what was read before.
    let returned: State = clients[0].invoke("RequestCurrentState", ()).await;
    assert_eq!(returned.version, 1);
}

#[tokio::test]
async fn without_redis_each_instance_tells_its_own_clients() {
    let (mut redis, store) = (RedisServer::start().await.unwrap(), in_memory().await);
    let [here, there] = [(); 2].map(|()| Instance::start(&redis, &store, config(Duration::from_millis(100))));
    let [here, there] = [here.await, there.await];
    let clients = [here.client().await, there.client().await];
    redis.stop().await.unwrap();
    here.mappings.create(values("gpt", "openai"), "ada").await.unwrap();
    for client in &clients {
        state_of(client, 1).await;
    }
    assert!(here.navigation.trigger().await.is_err());
}

#[tokio::test]
async fn while_the_database_is_away_the_last_state_is_told() {
    let store = in_memory().await;
    let table = async |sql: &'static str| {
        let work = store.write(move |db| {
            Box::pin(async move { Ok::<_, StoreError>(sqlx::query(sql).execute(&mut *db).await.map(drop)?) })
        });
        work.await.unwrap();
    };
    let mut on_connect = config(Duration::from_millis(100));
    on_connect.send_state_on_connect = true;
    let knows = Instance::alone(&store, on_connect);
    let client = TestClient::connect(knows.navigation.hub()).await;
    let on_connect = state(&client).await;
    assert_eq!((on_connect.version, on_connect.mappings.len()), (0, 0));

    table("ALTER TABLE navigation_state RENAME TO hidden").await;
    assert_eq!(asked(&client).await.version, 0);
    let started_meanwhile = Instance::alone(&store, config(Duration::from_millis(100)));
    let asking = TestClient::connect(started_meanwhile.navigation.hub()).await;
    assert!(asking.invoke_error("RequestCurrentState", ()).await.contains("database does not answer"));
    let (status, headers, body) = get(started_meanwhile.navigation.state_routes().into(), &[]).await;
    assert_eq!(
        (status, headers["content-type"].as_bytes()),
        (503, &b"application/problem+json"[..]),
        "{body}"
    );

    table("ALTER TABLE hidden RENAME TO navigation_state").await;
    // Who has asked in vain is told as soon as it can be read.
    assert_eq!(state(&asking).await.version, 0);
    table("UPDATE navigation_state SET version = 7").await;
    for client in [&client, &asking] {
        state_of(client, 7).await;
    }
    // An older copy of the database: clients follow it.
    table("UPDATE navigation_state SET version = 3").await;
    for client in [&client, &asking] {
        assert_eq!(state(client).await.version, 3);
    }
}

async fn get(routes: Router, headers: &[(&str, &str)]) -> (u16, axum::http::HeaderMap, Value) {
    let request = Request::get("/api/navigation-state");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1_000_000).await.unwrap();
    (parts.status.as_u16(), parts.headers, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn the_state_over_http_has_its_version_as_tag() {
    let store = in_memory().await;
    let instance = Instance::alone(&store, config(NEVER));
    let read = |body: Value| serde_json::from_value::<State>(body).unwrap();
    let routes = || Router::from(instance.navigation.state_routes());
    let (status, headers, body) = get(routes(), &[]).await;
    assert_eq!((status, &headers["etag"], &body["version"]), (200, &"W/\"0\"".parse().unwrap(), &0.into()));
    instance.mappings.create(values("gpt", "openai"), "ada").await.unwrap();
    let (status, headers, body) = get(routes(), &[("if-none-match", "W/\"0\"")]).await;
    assert_eq!((status, read(body).names()), (200, vec!["gpt"]));
    let tag = headers["etag"].to_str().unwrap();
    assert_eq!(tag, "W/\"1\"");
    let (status, headers, body) = get(routes(), &[("if-none-match", tag)]).await;
    assert_eq!((status, &headers["etag"], body), (304, &tag.parse().unwrap(), Value::Null));
    let key = Principal::builder().claim(MODEL_SCOPE, "other").build();
    let routes = routes().layer(axum::Extension(std::sync::Arc::new(key)));
    let (status, headers, body) = get(routes, &[("if-none-match", tag)]).await;
    assert_eq!((status, read(body).mappings.len()), (200, 0), "another scope is another state");
    assert!(headers["etag"].to_str().unwrap().starts_with("W/\"1-"));
}
