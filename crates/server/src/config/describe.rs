//! What `hubline config` shows.

use std::fmt::Write;

use super::report::Source;
use super::{Loaded, known};

/// One key with the value in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EffectiveSetting {
    /// The key, `:` between sections.
    pub(crate) key: String,
    /// The value as understood, secrets hidden; `None` if unset and without default.
    pub(crate) value: Option<String>,
    /// Where it came from.
    pub(crate) source: Source,
}

/// An appsettings file that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    /// Its name, in the content root.
    pub(crate) name: String,
    /// Whether it is there.
    pub(crate) found: bool,
}

impl Loaded {
    /// Every key in effect with its value and source, secrets hidden, for people to read.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        let backplane = self.config.redis.options.as_ref().map(|options| format!("Redis ({options})"));
        let _ = writeln!(text, "backplane: {}", backplane.as_deref().unwrap_or("in-process"));
        for ConfigFile { name, found } in &self.files {
            let _ = writeln!(text, "{name}: {}", if *found { "read" } else { "not there" });
        }
        let mut section = "";
        for setting in &self.settings {
            let known = known::find(&setting.key);
            let title = known.map_or(section, |known| known.section);
            if title != section {
                let _ = writeln!(text, "\n## {title}");
                section = title;
            }
            setting.describe(&mut text);
        }
        for warning in &self.warnings {
            let _ = write!(text, "\nwarning: {warning}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }
}

impl EffectiveSetting {
    /// Three lines: the value with its source, what may be set and the default, and what it is for.
    fn describe(&self, text: &mut String) {
        let Self { key, value, source } = self;
        let _ = writeln!(text, "\n{key} = {}  ({source})", value.as_deref().unwrap_or("-"));
        if let Some(known) = known::find(key) {
            let _ = writeln!(text, "    {}, default {}", known.unit, known.default.as_deref().unwrap_or("-"));
            let _ = writeln!(text, "    {}", known.key.help);
        }
    }
}
