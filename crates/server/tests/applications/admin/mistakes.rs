//! What does not fit the description, by mistake or on purpose.

use serde_json::{Value, json};

use super::*;

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
