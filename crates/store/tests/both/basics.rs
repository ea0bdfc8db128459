//! Both databases read the same SQL.

use hubline_store::{Store, StoreError, sqlx};

#[tokio::test]
async fn what_is_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", directory.path().join("test.db").display());
    let store = Store::open(&url).await.unwrap();
    let written: i64 = store
        .write(|db| {
            Box::pin(async move {
                let insert = "INSERT INTO store_probe (id, name, is_on, weight) VALUES ($1, $2, $3, $4)
                              ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id";
                let query =
                    sqlx::query_scalar(insert).bind(7_i64).bind("seven").bind(1_i64).bind(None::<f64>);
                Ok::<i64, StoreError>(query.fetch_one(&mut *db).await?)
            })
        })
        .await
        .unwrap();
    assert_eq!(written, 7);
    let read: (i64, String, i64, Option<f64>) = store
        .read(|db| {
            Box::pin(async move {
                let query = sqlx::query_as("SELECT id, name, is_on, weight FROM store_probe WHERE id = $1");
                Ok::<_, StoreError>(query.bind(7_i64).fetch_one(&mut *db).await?)
            })
        })
        .await
        .unwrap();
    assert_eq!(read, (7, "seven".to_owned(), 1, None));
}
