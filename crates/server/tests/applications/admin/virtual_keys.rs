//! Virtual keys in front of a hub.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Extension;
use axum::http::Uri;
use axum::routing::get;
use hubline::Principal;
use hubline_store::clinic::bans;
use hubline_store::{StoreError, Timestamp, sqlx};
use serde_json::json;

use super::*;

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

/// Lets time pass at once for what waits or looks at the clock here; the database has its own.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

async fn sql(store: &Store, statement: &'static str) {
    let work = store.write(move |db| {
        Box::pin(
            async move { Ok::<_, StoreError>(sqlx::query(statement).execute(&mut *db).await.map(drop)?) },
        )
    });
    work.await.unwrap();
}

#[tokio::test]
async fn what_is_known_of_a_key_is_good_for_10_s_and_for_10_minutes_without_the_database() {
    let (_directory, store) = sqlite().await;
    let api = Api::new(configured(&[STRONG]), &store);
    let path = "/api/admin/virtual-keys";
    let (id, team) = api.make_key(STRONG, path, json!({"name": "team"})).await;
    let (_, other) = api.make_key(STRONG, path, json!({"name": "other"})).await;
    let (brief_id, brief) =
        api.make_key(STRONG, path, json!({"name": "brief", "expiresInSeconds": 3600})).await;
    let status = async |key: &str| as_seen(&api.admin, "/hub", key).await.0;
    assert_eq!((status(&team).await, status(&brief).await), (200, 200));

    // The answer of the database is good for 10 s: it is asked no more, whatever is in it.
    sql(&store, "UPDATE access_key SET revoked_at = 1").await;
    pass(9).await;
    assert_eq!((status(&team).await, status(&brief).await), (200, 200));
    pass(2).await;
    assert_eq!(
        (status(&team).await, status(&brief).await),
        (401, 401),
        "that they are wrong holds for 10 s too"
    );
    sql(&store, "UPDATE access_key SET revoked_at = NULL").await;
    pass(9).await;
    assert_eq!(status(&team).await, 401);
    pass(2).await;
    assert_eq!((status(&team).await, status(&brief).await), (200, 200));

    // Without the database a key that was right is taken for 10 minutes, from when it was last asked, and no other.
    sql(&store, "ALTER TABLE access_key_secret RENAME TO hidden").await;
    pass(595).await;
    assert_ne!(status(&other).await, 200, "nobody knows it");
    assert_eq!((status(&team).await, status(&brief).await), (200, 200));
    pass(10).await;
    assert_ne!(status(&team).await, 200);
    assert_ne!(status(&brief).await, 200);
    sql(&store, "ALTER TABLE hidden RENAME TO access_key_secret").await;
    assert_eq!((status(&team).await, status(&brief).await, status(&other).await), (200, 200, 200));

    // A rotation without overlap, and a revocation, are known within 10 s where nobody keeps the user out.
    assert_eq!(
        api.ask(&format!("POST {path}/{brief_id}/rotate"), STRONG, json!({"overlapSeconds": 0})).await.0,
        200
    );
    assert_eq!(api.status(&format!("POST {path}/{id}/revoke"), STRONG).await, 200);
    pass(11).await;
    assert_eq!((status(&team).await, status(&brief).await), (401, 401));
}
