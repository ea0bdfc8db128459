//! Keys of administrators, and virtual ones.

use std::collections::BTreeSet;

use hubline_store::keys::{self, AdminScope, Key, KeyError, KeyKind, KeyScope, NewKey, PresentedKey, Secret};
use hubline_store::{Store, StoreError, Timestamp, sqlx};

use crate::each;

const MINUTE: i64 = 60 * 10_000_000;
const START: Timestamp = Timestamp(17_000_000_000_000_000);

fn after(minutes: i64) -> Timestamp {
    Timestamp(START.0 + minutes * MINUTE)
}

fn of_admin(name: &str) -> NewKey {
    NewKey { name: name.to_owned(), scope: KeyScope::Admin(AdminScope::Write), expires_at: None }
}

async fn create(store: &Store, new: NewKey) -> Result<(Key, Secret), KeyError> {
    store.write(move |db| Box::pin(async move { keys::create(db, &new, START).await })).await
}

async fn rotate(
    store: &Store,
    id: &str,
    overlap_ends: Timestamp,
    now: Timestamp,
) -> Result<(Key, Secret), KeyError> {
    let id = id.to_owned();
    store
        .write(move |db| {
            Box::pin(async move { keys::rotate(db, KeyKind::Admin, &id, overlap_ends, now).await })
        })
        .await
}

async fn revoke(store: &Store, id: &str) -> Result<Key, KeyError> {
    let id = id.to_owned();
    store
        .write(move |db| Box::pin(async move { keys::revoke(db, KeyKind::Admin, &id, after(9)).await }))
        .await
}

async fn verify(store: &Store, secret: &Secret, now: Timestamp) -> Option<Key> {
    let presented = PresentedKey::parse(KeyKind::Admin, secret.expose())?;
    let verify = store.read(move |db| Box::pin(async move { keys::verify(db, &presented, now).await }));
    verify.await.unwrap()
}

async fn exists(store: &Store, kind: KeyKind) -> bool {
    store.read(move |db| Box::pin(async move { keys::exists(db, kind).await })).await.unwrap()
}

#[tokio::test]
async fn a_key_is_good_until_it_expires_or_is_revoked_and_its_name_is_its_own() {
    each(async |store| {
        assert!(!exists(&store, KeyKind::Admin).await);
        let new = NewKey { expires_at: Some(after(60)), ..of_admin("deploy") };
        let (key, secret) = create(&store, new).await.unwrap();
        assert_eq!(verify(&store, &secret, after(59)).await, Some(key.clone()));
        assert_eq!(verify(&store, &secret, after(60)).await, None);
        let last = if secret.expose().ends_with('0') { "1" } else { "0" };
        let forged = format!("{}{last}", &secret.expose()[..secret.expose().len() - 1]);
        let forged = PresentedKey::parse(KeyKind::Admin, &forged).unwrap();
        let verify_forged =
            store.read(move |db| Box::pin(async move { keys::verify(db, &forged, START).await }));
        assert_eq!(verify_forged.await.unwrap(), None);

        assert!(matches!(create(&store, of_admin("deploy")).await, Err(KeyError::NameTaken)));
        let models = KeyScope::Models(Some(BTreeSet::from(["gpt-4".to_owned()])));
        let of_models = NewKey { name: "deploy".to_owned(), scope: models.clone(), expires_at: None };
        let (virtual_key, virtual_secret) = create(&store, of_models).await.unwrap();
        assert_eq!((virtual_key.scope, verify(&store, &virtual_secret, START).await), (models, None));

        let revoked = revoke(&store, &key.id).await.unwrap();
        assert_eq!(revoked.revoked_at, Some(after(9)));
        assert_eq!(verify(&store, &secret, START).await, None);
        assert!(matches!(revoke(&store, &key.id).await, Err(KeyError::NotFound)));
        assert!(matches!(rotate(&store, &key.id, START, START).await, Err(KeyError::NotFound)));
        assert!(exists(&store, KeyKind::Admin).await, "what a key has closed stays closed");
        create(&store, of_admin("deploy")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn secrets_overlap_at_a_rotation_and_none_is_in_the_database() {
    each(async |store| {
        let (key, first) = create(&store, of_admin("ci")).await.unwrap();
        let (_, second) = rotate(&store, &key.id, after(10), after(1)).await.unwrap();
        let (_, third) = rotate(&store, &key.id, after(30), after(2)).await.unwrap();
        for (secret, good_for_minutes) in [(&first, 10), (&second, 30)] {
            assert!(verify(&store, secret, after(good_for_minutes - 1)).await.is_some());
            assert!(verify(&store, secret, after(good_for_minutes)).await.is_none());
        }
        assert!(verify(&store, &third, after(1_000_000)).await.is_some());
        rotate(&store, &key.id, after(40), after(40)).await.unwrap();
        let rows = "SELECT number, hash FROM access_key_secret ORDER BY number";
        let rows = store.read(move |db| {
            Box::pin(async move {
                Ok::<Vec<(i64, String)>, StoreError>(sqlx::query_as(rows).fetch_all(&mut *db).await?)
            })
        });
        let rows = rows.await.unwrap();
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [3, 4], "ended ones are forgotten");
        for secret in [first, second, third] {
            let digits = secret.expose().rsplit('_').next().unwrap().to_owned();
            assert!(rows.iter().all(|(_, hash)| hash.len() == 64 && *hash != digits));
        }
    })
    .await;
}

#[tokio::test]
async fn keys_are_listed_in_pages_with_their_use_to_the_minute() {
    each(async |store| {
        for number in 0..5 {
            create(&store, of_admin(&format!("key {number}"))).await.unwrap();
        }
        let page = async |after: Option<String>| {
            let list = store.read(move |db| {
                Box::pin(async move { keys::list(db, KeyKind::Admin, after.as_deref(), 2).await })
            });
            list.await.unwrap()
        };
        let mut seen: Vec<Key> = Vec::new();
        loop {
            let next = page(seen.last().map(|key| key.id.clone())).await;
            if next.is_empty() {
                break;
            }
            seen.extend(next);
        }
        let names: BTreeSet<_> = seen.iter().map(|key| key.name.clone()).collect();
        assert_eq!((seen.len(), names.len()), (5, 5));

        let id = seen[0].id.clone();
        let touched = async |now: Timestamp| {
            let id = id.clone();
            let touch = store.write(move |db| {
                Box::pin(async move {
                    keys::touch(db, &id, now).await?;
                    keys::find(db, KeyKind::Admin, &id).await
                })
            });
            touch.await.unwrap().unwrap().last_used_at
        };
        assert_eq!(touched(after(1)).await, Some(after(1)));
        assert_eq!(touched(after(2)).await, Some(after(1)), "within the minute");
        assert_eq!(touched(after(3)).await, Some(after(3)));
    })
    .await;
}
