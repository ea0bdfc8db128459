//! Who did what, and when.
//!
//! Entries hold no text of messages, and no user except in [`AuditEntry::actor`] and [`AuditEntry::subject`], where
//! [`pseudonymize`] finds them.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::Party;
use super::conditions::Conditions;
use crate::{Connection, StoreError, Timestamp};

/// Largest page that [`list`] returns.
pub const MAXIMUM_PAGE: u32 = 1_000;
/// The action of a sign-in: a signed-in user has connected to a hub. The details are the address that the user came from.
pub const SIGN_IN: &str = "user.sign-in";
/// Longest details in characters.
const LONGEST_DETAILS: usize = 1_000;
/// Entries in one statement, of 6 parameters each; SQLite takes 32,766.
const LARGEST_INSERT: usize = 500;

/// One act, to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Party,
    /// What was done, as `area.verb` in lower case, like `history.read`.
    pub action: &'static str,
    /// To whom or what; for a sign-in the hub.
    pub subject: Party,
    /// More about it, in at most 1,000 characters, the rest of which are left out; no text of messages and no user's id.
    pub details: Option<String>,
}

/// An act that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEntry {
    /// Its id: 32 hexadecimal digits, in the order of time.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who, as [`Party`] writes it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To whom or what, as [`Party`] writes it.
    pub subject: String,
    /// More about it.
    pub details: Option<String>,
}

/// Which entries are asked for; `Default` is all.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Those of this actor, as [`Party`] writes it.
    pub actor: Option<String>,
    /// Those about this subject, as [`Party`] writes it.
    pub subject: Option<String>,
    /// Those where this is actor or subject.
    pub party: Option<Party>,
    /// This action.
    pub action: Option<String>,
    /// Not older.
    pub from: Option<Timestamp>,
    /// Older.
    pub to: Option<Timestamp>,
    /// Those behind the entry with this id in the order of [`list`]: the next page.
    pub before: Option<String>,
}

impl AuditEntry {
    /// An act that happens now.
    pub fn now(actor: Party, action: &'static str, subject: Party) -> Self {
        Self { at: Timestamp::now(), actor, action, subject, details: None }
    }

    /// With details.
    #[must_use]
    pub fn details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }
}

/// Records an act, in the transaction in which it is done: what cannot be recorded is not done.
///
/// # Errors
/// The database cannot be used, or refuses it.
pub async fn record(db: &mut Connection, entry: &AuditEntry) -> Result<(), StoreError> {
    record_all(db, std::slice::from_ref(entry)).await
}

