//! Which database.

use std::fmt;

use super::Section;
use super::key::Key;
use super::reader::Reader;

const DATABASE: Key =
    Key::new("ConnectionStrings:Database", "connection string of the database, in Npgsql syntax")
        .database_connection_string();
const SKIP_DATABASE_INIT: Key =
    Key::new("CONDUIT_SKIP_DATABASE_INIT", "whether the tables of the database are left to another instance");

/// Which database.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseConfig {
    /// `None` if none is configured.
    pub(crate) connection_string: Option<DatabaseConnectionString>,
    /// Leaves the database's tables to another instance.
    pub(crate) skip_init: bool,
}

impl Section for DatabaseConfig {
    const TITLE: &'static str = "Database";

    fn read(reader: &mut Reader) -> Self {
        Self {
            connection_string: reader.text(DATABASE).map(DatabaseConnectionString),
            skip_init: reader.boolean(SKIP_DATABASE_INIT, false),
        }
    }
}

/// A connection string; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseConnectionString(String);

impl DatabaseConnectionString {
    /// The connection string itself, password and all.
    #[cfg(test)]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
