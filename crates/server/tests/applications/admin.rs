//! The admin API: who may use it, and its keys.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Extension};
use axum::http::{Request, Response, Uri};
use axum::routing::get;
use hubline::Principal;
use hubline_auth::AllowedOrigins;
use hubline_server::admin::{Admin, AdminConfig, ConfiguredKey};
use hubline_store::clinic::bans;
use hubline_store::navigation::NavigationStore;
use hubline_store::{Store, Timestamp};
use hubline_testkit::{PostgresServer, free_port};
use serde_json::{Value, json};
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;

const STRONG: &str = "0123456789abcdef0123456789abcdef";
const WEAK: &str = "your-admin-key";
const KEYS: &str = "/api/admin/keys";

/// The API in process, as clients of one address see it.
struct Api {
    routes: Router,
    admin: Admin,
}

impl Api {
    fn new(config: AdminConfig, store: &Store) -> Self {
        let admin = Admin::new(config, store.clone(), NavigationStore::new(store.clone()));
        Self { routes: admin.serve(OpenApiRouter::default()).0, admin }
    }

    async fn send(&self, line: &str, headers: &[(&str, &str)], body: Value) -> Response<Body> {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request = request.extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 1))));
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        self.routes.clone().oneshot(request.body(body).unwrap()).await.unwrap()
    }

    /// Status and body of an answer, which is a problem if it fails.
    async fn ask(&self, line: &str, key: &str, body: Value) -> (u16, Value) {
        let authorization = format!("Bearer {key}");
        let headers = [("authorization", authorization.as_str())];
        let headers = if key.is_empty() { &[][..] } else { &headers[..] };
        let response = self.send(line, headers, body).await;
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(response.headers()["content-type"], "application/problem+json", "{line}");
        }
        let body = to_bytes(response.into_body(), 1_000_000).await.unwrap();
        (status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn status(&self, line: &str, key: &str) -> u16 {
        self.ask(line, key, Value::Null).await.0
    }

    async fn make_key(&self, with: &str, path: &str, body: Value) -> (String, String) {
        let (status, made) = self.ask(&format!("POST {path}"), with, body).await;
        assert_eq!(status, 201, "{made}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["key"]["id"]), text(&made["secret"]))
    }
}

/// Runs a test on each database.
async fn each(test: impl AsyncFn(Store)) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", directory.path().join("test.db").display());
    test(Store::open(url.parse().unwrap()).await.unwrap()).await;
    let database = PostgresServer::shared().await.unwrap().database().await.unwrap();
    test(Store::open(database.url().parse().unwrap()).await.unwrap()).await;
}

async fn sqlite() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", directory.path().join("test.db").display());
    (directory, Store::open(url.parse().unwrap()).await.unwrap())
}

fn development() -> AdminConfig {
    AdminConfig { is_open_without_keys: true, ..AdminConfig::default() }
}

fn configured(keys: &[&str]) -> AdminConfig {
    let parse =
        |(place, key): (usize, &&str)| ConfiguredKey::parse(&format!("Admin:ApiKeys:{place}"), key).unwrap();
    AdminConfig { keys: keys.iter().enumerate().map(parse).collect(), ..AdminConfig::default() }
}

#[tokio::test]
async fn without_any_key_it_is_open_in_development_and_off_elsewhere() {
    let (_directory, store) = sqlite().await;
    let off = Api::new(AdminConfig::default(), &store);
    for key in ["", "any-key"] {
        let (status, problem) = off.ask("GET /api/admin/keys", key, Value::Null).await;
        assert_eq!(status, 403);
        assert!(problem["detail"].as_str().unwrap().contains("Admin__ApiKey"), "{problem}");
    }
    let open = Api::new(development(), &store);
    for key in ["", "any-key", WEAK] {
        assert_eq!(open.status("GET /api/admin/keys", key).await, 200, "{key}");
    }
    assert_eq!(open.ask("POST /api/admin/keys", "", json!({"name": "ci", "scope": "read"})).await.0, 409);
    let (id, secret) = open.make_key("", KEYS, json!({"name": "ci", "scope": "full"})).await;
    for api in [&open, &off, &Api::new(development(), &store)] {
        for key in ["", "any-key"] {
            assert_ne!(api.status("GET /api/admin/keys", key).await, 200, "a key closes it");
        }
        assert_eq!(open.status("GET /api/admin/keys", &secret).await, 200);
    }
    assert_eq!(open.status(&format!("POST /api/admin/keys/{id}/revoke"), &secret).await, 200);
    assert_eq!(open.status("GET /api/admin/keys", "").await, 401, "and it stays closed without that key");
}

