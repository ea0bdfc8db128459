//! The environment a server runs in.

use std::fmt;

/// The name of the environment, which also names a file: `appsettings.{name}.json`.
///
/// Compares without case, as ASP.NET Core does; the file's name does not.
#[derive(Debug, Clone)]
pub(crate) struct HostEnvironment(String);

impl HostEnvironment {
    /// `Development`: details may be shown to whoever asks.
    pub(crate) fn development() -> Self {
        Self("Development".to_owned())
    }

    /// `Production`: the default, as in .NET.
    pub(crate) fn production() -> Self {
        Self("Production".to_owned())
    }

    /// An environment by name; `None` if it could not be part of a file's name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let bad = name.is_empty() || name.contains(['/', '\\', '\0']);
        (!bad).then(|| Self(name.to_owned()))
    }

    /// Whether this is Development.
    pub(crate) fn is_development(&self) -> bool {
        self.0.eq_ignore_ascii_case("Development")
    }

    /// Whether this is Production.
    pub(crate) fn is_production(&self) -> bool {
        self.0.eq_ignore_ascii_case("Production")
    }
}

impl fmt::Display for HostEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
