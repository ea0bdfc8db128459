//! Between whom a consultation is open, and when.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::Party;
use super::conditions::Conditions;
use crate::{Connection, StoreError, Timestamp};

/// Most participants of one consultation.
pub const MAXIMUM_PARTICIPANTS: usize = 100;

/// Some users who may write to each other, call each other and meet in a room, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consultation {
    /// Its id.
    pub id: String,
    /// Its room, which no other consultation has.
    pub room: String,
    /// Its participants, by the ids that the hubs know, in the order of these.
    pub participants: Vec<String>,
    /// From when on it is open.
    pub opens: Timestamp,
    /// From when on it is closed; without, it stays open.
    pub closes: Option<Timestamp>,
    /// Who made it, as [`Party`] writes it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What became of a consultation that was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is there now.
    Yes,
    /// There is one with this id, or with this room.
    Exists,
}

/// Which consultations are asked for; `Default` is all.
#[derive(Debug, Clone, Default)]
pub struct ConsultationFilter {
    /// Those with this participant.
    pub participant: Option<String>,
    /// Those with this room.
    pub room: Option<String>,
    /// Those that are open at this time.
    pub open_at: Option<Timestamp>,
    /// Those behind the one made then and with this id, in the order of [`list`]: the next page.
    pub before: Option<(Timestamp, String)>,
}

impl Consultation {
    /// Whether it is open at a time.
    pub fn is_open_at(&self, time: Timestamp) -> bool {
        self.opens <= time && self.closes.is_none_or(|closes| time < closes)
    }

    /// A consultation that is made now, its participants in order and each once.
    pub fn now(
        id: &str,
        room: &str,
        mut participants: Vec<String>,
        opens: Timestamp,
        closes: Option<Timestamp>,
        by: &Party,
    ) -> Self {
        participants.sort();
        participants.dedup();
        Self {
            id: id.to_owned(),
            room: room.to_owned(),
            participants,
            opens,
            closes,
            created_by: by.as_str().to_owned(),
            created_at: Timestamp::now(),
        }
    }
}

/// An id for a consultation: 32 hexadecimal digits that nobody guesses.
///
/// # Errors
/// The operating system has no random numbers.
pub fn new_id() -> Result<String, StoreError> {
    let mut random = [0; 16];
    getrandom::getrandom(&mut random).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

/// Makes a consultation.
///
/// # Errors
/// The database cannot be used.
pub async fn create(db: &mut Connection, new: &Consultation) -> Result<Created, StoreError> {
    let insert = "INSERT INTO clinic_consultations (id, room, opens, closes, created_by, created_at)
                  VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let query = sqlx::query(insert).bind(&new.id).bind(&new.room).bind(new.opens.0);
    let query = query.bind(new.closes.map(|closes| closes.0)).bind(&new.created_by).bind(new.created_at.0);
    if query.execute(&mut *db).await?.rows_affected() == 0 {
        return Ok(Created::Exists);
    }
    for participant in &new.participants {
        let insert = "INSERT INTO clinic_participants (user_id, consultation_id) VALUES ($1, $2)";
        sqlx::query(insert).bind(participant).bind(&new.id).execute(&mut *db).await?;
    }
    Ok(Created::Yes)
}

/// What became of a consultation that a token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Its participants are in it now.
    Yes,
    /// It was made otherwise, so who takes part in it is not for a token to say.
    MadeOtherwise,
    /// Another consultation has its room.
    RoomIsTaken,
    /// It has more than [`MAXIMUM_PARTICIPANTS`] now: the transaction is to be rolled back.
    TooManyParticipants,
}

