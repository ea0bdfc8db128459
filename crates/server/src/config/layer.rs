//! Keys with their values and sources, one layer over the other.

use std::collections::BTreeMap;

use super::addresses::URLS;
use super::redis::REDIS_SIGNALR;
use super::report::Source;
use super::server::{CONTENT_ROOT, ENVIRONMENT, SHUTDOWN_TIMEOUT};
use crate::cli::ConfigArgs;

/// One value that was set somewhere.
#[derive(Clone)]
pub(crate) struct Setting {
    /// As written, `:` between sections.
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) source: Source,
}

/// Settings by key, without case.
#[derive(Clone, Default)]
pub(super) struct Layer(BTreeMap<String, Setting>);

impl Layer {
    /// Environment variables, `__` read as `:`. From lowest to highest: those prefixed
    /// `ASPNETCORE_`, those prefixed `DOTNET_`, those without prefix.
    pub(super) fn of_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables: Vec<(String, String)> = variables.into_iter().collect();
        let mut layer = Self::default();
        for prefix in ["ASPNETCORE_", "DOTNET_"] {
            for (name, value) in &variables {
                if let Some(key) = strip_prefix(name, prefix) {
                    layer.set(key.replace("__", ":"), value, Source::Variable(name.clone()));
                }
            }
        }
        for (name, value) in &variables {
            let key = connection_string_key(name).unwrap_or_else(|| name.replace("__", ":"));
            if !is_host_key(&key) {
                layer.set(key, value, Source::Variable(name.clone()));
            }
        }
        layer
    }

    /// The command line; a flag of its own goes over the same key given in .NET's way.
    pub(super) fn of_command_line(args: &ConfigArgs) -> Self {
        let mut layer = Self::default();
        for (key, value) in &args.set {
            layer.set(key.clone(), value, Source::CommandLine(format!("--{key}")));
        }
        let flags = [
            (URLS, "--urls", &args.urls),
            (REDIS_SIGNALR, "--redis", &args.redis),
            (ENVIRONMENT, "--environment", &args.environment),
            (CONTENT_ROOT, "--content-root", &args.content_root),
            (SHUTDOWN_TIMEOUT, "--shutdown-timeout", &args.shutdown_timeout),
        ];
        for (key, flag, value) in flags {
            if let Some(value) = value {
                layer.set(key.name.to_owned(), value, Source::CommandLine(flag.to_owned()));
            }
        }
        layer
    }

    /// One layer of several, lowest first.
    pub(super) fn stack(layers: [&Self; 4]) -> Self {
        let settings = layers.into_iter().flat_map(|layer| layer.0.clone());
        Self(settings.collect())
    }

    /// Sets a value; false if the key was there, in any case.
    pub(super) fn set(&mut self, key: String, value: &str, source: Source) -> bool {
        let value = value.to_owned();
        self.0.insert(key.to_ascii_lowercase(), Setting { key, value, source }).is_none()
    }

    /// The setting of a key. An empty value is as good as none.
    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        let setting = self.0.get(&key.to_ascii_lowercase())?;
        (!setting.value.trim().is_empty()).then_some(setting)
    }

    /// All settings, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.values()
    }
}

/// Whether the key is read only from the command line and from `DOTNET_` and `ASPNETCORE_` variables, because it decides which
/// files are read.
pub(super) fn is_host_key(name: &str) -> bool {
    [ENVIRONMENT, CONTENT_ROOT].iter().any(|key| key.covers(name))
}

fn strip_prefix<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Azure App Service hands out its connection strings under prefixes .NET knows.
fn connection_string_key(name: &str) -> Option<String> {
    ["CUSTOMCONNSTR_", "REDISCACHECONNSTR_", "POSTGRESQLCONNSTR_"]
        .iter()
        .find_map(|prefix| strip_prefix(name, prefix))
        .map(|key| format!("ConnectionStrings:{key}"))
}
