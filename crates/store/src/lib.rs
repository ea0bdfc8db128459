//! The database of Hubline's applications: SQLite, embedded, or PostgreSQL, behind one API.
//!
//! [`Store`] runs work on a connection: [`Store::read`] outside a transaction, [`Store::write`] in one. The modules hold what each
//! application keeps, in SQL that both databases read alike:
//!
//! - parameters are `$1`, `$2` ...; `ON CONFLICT` and `RETURNING` are there, `now()` and other functions of one database are not;
//! - types are `BIGINT`, `TEXT` and `DOUBLE PRECISION` alone; a truth is a `BIGINT` of 0 or 1; sums are cast to `BIGINT`;
//! - a time is a `BIGINT` of 100 ns since 1970, UTC ([`Timestamp`]); an id that is no number is a `TEXT`.

pub mod calls;
pub mod chat;
pub mod clinic;
mod connection;
mod error;
mod health;
mod job;
mod keeper;
pub mod keys;
mod migrations;
pub mod navigation;
mod options;
mod postgres;
mod runtime;
mod schema;
mod shared;
mod sqlite;
mod store;
mod timestamp;

pub use connection::Connection;
pub use error::StoreError;
pub use health::{StoreFigures, StoreStatus};
pub use options::{OptionsError, StoreOptions};
pub use schema::Migration;
pub use store::Store;
pub use timestamp::Timestamp;

/// How long an operation may take.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(5);

/// The SQL library, for the queries of tests.
pub use sqlx;
