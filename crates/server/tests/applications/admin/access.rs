//! Who may use it.

use hubline_auth::AllowedOrigins;
use serde_json::{Value, json};

use super::*;

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
