//! The environment a server runs in.

use std::fmt;

/// Those that ASP.NET Core knows.
const KNOWN: [&str; 3] = ["Development", "Staging", "Production"];

/// How much like one of these another name has to be, from 0 to 1, to be taken for it.
const LIKENESS: f64 = 0.7;

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

impl HostEnvironment {
    /// Which of the environments that are known by name was probably meant, if this one is none of them: `Prod`, `Developement`.
    pub(super) fn meant(&self) -> Option<&'static str> {
        let name = self.0.to_ascii_lowercase();
        if KNOWN.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            return None;
        }
        KNOWN.into_iter().find(|known| {
            let known = known.to_ascii_lowercase();
            let begins_alike = name.len() >= 3 && known.starts_with(name.get(..4).unwrap_or(&name));
            begins_alike || strsim::normalized_damerau_levenshtein(&name, &known) >= LIKENESS
        })
    }
}

impl fmt::Display for HostEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_almost_known_are_found() {
        for (name, meant) in [
            ("Prod", Some("Production")),
            ("prd", None),
            ("Production-EU", Some("Production")),
            ("Prodution", Some("Production")),
            ("dev", Some("Development")),
            ("Developement", Some("Development")),
            ("Stage", Some("Staging")),
            ("Stag", Some("Staging")),
            ("PRODUCTION", None),
            ("Development", None),
            ("Test", None),
            ("QA", None),
            ("p", None),
        ] {
            assert_eq!(HostEnvironment::named(name).unwrap().meant(), meant, "{name}");
        }
    }
}
