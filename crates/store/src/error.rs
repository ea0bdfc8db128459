use std::borrow::Cow;

use crate::postgres::tls;

/// What the reason begins with if PostgreSQL's user lacks a right.
pub(crate) const NOT_ALLOWED: &str = "the user may not do that";

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database cannot be reached, or does not answer within 5 s. A write may have been carried out or not.
    #[error("the database cannot be used now: {0}")]
    Unavailable(String),
    /// There is no room for what should be written; reads go on. Nothing was written.
    #[error("the disk of the database is full: {0}")]
    Full(String),
    /// Another process, a backup for example, keeps the file of SQLite locked. Nothing was written.
    #[error("the database is locked by another program: {0}")]
    Locked(String),
    /// A statement ran, or waited for a row's lock, until the operation was over. Nothing was written.
    #[error("the database was too slow: {0}")]
    Slow(String),
    /// The tables are those of an older or of a newer version; says which, and what to do.
    #[error("{0}")]
    Schema(String),
    /// The database refused a statement; a fault of the program or of the schema.
    #[error("the database refused a statement: {0}")]
    Refused(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::trouble(&error).unwrap_or(Self::Refused(error))
    }
}

impl StoreError {
    /// What is in the way, without which kind of error it is.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Unavailable(why) => why.clone(),
            error => error.to_string(),
        }
    }

    /// The same for somebody else.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Unavailable(why) => Self::Unavailable(why.clone()),
            Self::Full(why) => Self::Full(why.clone()),
            Self::Locked(why) => Self::Locked(why.clone()),
            Self::Slow(why) => Self::Slow(why.clone()),
            Self::Schema(why) => Self::Schema(why.clone()),
            Self::Refused(why) => Self::Unavailable(why.to_string()),
        }
    }

    /// Whether the connection cannot be used after it.
    pub(crate) fn loses_connection(error: &sqlx::Error) -> bool {
        match error {
            sqlx::Error::Database(refusal) => refusal
                .code()
                .is_some_and(|code| code.len() == 5 && (code.starts_with("57P") || code.starts_with("08"))),
            error => Self::trouble(error).is_some(),
        }
    }

    /// What is wrong with the database itself, if that is why it refused.
    pub(crate) fn trouble(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => {
                Some(Self::Unavailable(tls::cure(error).unwrap_or_else(|| error.to_string())))
            }
            sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Some(Self::Unavailable(error.to_string())),
            sqlx::Error::Database(refusal) => {
                let code = refusal.code().unwrap_or(Cow::Borrowed(""));
                trouble(&code, refusal.message())
            }
            _ => None,
        }
    }
}

/// By the code of an error of PostgreSQL (five characters), or of SQLite (a number; its primary part is the last byte).
fn trouble(code: &str, message: &str) -> Option<StoreError> {
    let unavailable = |cause: &str| StoreError::Unavailable(format!("{cause}: {message}"));
    let found = match (code, code.get(..2).filter(|_| code.len() == 5)) {
        ("28000", _) if ["no encryption", "SSL off"].iter().any(|without| message.contains(without)) => {
            unavailable(
                "the server lets nobody in without TLS, take SSL Mode=VerifyFull, or Require, which verifies nothing",
            )
        }
        ("28P01" | "28000", _) => unavailable("user or password are refused"),
        ("3D000", _) => unavailable("there is no such database"),
        ("53100", _) => StoreError::Full(message.to_owned()),
        ("53300", _) => unavailable(
            "it takes no more connections, raise its max_connections or lower Database:MaximumConnections of the instances, whose sum has to be below",
        ),
        ("3F000", _) => unavailable("there is no schema for the tables, make the one that Search Path names"),
        ("25006", _) => unavailable("it may only be read, as a replica"),
        ("57014" | "55P03", _) => StoreError::Slow(message.to_owned()),
        ("40001" | "40P01", _) => unavailable("the transaction met another one; try again"),
        ("42501", _) => unavailable(NOT_ALLOWED),
        (_, Some("08" | "53" | "57" | "58")) => unavailable("the server is not at work"),
        (_, Some(_)) => return None,
        _ => return sqlite_trouble(code.parse::<i32>().ok()?, message),
    };
    Some(found)
}

fn sqlite_trouble(code: i32, message: &str) -> Option<StoreError> {
    let unavailable = |cause: &str| StoreError::Unavailable(format!("{cause}: {message}"));
    Some(match code & 0xff {
        5 | 6 => StoreError::Locked(message.to_owned()),
        13 => StoreError::Full(message.to_owned()),
        8 => unavailable("the file may not be written"),
        9 => StoreError::Slow(message.to_owned()),
        10 => unavailable("the file cannot be read or written"),
        11 | 26 => unavailable("the file is damaged or no database"),
        14 => unavailable("the file cannot be opened"),
        _ => return None,
    })
}