#[tokio::test]
async fn pages_of_other_sites_cannot_use_what_is_open() {
    let (_directory, store) = sqlite().await;
    let origins = AllowedOrigins::List(vec!["null".parse().unwrap()]);
    let open = Api::new(AdminConfig { origins, ..development() }, &store);
    for (origin, status) in [("https://evil.example", 403), ("http://localhost:5000", 200), ("null", 200)] {
        for line in ["GET /api/admin/keys", "POST /api/admin/keys", "DELETE /api/admin/model-mappings/1"] {
            let headers = [("origin", origin), ("host", "localhost:5000")];
            let answered = open.send(line, &headers, Value::Null).await.status().as_u16();
            assert_eq!(answered == 403, status == 403, "{line} from {origin}: {answered}");
        }
    }
    let closed = Api::new(configured(&[STRONG]), &store);
    let bearer = format!("Bearer {STRONG}");
    let headers = [("origin", "https://evil.example"), ("authorization", bearer.as_str())];
    let answer = closed.send("GET /api/admin/keys", &headers, Value::Null).await;
    assert_eq!(answer.status(), 200, "no page has the key without being told");
}

#[tokio::test]
async fn only_a_right_key_in_its_header_gets_in_and_wrong_ones_have_to_wait() {
    let (_directory, store) = sqlite().await;
    let api = Api::new(configured(&[WEAK, STRONG]), &store);
    for key in [WEAK, STRONG] {
        assert_eq!(api.status("GET /api/admin/keys", key).await, 200);
    }
    for header in
        [STRONG.to_owned(), format!("Basic {STRONG}"), format!("bearer {STRONG}x"), "Bearer".to_owned()]
    {
        let answer = api.send("GET /api/admin/keys", &[("authorization", &header)], Value::Null).await;
        assert_eq!(answer.status(), 401, "{header}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    }
    for in_url in ["access_token", "key", "api_key"] {
        assert_eq!(api.status(&format!("GET /api/admin/keys?{in_url}={STRONG}"), "").await, 401, "{in_url}");
    }
    assert_eq!(api.status("GET /api/admin/nothing", "").await, 401, "strangers learn no paths");
    assert_eq!(api.status("GET /api/admin/nothing", STRONG).await, 404);
    assert_eq!(api.status("PATCH /api/admin/keys", STRONG).await, 405);
    assert_eq!(api.status("PATCH /api/admin/keys", "").await, 401);
    let elsewhere = api.send("GET /elsewhere", &[], Value::Null).await;
    assert_eq!((elsewhere.status().as_u16(), elsewhere.headers().get("content-type")), (404, None));

    for _ in 0..29 {
        assert_eq!(api.status("GET /api/admin/keys", "wrong-key").await, 401);
    }
    for key in ["wrong-key", WEAK] {
        let bearer = format!("Bearer {key}");
        let answer = api.send("GET /api/admin/keys", &[("authorization", &bearer)], Value::Null).await;
        assert_eq!(answer.status(), 429, "{key}: it may be guessed");
        assert!(answer.headers().contains_key("retry-after"));
    }
    assert_eq!(api.status("GET /api/admin/keys", STRONG).await, 200, "nobody guesses this one");
    let statistics = api.admin.statistics();
    assert_eq!((statistics.unauthorized, statistics.limited), (38, 2));
}

#[tokio::test]
async fn a_key_does_what_its_scope_says_and_every_change_is_audited() {
    each(async |store| {
        let api = Api::new(configured(&[STRONG]), &store);
        let (_, reader) = api.make_key(STRONG, KEYS, json!({"name": "reader", "scope": "read"})).await;
        let (_, writer) = api.make_key(STRONG, KEYS, json!({"name": "writer", "scope": "write"})).await;
        let (full_id, full) = api
            .make_key(STRONG, KEYS, json!({"name": "full", "scope": "full", "expiresInSeconds": 3600}))
            .await;
        for key in [&reader, &writer] {
            let (status, problem) = api.ask("GET /api/admin/keys", key, Value::Null).await;
            assert_eq!(status, 403);
            assert!(problem["detail"].as_str().unwrap().contains("scope full"), "{problem}");
        }
        let (status, taken) =
            api.ask("POST /api/admin/keys", &full, json!({"name": "reader", "scope": "read"})).await;
        assert!(status == 409 && taken["errors"]["name"].is_array(), "{taken}");
        let models = json!({"name": "team", "models": ["gpt-4", "claude"]});
        let (team, team_secret) = api.make_key(&full, "/api/admin/virtual-keys", models).await;
        assert_eq!(
            api.status("GET /api/admin/keys", &team_secret).await,
            401,
            "a virtual key is none of these"
        );
        let (_, shown) = api.ask(&format!("GET /api/admin/virtual-keys/{team}"), &full, Value::Null).await;
        assert_eq!(shown["models"], json!(["claude", "gpt-4"]));
        assert!(!shown.to_string().contains(&team_secret) && shown["lastUsedAt"].is_null());

        let rotate = format!("POST /api/admin/keys/{full_id}/rotate");
        let (status, rotated) = api.ask(&rotate, &full, json!({"overlapSeconds": 0})).await;
        assert_eq!(status, 200, "{rotated}");
        assert_eq!(api.status("GET /api/admin/keys", &full).await, 401);
        let second = rotated["secret"].as_str().unwrap();
        let (_, rotated) = api.ask(&rotate, second, json!({})).await;
        let third = rotated["secret"].as_str().unwrap();
        for key in [second, third] {
            assert_eq!(api.status("GET /api/admin/keys", key).await, 200, "they overlap for a day");
        }
        assert_eq!(api.status(&format!("POST /api/admin/virtual-keys/{team}/revoke"), third).await, 200);
        assert_eq!(api.status(&format!("POST /api/admin/virtual-keys/{team}/revoke"), third).await, 404);
        assert_eq!(
            acts(&store).await,
            [
                "admin:Admin:ApiKeys:0 key.create",
                "admin:Admin:ApiKeys:0 key.create",
                "admin:Admin:ApiKeys:0 key.create",
                "admin:full key.create",
                "admin:full key.rotate",
                "admin:full key.rotate",
                "admin:full key.revoke",
            ]
        );
    })
    .await;
}

/// A database that is away.
async fn absent() -> Store {
    let url = format!("postgres://hubline:hubline@127.0.0.1:{}/hubline", free_port());
    Store::open(url.parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn while_the_database_cannot_be_asked_only_a_configured_key_gets_in() {
    let store = absent().await;
    let open = Api::new(development(), &store);
    let stored = format!("hubadm_{}_{}", "0".repeat(16), "0".repeat(64));
    for key in ["", "any-key", &stored] {
        let (status, problem) = open.ask("GET /api/admin/nothing", key, Value::Null).await;
        assert_eq!(status, 503, "{key}: never open");
        assert!(problem["detail"].as_str().unwrap().contains("Admin__ApiKey"), "{problem}");
    }
    let api = Api::new(configured(&[WEAK]), &store);
    for (key, status) in [(WEAK, 404), ("wrong-key", 401), ("", 401), (&stored, 503)] {
        assert_eq!(api.status("GET /api/admin/nothing", key).await, status, "{key}");
    }
    let (status, problem) = api.ask("POST /api/admin/model-mappings", WEAK, mapping("a", "b")).await;
    assert!(status == 503 && problem["detail"].as_str().unwrap().contains("database"), "{problem}");
}

/// A hub's routes behind virtual keys: what they see of the request.
async fn as_seen(admin: &Admin, uri: &str, bearer: &str) -> (u16, String) {
    let hub = async |uri: Uri, principal: Option<Extension<Arc<Principal>>>| {
        let who = principal.map(|Extension(who)| who);
        let models: Vec<String> =
            who.iter().flat_map(|who| who.claims("model_scope").map(str::to_owned)).collect();
        let user = who.and_then(|who| who.name_identifier.clone().map(|user| user.as_str().to_owned()));
        format!("{uri} {} {models:?}", user.as_deref().unwrap_or("nobody"))
    };
    let routes = admin.identify(Router::new().route("/hub", get(hub)));
    let mut request = Request::builder().uri(uri);
    if !bearer.is_empty() {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    let answer = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), 10_000).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_virtual_key_is_a_user_who_sees_its_models_and_is_kept_out_once_it_is_revoked() {
    let (_directory, store) = sqlite().await;
    let (told, mut out) = tokio::sync::mpsc::channel(1);
    let mut api = Api::new(configured(&[STRONG]), &store);
    api.admin = api.admin.clone().keeping_out(move |user, _| {
        let told = told.clone();
        Box::pin(async move { told.send(user).await.unwrap() })
    });
    api.routes = api.admin.serve(OpenApiRouter::default()).0;
    let make = async |body| api.make_key(STRONG, "/api/admin/virtual-keys", body).await;
    let (id, two) = make(json!({"name": "two", "models": ["b", "a"]})).await;
    let (_, none) = make(json!({"name": "none", "models": []})).await;
    let (_, all) = make(json!({"name": "all"})).await;

    let seen = format!("/hub?id=1 virtual-key:{id} [\"a\", \"b\"]");
    assert_eq!(as_seen(&api.admin, "/hub?id=1", &two).await, (200, seen.clone()));
    assert_eq!(as_seen(&api.admin, &format!("/hub?access_token={two}&id=1"), "").await, (200, seen));
    assert!(as_seen(&api.admin, "/hub", &none).await.1.ends_with("[\"\"]"));
    assert!(as_seen(&api.admin, "/hub", &all).await.1.ends_with("[]"));
    assert_eq!(as_seen(&api.admin, "/hub", "").await, (200, "/hub nobody []".to_owned()), "not required");
    assert_eq!(
        as_seen(&api.admin, "/hub", "a.users.token").await.1,
        "/hub nobody []",
        "for others to verify"
    );
    let wrong = format!("{}{}", &two[..two.len() - 1], if two.ends_with('0') { '1' } else { '0' });
    assert_eq!(as_seen(&api.admin, "/hub", &wrong).await.0, 401);

    let required = AdminConfig { requires_virtual_key: true, ..configured(&[STRONG]) };
    let required = Api::new(required, &store);
    for (token, status) in [("", 401), ("a.users.token", 401), (STRONG, 401), (two.as_str(), 200)] {
        assert_eq!(as_seen(&required.admin, "/hub", token).await.0, status, "{token}");
    }

    assert_eq!(api.status(&format!("POST /api/admin/virtual-keys/{id}/revoke"), STRONG).await, 200);
    assert_eq!(out.recv().await, Some(format!("virtual-key:{id}")));
    let banned = store.read(|db| Box::pin(async move { bans::list(db, Timestamp::now(), None, 10).await }));
    assert_eq!(banned.await.unwrap()[0].user, format!("virtual-key:{id}"), "also where nobody could be told");
    let other = Api::new(configured(&[STRONG]), &store);
    assert_eq!(as_seen(&other.admin, "/hub", &two).await.0, 401);
    assert_eq!(as_seen(&Api::new(development(), &absent().await).admin, "/hub", &two).await.0, 503);
    assert_eq!(other.admin.statistics().virtual_keys, 1);
}

const MAPPINGS: &str = "/api/admin/model-mappings";

fn mapping(name: &str, provider: &str) -> Value {
    json!({"virtualModelName": name, "providerModelName": "gpt-3.5-turbo", "providerName": provider})
}

#[tokio::test]
async fn mappings_are_made_listed_changed_and_deleted_and_every_change_can_be_told() {
    each(async |store| {
        let api = Api::new(configured(&[STRONG]), &store);
        let bearer = format!("Bearer {STRONG}");
        let made = api
            .send("POST /api/admin/model-mappings", &[("authorization", &bearer)], mapping("a", "openai"))
            .await;
        assert_eq!(
            (made.status().as_u16(), &made.headers()["location"], &made.headers()["etag"]),
            (201, &"/api/admin/model-mappings/1".parse().unwrap(), &"\"1\"".parse().unwrap())
        );
        let (status, twice) = api.ask("POST /api/admin/model-mappings", STRONG, mapping("a", "openai")).await;
        assert!(status == 409 && twice["errors"]["virtualModelName"].is_array(), "{twice}");
        assert_eq!(api.ask("POST /api/admin/model-mappings", STRONG, mapping("a", "azure")).await.0, 201);

        let (_, list) = api
            .ask(
                &format!("GET {MAPPINGS}?virtualModelName=a&providerName=azure&enabled=true"),
                STRONG,
                Value::Null,
            )
            .await;
        assert_eq!((&list["total"], &list["items"][0]["id"]), (&json!(1), &json!(2)));
        let (_, page) = api.ask(&format!("GET {MAPPINGS}?offset=1&limit=1"), STRONG, Value::Null).await;
        assert_eq!((&page["total"], &page["items"][0]["providerName"]), (&json!(2), &json!("azure")));
        for injection in ["a' OR '1'='1", "a%25", "%00"] {
            let path = format!("GET {MAPPINGS}?virtualModelName={}", injection.replace(' ', "%20"));
            let (status, found) = api.ask(&path, STRONG, Value::Null).await;
            assert!(status == 400 || found["total"] == json!(0), "{injection}: {found}");
        }

        // What was read may be sent back as it is, with a change in it.
        let (_, mut read) = api.ask("GET /api/admin/model-mappings/1", STRONG, Value::Null).await;
        read["priority"] = json!(5);
        let put = async |tag: &str| {
            let headers = [("authorization", bearer.as_str()), ("if-match", tag)];
            let headers = if tag.is_empty() { &headers[..1] } else { &headers[..] };
            api.send("PUT /api/admin/model-mappings/1", headers, read.clone()).await
        };
        assert_eq!(put("\"2\"").await.status(), 412);
        assert_eq!(put("two").await.status(), 400);
        let changed = put("\"1\"").await;
        assert_eq!((changed.status().as_u16(), &changed.headers()["etag"]), (200, &"\"2\"".parse().unwrap()));
        assert_eq!(put("").await.status(), 200, "honoured, not demanded");
        let has = [("authorization", bearer.as_str()), ("if-none-match", "\"2\"")];
        assert_eq!(api.send("GET /api/admin/model-mappings/1", &has, Value::Null).await.status(), 304);
        let old = [("authorization", bearer.as_str()), ("if-match", "\"1\"")];
        assert_eq!(api.send("DELETE /api/admin/model-mappings/1", &old, Value::Null).await.status(), 412);
        assert_eq!(api.status("DELETE /api/admin/model-mappings/1", STRONG).await, 204);
        for missing in ["1", "0", "-1", "one", "99999999999999999999"] {
            assert_eq!(api.status(&format!("GET {MAPPINGS}/{missing}"), STRONG).await, 404, "{missing}");
        }

        let (_, changes) = api.ask("GET /api/admin/changes?mappingId=1&limit=2", STRONG, Value::Null).await;
        let [deleted, updated] = [&changes["items"][0], &changes["items"][1]];
        assert_eq!(
            (&deleted["kind"], &deleted["actor"], &deleted["after"]),
            (&json!("deleted"), &json!("admin:Admin:ApiKeys:0"), &Value::Null)
        );
        assert_eq!((&updated["before"]["priority"], &updated["after"]["priority"]), (&json!(0), &json!(5)));
        let next = changes["next"].as_str().unwrap();
        let (_, rest) =
            api.ask(&format!("GET /api/admin/changes?mappingId=1&after={next}"), STRONG, Value::Null).await;
        assert_eq!(
            (&rest["items"][0]["kind"], &rest["items"][0]["before"]),
            (&json!("created"), &Value::Null)
        );
        let acts = acts(&store).await;
        let expected =
            ["mapping.create", "mapping.create", "mapping.update", "mapping.update", "mapping.delete"];
        assert_eq!(acts, expected.map(|act| format!("admin:Admin:ApiKeys:0 {act}")));
    })
    .await;
}

#[tokio::test]
async fn an_export_is_an_import_and_an_import_is_one_change() {
    each(async |store| {
        let api = Api::new(configured(&[STRONG]), &store);
        for name in ["a", "b"] {
            api.ask("POST /api/admin/model-mappings", STRONG, mapping(name, "openai")).await;
        }
        let (_, mut export) = api.ask(&format!("GET {MAPPINGS}/export"), STRONG, Value::Null).await;
        let import = format!("POST {MAPPINGS}/import");
        let (status, same) = api.ask(&import, STRONG, export.clone()).await;
        assert_eq!((status, &same["unchanged"], &same["version"]), (200, &json!(2), &json!(2)));
        export["mappings"][0]["enabled"] = json!(false);
        export["mappings"][1] = mapping("c", "azure");
        export["mode"] = json!("replace");
        let (_, outcome) = api.ask(&import, STRONG, export).await;
        assert_eq!(outcome, json!({"version": 3, "created": 1, "updated": 1, "deleted": 1, "unchanged": 0}));
        let (_, changes) = api.ask("GET /api/admin/changes", STRONG, Value::Null).await;
        assert!(
            changes["items"].as_array().unwrap()[..3]
                .iter()
                .all(|change| change["version"] == json!(3) && change["inBulk"] == json!(true))
        );

        let (status, twice) =
            api.ask(&import, STRONG, json!({"mappings": [mapping("x", "y"), mapping("x", "y")]})).await;
        assert!(status == 409 && twice["errors"]["mappings[1]"].is_array(), "{twice}");
        let (status, wrong) =
            api.ask(&import, STRONG, json!({"mappings": [mapping("x", "y"), mapping(" ", "y")]})).await;
        assert!(status == 400 && wrong["errors"]["mappings[1].virtualModelName"].is_array(), "{wrong}");
        let (status, array) = api.ask(&import, STRONG, json!({"mappings": [["x", "y", "z"]]})).await;
        assert!(status == 400 && array["errors"]["mappings[0]"].is_array(), "{array}");
        let large = "x".repeat(5 * 1024 * 1024);
        assert_eq!(api.ask(&import, STRONG, json!({"mappings": [mapping(&large, "y")]})).await.0, 413);
        assert_eq!(
            api.ask("POST /api/admin/model-mappings", STRONG, mapping(&large[..70_000], "y")).await.0,
            413
        );
    })
    .await;
}

#[tokio::test]
async fn providers_have_a_health_and_stay_while_mappings_name_them() {
    let (_directory, store) = sqlite().await;
    let api = Api::new(configured(&[STRONG]), &store);
    api.ask("POST /api/admin/model-mappings", STRONG, mapping("a", "openai")).await;
    let health = json!({"health": "Degraded", "detail": "slow"});
    let (status, provider) = api.ask("PUT /api/admin/providers/openai/health", STRONG, health).await;
    assert_eq!((status, &provider["health"], &provider["detail"]), (200, &json!("Degraded"), &json!("slow")));
    let (status, provider) =
        api.ask("PUT /api/admin/providers/a%2Fb/health", STRONG, json!({"health": "Healthy"})).await;
    assert_eq!((status, &provider["name"]), (200, &json!("a/b")));
    let (_, page) = api.ask("GET /api/admin/providers?limit=1", STRONG, Value::Null).await;
    assert_eq!((&page["items"][0]["name"], &page["next"]), (&json!("a/b"), &json!("a/b")));
    let (_, page) = api.ask("GET /api/admin/providers?after=a%2Fb", STRONG, Value::Null).await;
    assert_eq!((&page["items"][0]["name"], &page["next"]), (&json!("openai"), &Value::Null));
    assert_eq!(api.status("DELETE /api/admin/providers/openai", STRONG).await, 409);
    assert_eq!(api.status("DELETE /api/admin/providers/a%2Fb", STRONG).await, 204);
    for missing in ["a%2Fb", "%00", "%ff"] {
        assert_eq!(
            api.status(&format!("GET /api/admin/providers/{missing}"), STRONG).await,
            404,
            "{missing}"
        );
    }
    let (status, wrong) =
        api.ask("PUT /api/admin/providers/openai/health", STRONG, json!({"health": "fine"})).await;
    assert!(status == 400 && wrong["errors"]["health"].is_array(), "{wrong}");
}

/// Actor and action of all that is audited, oldest first.
async fn acts(store: &Store) -> Vec<String> {
    use hubline_store::clinic::audit;
    let list =
        store.read(|db| Box::pin(async move { audit::list(db, &audit::AuditFilter::default(), 100).await }));
    list.await.unwrap().iter().rev().map(|entry| format!("{} {}", entry.actor, entry.action)).collect()
}

#[tokio::test]
async fn mistakes_name_their_field() {
    let (_directory, store) = sqlite().await;
    let api = Api::new(configured(&[STRONG]), &store);
    for (line, body, field) in [
        ("POST /api/admin/keys", json!({"name": "a"}), "scope"),
        ("POST /api/admin/keys", json!({"name": "a", "scope": "all"}), "scope"),
        ("POST /api/admin/keys", json!({"name": "Admin:ApiKey", "scope": "read"}), "name"),
        (
            "POST /api/admin/keys",
            json!({"name": "a", "scope": "read", "expiresInSeconds": 0}),
            "expiresInSeconds",
        ),
        ("POST /api/admin/keys", json!({"name": "a", "scope": "read", "expires": 1}), "expires"),
        ("POST /api/admin/virtual-keys", json!({"name": "a", "models": [""]}), "models"),
        ("POST /api/admin/keys/1/rotate", json!({"overlapSeconds": 10_000_000}), "overlapSeconds"),
        ("GET /api/admin/keys?limit=0", Value::Null, "limit"),
        ("GET /api/admin/keys?limit=many", Value::Null, "limit"),
        ("GET /api/admin/keys?page=2", Value::Null, "page"),
    ] {
        let (status, problem) = api.ask(line, STRONG, body).await;
        assert!(status == 400 && problem["errors"][field].is_array(), "{line}: {status} {problem}");
    }
}
