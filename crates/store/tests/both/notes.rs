//! A table for tests of the store itself.

use futures_util::future::BoxFuture;
use hubline_store::{Connection, Store, StoreError, sqlx};

/// A statement that changes something, in a transaction of its own.
pub(crate) async fn change(store: &Store, sql: &'static str) -> Result<(), StoreError> {
    store.write(move |db| execute(db, sql)).await
}

pub(crate) fn execute<'c>(
    db: &'c mut Connection,
    sql: &'static str,
) -> BoxFuture<'c, Result<(), StoreError>> {
    Box::pin(async move {
        sqlx::query(sql).execute(&mut *db).await?;
        Ok(())
    })
}

/// A table of numbers.
pub(crate) async fn create(store: &Store) {
    change(store, "CREATE TABLE notes (id BIGINT PRIMARY KEY, text TEXT NOT NULL)").await.unwrap();
}

pub(crate) async fn add(store: &Store, id: i64) -> Result<i64, StoreError> {
    store.write(move |db| insert(db, id)).await
}

pub(crate) fn insert(db: &mut Connection, id: i64) -> BoxFuture<'_, Result<i64, StoreError>> {
    Box::pin(async move {
        let insert = "INSERT INTO notes (id, text) VALUES ($1, $2) RETURNING id";
        Ok(sqlx::query_scalar(insert).bind(id).bind("a note").fetch_one(&mut *db).await?)
    })
}

pub(crate) async fn all(store: &Store) -> Vec<i64> {
    store.read(|db| Box::pin(ids(db))).await.unwrap()
}

async fn ids(db: &mut Connection) -> Result<Vec<i64>, StoreError> {
    Ok(sqlx::query_scalar("SELECT id FROM notes ORDER BY id").fetch_all(&mut *db).await?)
}
