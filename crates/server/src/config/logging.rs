//! What is logged, and how: `Logging:*`, as a .NET application has it in its appsettings.

use tracing::level_filters::LevelFilter;

use super::Section;
use super::key::Key;
use super::log_categories;
use super::reader::Reader;

const LOG_LEVEL: Key = Key::new(
    "Logging:LogLevel:Default",
    "what is logged, in .NET's words: Trace, Debug, Information, Warning, Error, Critical (as Error) or None",
);
const CATEGORY_LEVEL: Key = Key::new(
    "Logging:LogLevel:{category}",
    "the same for one category and those below it: ASP.NET Core's (Microsoft.AspNetCore.SignalR), Hubline's own (Hubline.Chat), or a \
     module of the source (hubline_redis.client)",
)
.unit("log level");
const CONSOLE_LOG_LEVEL: Key = Key::new(
    "Logging:Console:LogLevel:Default",
    "the same as Logging:LogLevel:Default for .NET's console, which the log of this program is; goes before all of Logging:LogLevel",
);
const CONSOLE_CATEGORY_LEVEL: Key = Key::new(
    "Logging:Console:LogLevel:{category}",
    "the same for one category, likewise; goes before Logging:LogLevel of it and of those below it",
)
.unit("log level");
const FORMATTER_NAME: Key = Key::new(
    "Logging:Console:FormatterName",
    "simple: a line of text for each event; json: an object for each, with its fields as members",
);

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoggingConfig {
    /// Of everything that has no level of its own.
    pub(crate) level: LevelFilter,
    /// Prefixes of targets with levels of their own.
    pub(crate) targets: Vec<(String, LevelFilter)>,
    /// Whether each event is an object instead of a line of text.
    pub(crate) is_json: bool,
}

impl LoggingConfig {
    /// The level of a target that is not below any that has one of its own.
    pub(crate) fn level_of(&self, target: &str) -> LevelFilter {
        let own = self.targets.iter().find(|(prefix, _)| prefix == target);
        own.map_or(self.level, |(_, level)| *level)
    }
}

impl Section for LoggingConfig {
    const TITLE: &'static str = "Logging";

    fn read(reader: &mut Reader) -> Self {
        let level = reader.log_level(LOG_LEVEL, LevelFilter::INFO);
        let parse = |value: &str| match value.to_ascii_lowercase().as_str() {
            "simple" => Ok(false),
            "json" => Ok(true),
            _ => Err("simple or json"),
        };
        let show = |is_json: &bool| if *is_json { "json" } else { "simple" }.to_owned();
        let of_console = reader.optional_log_level(CONSOLE_LOG_LEVEL);
        let mut categories = log_categories::read(reader, CATEGORY_LEVEL);
        if of_console.is_some() {
            categories.clear();
        }
        categories.extend(log_categories::read(reader, CONSOLE_CATEGORY_LEVEL));
        let targets = log_categories::targets(categories);
        let level = of_console.unwrap_or(level);
        Self { level, targets, is_json: reader.value(FORMATTER_NAME, false, parse, show) }
    }
}