/// Makes a consultation that a token names, or adds participants to it and lets it close later if the token says so. The `created_by` of all
/// of them is the same.
///
/// # Errors
/// The database cannot be used.
pub async fn admit(db: &mut Connection, named: &Consultation) -> Result<Admitted, StoreError> {
    let taken = "SELECT 1 FROM clinic_consultations WHERE room = $1 AND id <> $2";
    let query = sqlx::query(taken).bind(&named.room).bind(&named.id);
    if query.fetch_optional(&mut *db).await?.is_some() {
        return Ok(Admitted::RoomIsTaken);
    }
    let upsert = "INSERT INTO clinic_consultations (id, room, opens, closes, created_by, created_at)
                  VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET
                      closes = CASE WHEN clinic_consultations.created_by = excluded.created_by
                                   AND clinic_consultations.closes < excluded.closes THEN excluded.closes
                               ELSE clinic_consultations.closes END
                  RETURNING created_by";
    let query = sqlx::query_scalar(upsert).bind(&named.id).bind(&named.room).bind(named.opens.0);
    let query = query.bind(named.closes.map(|closes| closes.0)).bind(&named.created_by);
    let created_by: String = query.bind(named.created_at.0).fetch_one(&mut *db).await?;
    if created_by != named.created_by {
        return Ok(Admitted::MadeOtherwise);
    }
    for participant in &named.participants {
        let insert = "INSERT INTO clinic_participants (user_id, consultation_id) VALUES ($1, $2)
                      ON CONFLICT (user_id, consultation_id) DO NOTHING";
        sqlx::query(insert).bind(participant).bind(&named.id).execute(&mut *db).await?;
    }
    let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM clinic_participants WHERE consultation_id = $1";
    let count: i64 = sqlx::query_scalar(count).bind(&named.id).fetch_one(&mut *db).await?;
    match usize::try_from(count) {
        Ok(count) if count <= MAXIMUM_PARTICIPANTS => Ok(Admitted::Yes),
        _ => Ok(Admitted::TooManyParticipants),
    }
}

/// A consultation by its id.
///
/// # Errors
/// The database cannot be used.
pub async fn get(db: &mut Connection, id: &str) -> Result<Option<Consultation>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM clinic_consultations c WHERE c.id = $1");
    let rows = sqlx::query(AssertSqlSafe(select)).bind(id).fetch_all(&mut *db).await?;
    Ok(with_participants(db, &rows).await?.pop())
}

/// Closes a consultation at a time, unless it closes earlier. Returns it as it is now; `None` if there is none.
///
/// # Errors
/// The database cannot be used.
pub async fn close(
    db: &mut Connection,
    id: &str,
    time: Timestamp,
) -> Result<Option<Consultation>, StoreError> {
    let update =
        "UPDATE clinic_consultations SET closes = $1 WHERE id = $2 AND (closes IS NULL OR closes > $1)";
    sqlx::query(update).bind(time.0).bind(id).execute(&mut *db).await?;
    get(db, id).await
}

/// Consultations, those made last first, at most `limit`.
///
/// # Errors
/// The database cannot be used.
pub async fn list(
    db: &mut Connection,
    filter: &ConsultationFilter,
    limit: u32,
) -> Result<Vec<Consultation>, StoreError> {
    let mut conditions = Conditions::default();
    if let Some(participant) = &filter.participant {
        let theirs = "c.id IN (SELECT consultation_id FROM clinic_participants WHERE user_id = ?)";
        conditions.add(theirs, participant.clone());
    }
    if let Some(room) = &filter.room {
        conditions.add("c.room = ?", room.clone());
    }
    if let Some(at) = filter.open_at {
        // Of those that have closed there are ever more, so they are not looked at.
        let not_closed = "c.id IN (SELECT id FROM clinic_consultations WHERE closes IS NULL
                                   UNION ALL SELECT id FROM clinic_consultations WHERE closes > ?)";
        conditions.add(&format!("c.opens <= ? AND {not_closed}"), at.0);
    }
    if let Some((at, id)) = &filter.before {
        conditions.add("c.created_at <= ?", at.0);
        conditions.add(&format!("(c.created_at < {} OR c.id < ?)", at.0), id.clone());
    }
    let select = format!("SELECT {COLUMNS} FROM clinic_consultations c");
    let rows = conditions.fetch(db, &select, "c.created_at DESC, c.id DESC", limit).await?;
    with_participants(db, &rows).await
}

/// For how long the answer to whether a consultation is open holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// For now.
    No,
    /// Until the transaction ends: whoever closes the consultation meanwhile waits for it.
    UntilEnd,
}

