//! Keys of administrators in the database.

use serde_json::{Value, json};

use super::*;

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