/// Records several acts, all or none.
///
/// # Errors
/// The database cannot be used, or refuses them.
pub async fn record_all(db: &mut Connection, entries: &[AuditEntry]) -> Result<(), StoreError> {
    for entries in entries.chunks(LARGEST_INSERT) {
        let rows: Vec<String> = (0..entries.len())
            .map(|row| {
                let first = row * 6;
                let [a, b, c, d, e, f] = [1, 2, 3, 4, 5, 6].map(|column| first + column);
                format!("(${a}, ${b}, ${c}, ${d}, ${e}, ${f})")
            })
            .collect();
        let insert = format!(
            "INSERT INTO clinic_audit (id, at, actor, action, subject, details) VALUES {}",
            rows.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(insert));
        for entry in entries {
            query = query
                .bind(new_id(entry.at)?)
                .bind(entry.at.0)
                .bind(entry.actor.as_str())
                .bind(entry.action)
                .bind(entry.subject.as_str())
                .bind(entry.details.as_deref().map(storable));
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

/// Entries, newest first, at most `limit` and at most [`MAXIMUM_PAGE`].
///
/// # Errors
/// The database cannot be used.
pub async fn list(
    db: &mut Connection,
    filter: &AuditFilter,
    limit: u32,
) -> Result<Vec<RecordedEntry>, StoreError> {
    let limit = limit.min(MAXIMUM_PAGE);
    let Some(party) = &filter.party else { return select(db, filter, limit).await };
    // One statement for both would read all of the party's entries for each page.
    let party = Some(party.as_str().to_owned());
    let is_other = |wanted: &Option<String>| wanted.is_some() && *wanted != party;
    let mut found = Vec::new();
    if !is_other(&filter.actor) {
        found.extend(select(db, &AuditFilter { actor: party.clone(), ..filter.clone() }, limit).await?);
    }
    if !is_other(&filter.subject) {
        found.extend(select(db, &AuditFilter { subject: party.clone(), ..filter.clone() }, limit).await?);
    }
    found.sort_unstable_by(|one, other| other.id.cmp(&one.id));
    found.dedup_by(|one, other| one.id == other.id);
    found.truncate(limit as usize);
    Ok(found)
}

/// As [`list`], whatever the filter's party is.
async fn select(
    db: &mut Connection,
    filter: &AuditFilter,
    limit: u32,
) -> Result<Vec<RecordedEntry>, StoreError> {
    let mut conditions = Conditions::default();
    let equal =
        [("actor = ?", &filter.actor), ("subject = ?", &filter.subject), ("action = ?", &filter.action)];
    for (condition, wanted) in equal {
        if let Some(wanted) = wanted {
            conditions.add(condition, wanted.clone());
        }
    }
    // The id begins with the time, and is what there is an index of.
    if let Some(from) = filter.from {
        conditions.add("id >= ?", first_id(from));
    }
    if let Some(to) = filter.to {
        conditions.add("id < ?", first_id(to));
    }
    if let Some(before) = &filter.before {
        conditions.add("id < ?", before.clone());
    }
    let select = "SELECT id, at, actor, action, subject, details FROM clinic_audit";
    let rows = conditions.fetch(db, select, "id DESC", limit).await?;
    rows.iter().map(recorded).collect()
}

/// Puts a pseudonym in the place of a user, in at most `limit` entries, and takes away where the user signed in from. Returns in how
/// many; fewer than `limit`, and there are no more.
///
/// # Errors
/// The database cannot be used.
pub async fn pseudonymize(
    db: &mut Connection,
    user: &Party,
    pseudonym: &Party,
    limit: u32,
) -> Result<u64, StoreError> {
    let mut changed = 0;
    for column in ["actor", "subject"] {
        let left = u64::from(limit).saturating_sub(changed);
        let update = format!(
            "UPDATE clinic_audit SET {column} = $1, details = CASE WHEN action = $2 THEN NULL ELSE details END
             WHERE id IN (SELECT id FROM clinic_audit WHERE {column} = $3 ORDER BY id LIMIT $4)"
        );
        let query = sqlx::query(AssertSqlSafe(update)).bind(pseudonym.as_str()).bind(SIGN_IN);
        let query = query.bind(user.as_str()).bind(i64::try_from(left).unwrap_or(i64::MAX));
        changed += query.execute(&mut *db).await?.rows_affected();
    }
    Ok(changed)
}

/// Deletes at most `limit` of the entries that are older than `time`, the oldest first. Returns how many; fewer than `limit`, and there
/// are no more.
///
/// # Errors
/// The database cannot be used.
pub async fn delete_before(db: &mut Connection, time: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let delete = "DELETE FROM clinic_audit
                  WHERE id IN (SELECT id FROM clinic_audit WHERE id < $1 ORDER BY id LIMIT $2)";
    let query = sqlx::query(delete).bind(first_id(time)).bind(i64::from(limit));
    Ok(query.execute(&mut *db).await?.rows_affected())
}

fn recorded(row: &AnyRow) -> Result<RecordedEntry, StoreError> {
    Ok(RecordedEntry {
        id: row.try_get(0)?,
        at: Timestamp(row.try_get(1)?),
        actor: row.try_get(2)?,
        action: row.try_get(3)?,
        subject: row.try_get(4)?,
        details: row.try_get(5)?,
    })
}

/// 16 digits of time, 16 of chance.
fn new_id(at: Timestamp) -> Result<String, StoreError> {
    let mut random = [0; 8];
    getrandom::getrandom(&mut random).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(format!("{}{:016x}", first_id(at), u64::from_be_bytes(random)))
}

/// What the ids of this time begin with.
fn first_id(at: Timestamp) -> String {
    format!("{:016x}", at.0.max(0))
}

/// What both databases take.
fn storable(text: &str) -> String {
    text.chars().take(LONGEST_DETAILS).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}