impl Hold {
    /// What stands behind a query of the consultation `c`. SQLite has one transaction that writes at a time.
    fn clause(self, db: &Connection) -> &'static str {
        if self == Self::UntilEnd && db.is_postgres() { " FOR SHARE OF c" } else { "" }
    }
}

/// Whether the two take part in a consultation that is open at a time.
///
/// # Errors
/// The database cannot be used.
pub async fn is_open_between(
    db: &mut Connection,
    user: &str,
    other: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    between(db, user, other, at, Hold::No).await
}

/// As [`is_open_between`], and for so long.
pub(crate) async fn between(
    db: &mut Connection,
    user: &str,
    other: &str,
    at: Timestamp,
    hold: Hold,
) -> Result<bool, StoreError> {
    let select = "SELECT 1 FROM clinic_participants mine
                  JOIN clinic_participants theirs ON theirs.consultation_id = mine.consultation_id AND theirs.user_id = $2
                  JOIN clinic_consultations c ON c.id = mine.consultation_id
                  WHERE mine.user_id = $1 AND c.opens <= $3 AND (c.closes IS NULL OR c.closes > $3) LIMIT 1";
    let select = [select, hold.clause(db)].concat();
    let query = sqlx::query(AssertSqlSafe(select)).bind(user).bind(other).bind(at.0);
    Ok(query.fetch_optional(&mut *db).await?.is_some())
}

/// Whether the user takes part in the consultation of a room and it is open at a time.
///
/// # Errors
/// The database cannot be used.
pub async fn is_open_in_room(
    db: &mut Connection,
    user: &str,
    room: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    in_room(db, user, room, at, Hold::No).await
}

/// As [`is_open_in_room`], and for so long.
pub(crate) async fn in_room(
    db: &mut Connection,
    user: &str,
    room: &str,
    at: Timestamp,
    hold: Hold,
) -> Result<bool, StoreError> {
    let select = "SELECT 1 FROM clinic_consultations c
                  JOIN clinic_participants p ON p.consultation_id = c.id AND p.user_id = $1
                  WHERE c.room = $2 AND c.opens <= $3 AND (c.closes IS NULL OR c.closes > $3) LIMIT 1";
    let select = [select, hold.clause(db)].concat();
    let query = sqlx::query(AssertSqlSafe(select)).bind(user).bind(room).bind(at.0);
    Ok(query.fetch_optional(&mut *db).await?.is_some())
}

const COLUMNS: &str = "c.id, c.room, c.opens, c.closes, c.created_by, c.created_at";

async fn with_participants(db: &mut Connection, rows: &[AnyRow]) -> Result<Vec<Consultation>, StoreError> {
    let mut found = rows.iter().map(consultation).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() {
        return Ok(found);
    }
    let parameters: Vec<String> = (1..=found.len()).map(|number| format!("${number}")).collect();
    let select = format!(
        "SELECT consultation_id, user_id FROM clinic_participants WHERE consultation_id IN ({}) ORDER BY user_id",
        parameters.join(", ")
    );
    let mut query = sqlx::query_as(AssertSqlSafe(select));
    for consultation in &found {
        query = query.bind(consultation.id.clone());
    }
    let pairs: Vec<(String, String)> = query.fetch_all(&mut *db).await?;
    let mut participants: HashMap<String, Vec<String>> = HashMap::new();
    for (consultation, user) in pairs {
        participants.entry(consultation).or_default().push(user);
    }
    for consultation in &mut found {
        consultation.participants = participants.remove(&consultation.id).unwrap_or_default();
        // Each database has an order of its own.
        consultation.participants.sort();
    }
    Ok(found)
}

fn consultation(row: &AnyRow) -> Result<Consultation, StoreError> {
    Ok(Consultation {
        id: row.try_get(0)?,
        room: row.try_get(1)?,
        participants: Vec::new(),
        opens: Timestamp(row.try_get(2)?),
        closes: row.try_get::<Option<i64>, _>(3)?.map(Timestamp),
        created_by: row.try_get(4)?,
        created_at: Timestamp(row.try_get(5)?),
    })
}
