//! What is logged: `Logging:*`.

use tracing::level_filters::LevelFilter;

use super::Section;
use super::key::Key;
use super::reader::Reader;

const LOG_LEVEL: Key = Key::new(
    "Logging:LogLevel:Default",
    "what is logged, in .NET's words: Trace, Debug, Information, Warning, Error, Critical (as Error) or None",
);

/// What is logged.
#[derive(Debug, Clone)]
pub(crate) struct LoggingConfig {
    /// Of everything that has no level of its own.
    pub(crate) level: LevelFilter,
}

impl Section for LoggingConfig {
    const TITLE: &'static str = "Logging";

    fn read(reader: &mut Reader) -> Self {
        Self { level: reader.log_level(LOG_LEVEL, LevelFilter::INFO) }
    }
}
