//! The admin API, in process on both databases and, in [`program`], as the program serves it.

mod access;
mod keys;
mod mappings;
mod mistakes;
mod program;
mod virtual_keys;

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hubline_server::admin::{Admin, AdminConfig, ConfiguredKey};
use hubline_store::Store;
use hubline_store::navigation::NavigationStore;
use hubline_testkit::{PostgresServer, free_port};
use serde_json::{Value, json};
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;

const STRONG: &str = "0123456789abcdef0123456789abcdef";
const WEAK: &str = "your-admin-key";
const KEYS: &str = "/api/admin/keys";
const MAPPINGS: &str = "/api/admin/model-mappings";

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

/// A database that is away.
async fn absent() -> Store {
    let url = format!("postgres://hubline:hubline@127.0.0.1:{}/hubline", free_port());
    Store::open(url.parse().unwrap()).await.unwrap()
}

fn mapping(name: &str, provider: &str) -> Value {
    json!({"virtualModelName": name, "providerModelName": "gpt-3.5-turbo", "providerName": provider})
}

/// Actor and action of all that is audited, oldest first.
async fn acts(store: &Store) -> Vec<String> {
    use hubline_store::clinic::audit;
    let list =
        store.read(|db| Box::pin(async move { audit::list(db, &audit::AuditFilter::default(), 100).await }));
    list.await.unwrap().iter().rev().map(|entry| format!("{} {}", entry.actor, entry.action)).collect()
}
