//! What `hubline config` shows.

use std::fmt::Write;

use super::Loaded;
use super::report::Source;

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
        let rows: Vec<[String; 3]> = self.settings.iter().map(row).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (keys, values) = (width(0), width(1).min(60));

        let mut text = String::new();
        let backplane = self.config.redis.as_ref().map(|options| format!("Redis ({options})"));
        let _ = writeln!(text, "backplane: {}", backplane.as_deref().unwrap_or("in-process"));
        for ConfigFile { name, found } in &self.files {
            let _ = writeln!(text, "{name}: {}", if *found { "read" } else { "not there" });
        }
        text.push('\n');
        for [key, value, source] in &rows {
            let _ = writeln!(text, "{key:keys$}  {value:values$}  {source}");
        }
        for warning in &self.warnings {
            let _ = write!(text, "\nwarning: {warning}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }
}

fn row(setting: &EffectiveSetting) -> [String; 3] {
    let value = setting.value.clone().unwrap_or_else(|| "-".to_owned());
    [setting.key.clone(), value, setting.source.to_string()]
}
