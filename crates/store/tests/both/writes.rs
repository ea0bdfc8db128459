//! What becomes of writes that fail, alone and among others.

use std::time::Duration;

use futures_util::future::join_all;
use hubline_store::{Store, StoreError, StoreOptions, sqlx};
use tokio::sync::oneshot;

use crate::databases::{each, each_empty};
use crate::notes::{add, all, change, create, execute, insert};

#[tokio::test]
async fn a_write_that_fails_is_undone_alone() {
    each(async |store| {
        create(&store).await;
        add(&store, 0).await.unwrap();
        // The first, the fourth and so on fail.
        let writes = (3..=32_i64).map(|id| {
            let store = store.clone();
            async move {
                let write = store.write(move |db| {
                    Box::pin(async move {
                        insert(db, id).await?;
                        match id % 3 {
                            0 => insert(db, 0).await,
                            1 if id == 10 => panic!("on purpose"),
                            _ => Ok(id),
                        }
                    })
                });
                write.await
            }
        });
        for (result, id) in join_all(writes).await.into_iter().zip(3..) {
            match (id, result) {
                (10, Err(error)) => assert!(error.to_string().contains("panicked"), "{error}"),
                (_, Err(StoreError::Refused(sqlx::Error::Database(error)))) => {
                    assert!(id % 3 == 0 && error.is_unique_violation(), "{id}: {error}");
                }
                (_, result) => assert_eq!(result.unwrap(), id),
            }
        }
        let kept: Vec<i64> = [0].into_iter().chain((3..=32).filter(|id| id % 3 > 0 && *id != 10)).collect();
        assert_eq!(all(&store).await, kept);
        assert_eq!((store.figures().writes, store.figures().waiting), (32, 0));
    })
    .await;
}

#[tokio::test]
async fn writes_that_wait_share_a_transaction_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::file(directory.path().join("test.db"));
    options.deadline = Duration::from_secs(30);
    options.gathering_time = Duration::from_secs(30);
    let store = Store::open(options).await.unwrap();
    create(&store).await;
    let before = store.figures().commits;
    let (go, waits) = oneshot::channel();
    let first = store.write(move |db| {
        Box::pin(async move {
            _ = waits.await;
            insert(db, 0).await
        })
    });
    let others = join_all((1..=200).map(|id| add(&store, id)));
    let waiting = async {
        while store.figures().waiting < 201 && !go.is_closed() {
            tokio::task::yield_now().await;
        }
        go.send(()).expect("all writes wait before the first one is over");
    };
    let (first, others, ()) = tokio::join!(first, others, waiting);
    assert!(first.is_ok() && others.iter().all(Result::is_ok));
    // The transaction is open, and all others wait for it when the first write ends.
    assert_eq!(store.figures().commits - before, 1);
    assert_eq!(all(&store).await.len(), 201);
}

#[tokio::test]
async fn what_takes_too_long_fails_and_leaves_nothing_behind() {
    each_empty(async |mut options| {
        options.deadline = Duration::from_secs(1);
        options.maximum_connections = 1;
        let store = Store::open(options).await.unwrap();
        create(&store).await;
        let forever = match store.is_shared() {
            true => "SELECT 1 FROM pg_sleep(60)",
            false => {
                "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT COUNT(i) FROM n"
            }
        };
        let read = store.read(move |db| execute(db, forever)).await.unwrap_err();
        assert!(matches!(&read, StoreError::Slow(_) | StoreError::Unavailable(_)), "{read}");
        let write = store.write(move |db| {
            Box::pin(async move {
                insert(db, 1).await?;
                execute(db, forever).await
            })
        });
        assert!(matches!(write.await.unwrap_err(), StoreError::Slow(_) | StoreError::Unavailable(_)));
        crate::databases::until_connected(&store).await;
        assert!(all(&store).await.is_empty());
        add(&store, 2).await.unwrap();
        assert!(store.figures().failures >= 2);
    })
    .await;
}

#[tokio::test]
async fn a_read_changes_nothing_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    for options in [StoreOptions::file(directory.path().join("test.db")), StoreOptions::in_memory()] {
        let is_file = options.to_string().contains("test.db");
        let store = Store::open(options).await.unwrap();
        create(&store).await;
        change(&store, "INSERT INTO notes (id, text) VALUES (7, 'seven')").await.unwrap();
        assert_eq!(all(&store).await, [7]);
        if is_file {
            store.read(|db| execute(db, "DELETE FROM notes")).await.unwrap_err();
            assert_eq!(all(&store).await, [7]);
        }
    }
}
