//! The configuration, typed, from the layers a .NET application has. Lowest first:
//!
//! 1. defaults;
//! 2. `appsettings.json` and `appsettings.{Environment}.json` of the content root;
//! 3. environment variables, `__` for `:`, from lowest to highest with prefix `ASPNETCORE_`,
//!    with prefix `DOTNET_`, without prefix;
//! 4. the command line.
//!
//! Keys compare without case. An empty value means the default, whatever lower layers say. Time spans are .NET's (`00:00:15`,
//! `1.12:00:00`) or plain seconds (`15`, `0.5`).
//!
//! Each part of the program, and each application in a `config.rs` of its own, declares its keys ([`Key`]) and reads them as a
//! [`Section`]. Nothing else lists keys: those are known that are asked for, which `hubline config` shows and misspelt ones are
//! compared with. A test compares the README's table with them.

mod addresses;
mod bearer;
mod certificate;
mod database;
mod describe;
mod forwarded;
mod gather;
mod host_environment;
mod hosts;
mod hub_names;
mod json_file;
mod key;
mod known;
mod layer;
mod limits;
mod list;
mod listen_address;
mod log_categories;
mod logging;
mod management;
mod origins;
mod prints;
mod reader;
mod redis;
mod report;
mod secrets;
mod server;
mod signalr;
mod time_span;

use std::path::Path;

pub(crate) use bearer::AuthenticationConfig;
pub(crate) use database::DatabaseConfig;
pub(crate) use describe::{ConfigFile, EffectiveSetting};
pub(crate) use host_environment::HostEnvironment;
pub(crate) use key::Key;
pub(crate) use known::is_known as is_known_key;
pub(crate) use limits::LimitsConfig;
pub(crate) use listen_address::{ListenAddress, ListenHost, Scheme};
pub(crate) use logging::LoggingConfig;
pub(crate) use management::ManagementConfig;
pub(crate) use reader::Reader;
pub(crate) use redis::RedisConfig;
pub(crate) use report::{ConfigErrors, Problem, Warning};
pub(crate) use server::ServerConfig;
pub(crate) use signalr::SignalRConfig;

use crate::app::ApplicationsConfig;
use crate::check::Prints;
use crate::cli::ConfigArgs;

/// A part of the configuration, with the keys that it declares.
///
/// ```text
/// const RING_TIMEOUT: Key = Key::new("Calls:RingTimeout", "how long a call rings until it counts as not answered");
///
/// pub(crate) struct CallsConfig { pub(crate) ring_timeout: Duration }
///
/// impl Section for CallsConfig {
///     const TITLE: &'static str = "Calls";
///
///     fn read(reader: &mut Reader) -> Self {
///         Self { ring_timeout: reader.interval(RING_TIMEOUT, Duration::from_secs(45)) }
///     }
/// }
/// ```
///
/// `app::ApplicationsConfig` has a field for each application's.
pub(crate) trait Section: Sized {
    /// What stands over its keys where they are shown.
    const TITLE: &'static str;

    /// Reads all of its keys, each of them whatever the others say. Mistakes go to the reader, and a default takes their place.
    fn read(reader: &mut Reader) -> Self;
}

/// Everything that can be configured. An environment variable is the key with `__` for `:`.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) server: ServerConfig,
    pub(crate) management: ManagementConfig,
    pub(crate) limits: LimitsConfig,
    pub(crate) redis: RedisConfig,
    pub(crate) signalr: SignalRConfig,
    pub(crate) authentication: AuthenticationConfig,
    pub(crate) database: DatabaseConfig,
    pub(crate) logging: LoggingConfig,
    pub(crate) applications: ApplicationsConfig,
    /// All values, to be compared with those of other instances.
    pub(crate) prints: Prints,
}

/// A configuration, and what there is to tell about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The values.
    pub(crate) config: Config,
    /// To be logged at start.
    pub(crate) warnings: Vec<Warning>,
    /// Every key with its value and source.
    pub(crate) settings: Vec<EffectiveSetting>,
    /// The files that were looked for.
    pub(crate) files: Vec<ConfigFile>,
}

impl Config {
    /// Reads all layers; `variables` are usually [`process_variables`].
    ///
    /// # Errors
    /// Every mistake there is, each with key, value, source and what would be right. Values that
    /// a higher layer replaces are not looked at.
    pub(crate) fn load(
        args: &ConfigArgs,
        variables: impl IntoIterator<Item = (String, String)>,
        working_directory: &Path,
    ) -> Result<Loaded, ConfigErrors> {
        let gathered = gather::gather(args, variables, working_directory);
        let mut mistakes = gathered.mistakes;
        let mut files = Vec::new();
        for file in gathered.files {
            mistakes.extend(file.mistakes);
            files.push(ConfigFile { name: file.name, found: file.found });
        }
        let (environment, environment_source) = gathered.environment;
        let (content_root, content_root_source) = gathered.content_root;
        // Without the `.` of the working directory: paths below it are shown.
        let directory = working_directory.join(&content_root).components().collect();
        let mut reader = Reader::new(gathered.settings, mistakes, environment.clone(), directory);
        if let Some(meant) = environment.meant() {
            let (name, source) = (environment.to_string(), environment_source.clone());
            reader.warnings.push(Warning::NearEnvironment { name, source, meant });
        }
        reader.note(server::ENVIRONMENT.name(), environment.to_string(), environment_source);
        reader.note(server::CONTENT_ROOT.name(), content_root.display().to_string(), content_root_source);
        let mut config = Self::read_all(&mut reader);
        reader.warn_of_unknown_keys();
        reader.warn_of_unexpanded_values();

        reader.note_the_rest();
        config.prints = reader.prints();
        let Reader { effective: settings, mistakes, warnings, .. } = reader;
        match mistakes.is_empty() {
            true => Ok(Loaded { config, warnings, settings, files }),
            false => Err(ConfigErrors { mistakes, warnings, is_json: config.logging.is_json }),
        }
    }

    fn read_all(reader: &mut Reader) -> Self {
        Self {
            server: reader.section(),
            management: reader.section(),
            limits: reader.section(),
            redis: reader.section(),
            signalr: reader.section(),
            authentication: reader.section(),
            database: reader.section(),
            logging: reader.section(),
            applications: reader.section(),
            prints: Prints::default(),
        }
    }
}

/// The environment variables of this process; bytes that are not UTF-8 are replaced.
pub(crate) fn process_variables() -> impl Iterator<Item = (String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (lossy(name), lossy(value)))
}

#[cfg(test)]
mod tests;
