//! The variables of instances: the file of the system, what its Compose file sets, and where things are here.

use std::path::PathBuf;

use anyhow::{Context, Result};
use hubline_testkit::env_file;

use super::System;
use super::places::Places;
use crate::process::root;

const ORIGINS: &str = "Cors__AllowedOrigins";
const DATABASE: &str = "ConnectionStrings__Database";

/// What Conduit's Compose file has; TeleDoctor's has no database, so its file of variables has one.
const CONDUIT_DATABASE: &str = "Host=postgres;Database=conduit;Username=conduit;Password=conduit123";
const TELEDOCTOR_REDIS_PASSWORD: &str = "YourRedisPassword";

pub(super) struct Environment {
    system: System,
    variables: Vec<(String, String)>,
    database: Database,
}

/// The parts of an Npgsql connection string.
struct Database {
    name: String,
    user: String,
    password: String,
}

impl System {
    fn file(self) -> PathBuf {
        let name = match self {
            Self::Conduit => "conduit.env",
            Self::Teledoctor => "teledoctor.env",
        };
        root().join("deploy").join(name)
    }
}

impl Environment {
    /// # Errors
    /// The file of variables cannot be read, or has no database where it should have one.
    pub(super) fn of(system: System, places: &Places) -> Result<Self> {
        let mut variables = env_file(system.file())?;
        let in_file = variables.iter().find(|(name, _)| name == DATABASE).map(|(_, value)| value.clone());
        let connection_string = match system {
            System::Conduit => CONDUIT_DATABASE.to_owned(),
            System::Teledoctor => in_file.with_context(|| format!("there is no {DATABASE} in the file"))?,
        };
        let database = Database::parse(&connection_string)?;
        variables.retain(|(name, _)| name != DATABASE);
        let here = format!(
            "Host=127.0.0.1;Port={};Database={};Username={};Password={}",
            places.postgres, database.name, database.user, database.password
        );
        variables.push((DATABASE.to_owned(), here));
        let redis = format!("127.0.0.1:{}", places.redis);
        variables.extend(match system {
            System::Conduit => vec![(
                "ConnectionStrings__RedisSignalR".to_owned(),
                format!("{redis},abortConnect=false,connectTimeout=5000,syncTimeout=5000"),
            )],
            System::Teledoctor => vec![
                (
                    "Redis__ConnectionString".to_owned(),
                    format!("{redis},password={TELEDOCTOR_REDIS_PASSWORD}"),
                ),
                ("SignalR__UseRedisBackplane".to_owned(), "true".to_owned()),
            ],
        });
        // Pages of any instance may use the others, wherever they are this time.
        for (_, value) in variables.iter_mut().filter(|(name, _)| name == ORIGINS) {
            *value = [value.as_str(), &places.origins().join(",")].join(",");
        }
        Ok(Self { system, variables, database })
    }

    /// The variables of one instance, counted from 1: the first makes the tables.
    pub(super) fn of_instance(&self, number: usize) -> Vec<(String, String)> {
        let mut variables = self.variables.clone();
        if self.system == System::Conduit {
            let skip = if number == 1 { "false" } else { "true" };
            variables.push(("CONDUIT_SKIP_DATABASE_INIT".to_owned(), skip.to_owned()));
        }
        variables
    }

    pub(super) fn redis_options(&self) -> Vec<&'static str> {
        match self.system {
            System::Conduit => Vec::new(),
            System::Teledoctor => vec!["--requirepass", TELEDOCTOR_REDIS_PASSWORD],
        }
    }

    /// What there is to say about Redis.
    pub(super) fn redis(&self) -> String {
        match self.system {
            System::Conduit => "no password, keys in database 2".to_owned(),
            System::Teledoctor => format!("password {TELEDOCTOR_REDIS_PASSWORD}"),
        }
    }

    /// What there is to say about the database.
    pub(super) fn database(&self) -> String {
        let Database { name, user, password } = &self.database;
        format!("database {name}, user {user}, password {password}")
    }

    /// SQL that makes the database.
    pub(super) fn database_statements(&self) -> [String; 2] {
        let Database { name, user, password } = &self.database;
        [
            format!("CREATE ROLE {user} LOGIN PASSWORD '{password}'"),
            format!("CREATE DATABASE {name} OWNER {user}"),
        ]
    }
}

impl Database {
    fn parse(connection_string: &str) -> Result<Self> {
        let part = |key: &str| {
            let value =
                connection_string.split(';').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
            let is_plain = |value: &&str| value.bytes().all(|byte| byte.is_ascii_alphanumeric());
            value
                .filter(is_plain)
                .map(str::to_owned)
                .with_context(|| format!("{DATABASE}: expected {key}=... of letters and digits"))
        };
        Ok(Self { name: part("Database")?, user: part("Username")?, password: part("Password")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Ports;

    #[test]
    fn the_files_of_both_systems_lead_to_what_runs_here() -> Result<()> {
        let places = Places::choose(Ports::Theirs, 3);
        let conduit = Environment::of(System::Conduit, &places)?;
        let value = |environment: &Environment, number, name: &str| {
            let variables = environment.of_instance(number);
            let values: Vec<_> = variables.into_iter().filter(|(own, _)| own == name).collect();
            assert!(values.len() <= 1, "{name} is there twice");
            values.into_iter().next().map(|(_, value)| value).unwrap_or_default()
        };
        assert_eq!(value(&conduit, 1, "SignalR__ChannelPrefix"), "conduit_signalr:");
        assert_eq!(value(&conduit, 1, "CONDUIT_SKIP_DATABASE_INIT"), "false");
        assert_eq!(value(&conduit, 3, "CONDUIT_SKIP_DATABASE_INIT"), "true");
        assert!(value(&conduit, 1, ORIGINS).starts_with("null,"));
        assert!(value(&conduit, 1, ORIGINS).ends_with("http://localhost,http://127.0.0.1"));
        let teledoctor = Environment::of(System::Teledoctor, &places)?;
        let database = value(&teledoctor, 1, DATABASE);
        assert!(database.starts_with("Host=127.0.0.1;Port=5432;Database=teledoctor;"), "{database}");
        Ok(())
    }
}
