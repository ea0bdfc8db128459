use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::plan::settings::{RoleSettings, RunSettings};

/// A scenario file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) run: RunSettings,
    pub(crate) all: RoleSettings,
    pub(crate) role: Vec<RoleSettings>,
}

/// What `hubline load init` writes.
pub(crate) const EXAMPLE: &str = include_str!("scenario.toml");

impl Scenario {
    /// # Errors
    /// The file cannot be read, or line and column of what is wrong in it.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("--scenario {} cannot be read", file.display()))?;
        Self::parse(&text).with_context(|| format!("--scenario {}", file.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let scenario: Self = toml::from_str(text).map_err(|error| anyhow::anyhow!("{error}"))?;
        for key in ["name", "share"] {
            let is_in_all =
                if key == "name" { scenario.all.name.is_some() } else { scenario.all.share.is_some() };
            ensure!(!is_in_all, "[all] has {key}, which belongs into a [[role]]");
        }
        Ok(scenario)
    }
}

/// Writes the commented example.
///
/// # Errors
/// The file is there already, or cannot be written.
pub(crate) fn write_example(file: &Path) -> anyhow::Result<()> {
    use std::io::Write;
    let shown = file.display();
    let opened = std::fs::File::options().write(true).create_new(true).open(file);
    if opened.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists) {
        anyhow::bail!("{shown} is there already; name another file");
    }
    let mut opened = opened.with_context(|| format!("{shown} cannot be written"))?;
    opened.write_all(EXAMPLE.as_bytes()).with_context(|| format!("{shown} cannot be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_scenario_and_each_line_that_is_commented_out_may_be_taken_in() {
        let scenario = Scenario::parse(EXAMPLE).unwrap();
        assert_eq!(scenario.role.len(), 2);
        let all: String = EXAMPLE
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
                    setting
                }
                _ => line,
            })
            .collect::<Vec<_>>()
            .join("\n");
        let scenario = Scenario::parse(&all).unwrap();
        assert!(scenario.run.ramp.is_some() && scenario.run.read_rate.is_some() && scenario.run.stateful);
        assert!(scenario.all.jwt_claims.is_some() && !scenario.all.headers.is_empty());
        let writer = &scenario.role[1];
        assert!(writer.join_args.is_some() && writer.groups.is_some() && writer.no_answer);
    }

    #[test]
    fn mistakes_say_where_they_are() {
        for (text, told) in [
            ("[run]\nconnection = 5", "connection"),
            ("[run]\ndrop = \"5\"", "5%/s"),
            ("[[role]]\nname = 7", "line 2"),
            ("[all]\nshare = 1", "belongs into a [[role]]"),
            ("run", "line 1"),
        ] {
            let refused = format!("{:#}", Scenario::parse(text).unwrap_err());
            assert!(refused.contains(told), "{text}: {refused}");
        }
    }
}
