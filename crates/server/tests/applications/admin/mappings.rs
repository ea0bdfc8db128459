//! Mappings and providers.

use serde_json::{Value, json};

use super::*;

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
