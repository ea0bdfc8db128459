//! Which database.

use hubline_store::StoreOptions;

use super::Section;
use super::key::Key;
use super::reader::Reader;
use super::report::{Problem, Warning};

const DATABASE: Key = Key::new(
    "ConnectionStrings:Database",
    "database: PostgreSQL in Npgsql syntax or as URL, or SQLite (Data Source=path, sqlite: URL, :memory:), paths from the content root",
)
.database_connection_string();
const SKIP_MIGRATIONS: Key = Key::new(
    "Database:SkipMigrations",
    "whether the tables of the database are left to another instance or to hubline migrate",
);
const SKIP_DATABASE_INIT: Key =
    Key::new("CONDUIT_SKIP_DATABASE_INIT", "the same, where Database:SkipMigrations is not set");
const MAXIMUM_CONNECTIONS: Key = Key::new(
    "Database:MaximumConnections",
    "connections to PostgreSQL at most; goes before Maximum Pool Size of the connection string",
)
.unit("connections")
.unset("20");

/// A file beside the configuration.
const DEFAULT: &str = "Data Source=hubline.db";

/// Which database.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseConfig {
    /// Where it is, and how it is used.
    pub(crate) options: StoreOptions,
}

impl DatabaseConfig {
    /// Its key, for messages.
    pub(crate) const KEY: &'static str = DATABASE.name;
}

impl Section for DatabaseConfig {
    const TITLE: &'static str = "Database";

    fn read(reader: &mut Reader) -> Self {
        let mut options = place(reader);
        let skip_migrations = reader.preferred(&[SKIP_MIGRATIONS, SKIP_DATABASE_INIT]);
        options.skip_migrations = reader.boolean(skip_migrations, false);
        let parse = |value: &str| match value.parse() {
            Ok(connections @ 1..=10_000) => Ok(connections),
            _ => Err("a number from 1 to 10000"),
        };
        if let Some(maximum) = reader.optional(MAXIMUM_CONNECTIONS, parse, u32::to_string) {
            options.maximum_connections = maximum;
        }
        Self { options }
    }
}

/// Where it is. What cannot be read is a mistake, and the database in memory only takes its place.
fn place(reader: &mut Reader) -> StoreOptions {
    let text = reader.text_or(DATABASE, DEFAULT);
    let setting = reader.settings.get(DATABASE.name).cloned();
    match (StoreOptions::parse(&text, reader.content_root()), setting) {
        (Ok((options, warnings)), setting) => {
            let source = setting.map(|setting| setting.source);
            let warning =
                |text| Some(Warning::Part { key: DATABASE.name.to_owned(), source: source.clone()?, text });
            reader.warnings.extend(warnings.into_iter().filter_map(warning));
            options
        }
        (Err(error), setting) => {
            if let Some(setting) = setting {
                reader.mistake(DATABASE.name, &setting, Problem::Database(error));
            }
            StoreOptions::in_memory()
        }
    }
}
