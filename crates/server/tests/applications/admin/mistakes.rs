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
        (
            "POST /api/admin/model-mappings",
            json!({"virtualModelName": "a", "providerModelName": "b", "providerName": "c", "priority": null}),
            "priority",
        ),
        ("GET /api/admin/keys?limit=0", Value::Null, "limit"),
        ("GET /api/admin/keys?limit=many", Value::Null, "limit"),
        ("GET /api/admin/keys?page=2", Value::Null, "page"),
        ("GET /api/admin/keys?limit=1&limit=2", Value::Null, "limit"),
        ("GET /api/admin/keys?after=nothing", Value::Null, "after"),
        ("GET /api/admin/changes?after=0", Value::Null, "after"),
        ("GET /api/admin/changes?mappingId=99999999999999999999", Value::Null, "mappingId"),
        ("GET /api/admin/changes?limit=201", Value::Null, "limit"),
        ("GET /api/admin/model-mappings?offset=-1", Value::Null, "offset"),
        ("GET /api/admin/model-mappings?limit=1001", Value::Null, "limit"),
        ("GET /api/admin/model-mappings?providerName=a%00", Value::Null, "providerName"),
        ("GET /api/admin/providers?after=%00", Value::Null, "after"),
        ("GET /api/admin/keys/1?limit=1", Value::Null, "limit"),
        ("GET /api/admin/model-mappings/export?providerName=openai", Value::Null, "providerName"),
        ("GET /api/admin/model-mappings/1?fields=id", Value::Null, "fields"),
        ("GET /api/admin/model-mappings?providername=openai", Value::Null, "providername"),
        ("POST /api/admin/keys?dryRun=true", json!({"name": "a", "scope": "read"}), "dryRun"),
        ("DELETE /api/admin/model-mappings/1?force=true", Value::Null, "force"),
    ] {
        let (status, problem) = api.ask(line, STRONG, body).await;
        assert!(status == 400 && problem["errors"][field].is_array(), "{line}: {status} {problem}");
    }
}

/// Status and body of an answer to a body as it is.
async fn post(api: &Api, path: &str, content_type: &str, body: Vec<u8>) -> (u16, Value) {
    let request = Request::post(path).header("authorization", format!("Bearer {STRONG}"));
    let request = request.header("content-type", content_type).body(Body::from(body)).unwrap();
    let response = api.routes.clone().oneshot(request).await.unwrap();
    let (status, kind) = (response.status().as_u16(), response.headers()["content-type"].clone());
    assert!(status < 400 || kind == "application/problem+json", "{path}: {kind:?}");
    let body = to_bytes(response.into_body(), 1_000_000).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn floods_and_garbage_are_answered_with_what_is_wrong() {
    let (_directory, store) = sqlite().await;
    let api = Api::new(configured(&[STRONG]), &store);
    let import = format!("{MAPPINGS}/import");
    let many = |count: usize| {
        let mappings: Vec<Value> = (0..count).map(|number| mapping(&format!("m{number}"), "p")).collect();
        json!({ "mappings": mappings }).to_string().into_bytes()
    };
    let twice = br#"{"virtualModelName":"a","virtualModelName":"b","providerModelName":"c","providerName":"d","priority":5.0}"#;
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    for (path, content_type, body, status, says) in [
        (&*import, json, many(100_000), 413, "4194304 bytes"),
        (&import, json, many(5_001), 400, "5001 are too many, there may be at most 5000"),
        (MAPPINGS, json, vec![b' '; 70_000], 413, "65536 bytes"),
        (MAPPINGS, json, b"[".repeat(60_000), 400, "expected an object"),
        (&import, json, [b"{\"mappings\":".to_vec(), b"[".repeat(100_000)].concat(), 400, "mappings[0]"),
        (MAPPINGS, json, [b"{\"id\":".to_vec(), b"[".repeat(60_000)].concat(), 400, "no JSON"),
        (MAPPINGS, json, twice.to_vec(), 400, "duplicate field `virtualModelName`"),
        (MAPPINGS, json, vec![0xff; 100], 400, "no JSON"),
        (MAPPINGS, form, b"virtualModelName=a".to_vec(), 415, "application/json"),
        (
            KEYS,
            json,
            br#"{"name":"a","scope":"full","expiresInSeconds":1e99}"#.to_vec(),
            400,
            "from 1 to 315360000",
        ),
    ] {
        let size = body.len();
        let (answered, problem) = post(&api, path, content_type, body).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(answered == status && detail.contains(says), "{path} with {size} bytes: {problem}");
    }
    let bearer = format!("Bearer {STRONG}");
    for (name, value) in
        [("if-match", "garbage"), ("if-match", "\"1"), ("if-match", ","), ("if-none-match", "1 2")]
    {
        let line = if name == "if-match" { "DELETE" } else { "GET" };
        let headers = [("authorization", bearer.as_str()), (name, value)];
        let answer = api.send(&format!("{line} {MAPPINGS}/1"), &headers, Value::Null).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (400, &"application/problem+json".parse().unwrap()),
            "{value}"
        );
    }
    assert_eq!(acts(&store).await, Vec::<String>::new(), "nothing has been done");
}
