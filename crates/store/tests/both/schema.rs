//! Tables of this version, of an older and of a newer one, and several programs that make them at once.

use std::time::Duration;

use futures_util::future::join_all;
use hubline_store::{Store, StoreError, StoreStatus, sqlx};

use crate::databases::{each_empty, until_connected};
use crate::notes::change;

/// For the database to be there.
const PATIENCE: Duration = Duration::from_secs(20);

async fn applied(store: &Store) -> Vec<i64> {
    let select = "SELECT version FROM hubline_migrations ORDER BY version";
    let read = store.read(move |db| {
        Box::pin(
            async move { Ok::<Vec<i64>, StoreError>(sqlx::query_scalar(select).fetch_all(&mut *db).await?) },
        )
    });
    read.await.unwrap()
}

#[tokio::test]
async fn several_that_start_at_once_make_the_tables_once() {
    each_empty(async |options| {
        let stores = join_all((0..4).map(|_| Store::open(options.clone()))).await;
        let stores: Vec<Store> = stores.into_iter().map(Result::unwrap).collect();
        assert!(stores.iter().all(|store| *store.status().borrow() == StoreStatus::Connected));
        let applied = applied(&stores[0]).await;
        assert!(applied.len() >= 4 && applied.iter().copied().eq(1..=applied.len() as i64), "{applied:?}");
        assert!(Store::migrate(options.clone(), PATIENCE).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn tables_left_to_others_are_named_and_waited_for() {
    each_empty(async |mut options| {
        options.skip_migrations = true;
        options.deadline = Duration::from_secs(1);
        let store = Store::open(options.clone()).await.unwrap();
        let StoreStatus::Starting(why) = store.status().borrow().clone() else { panic!("tables are there") };
        assert!(why.contains("1 chat, 2 clinic") && why.contains("hubline migrate"), "{why}");
        let error = change(&store, "DELETE FROM clinic_bans").await.unwrap_err();
        assert!(
            matches!(error, StoreError::Unavailable(_)) && error.to_string().contains("hubline migrate"),
            "{error}"
        );
        let made = Store::migrate(options.clone(), PATIENCE).await.unwrap();
        assert_eq!((made[0].version, &*made[0].name), (1, "chat"));
        until_connected(&store).await;
        change(&store, "DELETE FROM clinic_bans").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_older_schema_is_completed_and_another_one_is_refused() {
    each_empty(async |mut options| {
        let store = Store::open(options.clone()).await.unwrap();
        let all = applied(&store).await;
        change(&store, "DELETE FROM hubline_migrations WHERE version = 2").await.unwrap();
        for table in ["participants", "consultations", "bans", "audit", "erasures", "leases"] {
            let drop = format!("DROP TABLE IF EXISTS clinic_{table}");
            change(&store, drop.leak()).await.unwrap();
        }
        options.skip_migrations = true;
        let older = Store::open(options.clone()).await.unwrap();
        assert!(matches!(&*older.status().borrow(), StoreStatus::Starting(why) if why.contains("(migrations 2 clinic)")));
        options.skip_migrations = false;
        let completed = Store::open(options.clone()).await.unwrap();
        assert_eq!(applied(&completed).await, all);

        change(&store, "INSERT INTO hubline_migrations (version, name, digest, applied_at) VALUES (900, 'later', '', 0)")
            .await
            .unwrap();
        let newer = Store::open(options.clone()).await.unwrap_err();
        assert!(matches!(&newer, StoreError::Schema(why) if why.contains("newer version (migration 900, later")), "{newer}");
        change(&store, "DELETE FROM hubline_migrations WHERE version = 900").await.unwrap();
        change(&store, "UPDATE hubline_migrations SET digest = 'other' WHERE version = 1").await.unwrap();
        let edited = Store::open(options.clone()).await.unwrap_err();
        assert!(matches!(&edited, StoreError::Schema(why) if why.contains("migration 1 (chat)")), "{edited}");
    })
    .await;
}
