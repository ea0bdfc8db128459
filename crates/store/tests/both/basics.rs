//! Both databases read the same SQL.

use hubline_store::{Connection, Store, StoreError, sqlx};

use crate::each;

type Probe = (i64, String, i64, Option<f64>);

async fn create(store: &Store) {
    let table = "CREATE TABLE probe (id BIGINT PRIMARY KEY, name TEXT NOT NULL, is_on BIGINT NOT NULL, weight DOUBLE PRECISION)";
    store
        .write(move |db| {
            Box::pin(async move {
                sqlx::query(table).execute(&mut *db).await?;
                Ok::<_, StoreError>(())
            })
        })
        .await
        .unwrap();
}

async fn put(db: &mut Connection, id: i64, name: &str) -> Result<i64, StoreError> {
    let insert = "INSERT INTO probe (id, name, is_on, weight) VALUES ($1, $2, $3, $4)
                  ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id";
    let query = sqlx::query_scalar(insert).bind(id).bind(name.to_owned()).bind(1_i64).bind(None::<f64>);
    Ok(query.fetch_one(&mut *db).await?)
}

async fn every(db: &mut Connection) -> Result<Vec<Probe>, StoreError> {
    let select = "SELECT id, name, is_on, weight FROM probe ORDER BY id";
    Ok(sqlx::query_as(select).fetch_all(&mut *db).await?)
}

async fn all(store: &Store) -> Vec<Probe> {
    store.read(|db| Box::pin(every(db))).await.unwrap()
}

#[tokio::test]
async fn what_is_written_is_read() {
    each(async |store| {
        create(&store).await;
        let written = store.write(|db| Box::pin(put(db, 7, "seven"))).await;
        assert_eq!(written.unwrap(), 7);
        assert_eq!(all(&store).await, [(7, "seven".to_owned(), 1, None)]);
    })
    .await;
}
