//! What one instance does at a time.

use std::time::Duration;

use crate::{Connection, StoreError, Timestamp};

/// Takes a lease for a time, or prolongs it. Returns whether it is the holder's: it was already, nobody had it, or the time of whoever
/// had it is over.
///
/// Times are those of the instances' clocks, so a lease has to be longer than these differ.
///
/// # Errors
/// The database cannot be used.
pub async fn take(
    db: &mut Connection,
    name: &str,
    holder: &str,
    now: Timestamp,
    lasts: Duration,
) -> Result<bool, StoreError> {
    let upsert = "INSERT INTO clinic_leases (name, holder, until) VALUES ($1, $2, $3)
                  ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
                  WHERE clinic_leases.holder = excluded.holder OR clinic_leases.until <= $4";
    let query = sqlx::query(upsert).bind(name).bind(holder).bind(now.after(lasts).0).bind(now.0);
    Ok(query.execute(db).await?.rows_affected() > 0)
}

/// Gives a lease back.
///
/// # Errors
/// The database cannot be used.
pub async fn give_back(db: &mut Connection, name: &str, holder: &str) -> Result<(), StoreError> {
    let delete = "DELETE FROM clinic_leases WHERE name = $1 AND holder = $2";
    sqlx::query(delete).bind(name).bind(holder).execute(db).await?;
    Ok(())
}
