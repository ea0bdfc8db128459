//! The arguments of `hubline check`.

use http::Uri;

use crate::cli::ConfigArgs;
use crate::config;

/// Most instances that are looked at: each has a connection of every transport.
const LIMIT_URLS: usize = 50;
/// The variables in which instances have their admin keys.
const ADMIN_KEYS: [&str; 2] = ["Admin__ApiKey", "Admin__ApiKeys__0"];

/// What is looked at. There is no `Debug`: keys and passwords are in it.
#[derive(Clone, Default, clap::Args)]
#[command(
    group(clap::ArgGroup::new("what").required(true).args(["itself", "urls"])),
    after_help = "Exit codes: 0 nothing failed, 1 something failed, 2 the arguments are wrong or,\nwith --strict, a step was left out."
)]
pub(crate) struct CheckArgs {
    /// Ask the instance of this machine alone
    ///
    /// Asks whether the instance of this machine or container is ready,
    /// at the addresses that its own configuration has: the health check
    /// of an image. Exit code 0 or 1, and one line.
    #[arg(long = "self", verbatim_doc_comment, conflicts_with_all = ["redis", "database", "admin_key", "json", "strict"])]
    pub(crate) itself: bool,
    /// Addresses of the instances, separated by ';'
    #[arg(long, value_name = "URLS", value_delimiter = ';', value_parser = address)]
    pub(crate) urls: Vec<String>,
    /// Redis of the instances
    ///
    /// Default: the configured one. Without a channelPrefix that of the
    /// instances is taken.
    #[arg(long, verbatim_doc_comment, value_name = "CONNECTION")]
    pub(crate) redis: Option<String>,
    /// Database of the instances, if it is PostgreSQL
    ///
    /// Default: the configured one.
    #[arg(long, verbatim_doc_comment, value_name = "CONNECTION")]
    pub(crate) database: Option<String>,
    /// Admin key, without which no message is sent
    ///
    /// Of the scope write or full. Better in the variable Admin__ApiKey (or
    /// Admin__ApiKeys__0), since other users of the machine see arguments.
    #[arg(long, verbatim_doc_comment, value_name = "KEY")]
    pub(crate) admin_key: Option<String>,
    /// Print one JSON object at the end
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit code 2 where a step was left out
    #[arg(long)]
    pub(crate) strict: bool,
    /// Environment [default: Production]
    ///
    /// It also picks appsettings.{ENVIRONMENT}.json.
    #[arg(long, verbatim_doc_comment, value_name = "NAME")]
    pub(crate) environment: Option<String>,
    /// Directory of the appsettings files
    ///
    /// Default: the working directory.
    #[arg(long, verbatim_doc_comment, value_name = "DIR")]
    pub(crate) content_root: Option<String>,
    /// Any configuration key
    ///
    /// For instance SignalR:ChannelPrefix=x.
    #[arg(long, verbatim_doc_comment, value_name = "KEY=VALUE", value_parser = crate::cli::key_and_value)]
    pub(crate) set: Vec<(String, String)>,
}

impl CheckArgs {
    /// The configuration that Redis and the database are taken from.
    pub(crate) fn configuration(&self) -> ConfigArgs {
        let mut set = self.set.clone();
        if let Some(database) = &self.database {
            set.push((config::DatabaseConfig::KEY.to_owned(), database.clone()));
        }
        ConfigArgs {
            redis: self.redis.clone(),
            environment: self.environment.clone(),
            content_root: self.content_root.clone(),
            set,
            ..ConfigArgs::default()
        }
    }

    /// From the command line, or from the variables that instances have it in.
    pub(super) fn admin_key(&self) -> Option<String> {
        let variables = ADMIN_KEYS.into_iter().filter_map(|name| {
            let found = config::process_variables().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value)
        });
        let mut keys = self.admin_key.clone().into_iter().chain(variables);
        keys.find(|key| !key.trim().is_empty())
    }

    /// # Errors
    /// There are too many addresses.
    pub(crate) fn checked(mut self) -> Result<Self, String> {
        let mut seen = std::collections::BTreeSet::new();
        self.urls.retain(|url| !url.is_empty() && seen.insert(url.clone()));
        match self.urls.len() {
            0 if !self.itself => {
                Err("--urls names no address, expected for instance http://localhost:5000".to_owned())
            }
            0..=LIMIT_URLS => Ok(self),
            count => Err(format!("--urls names {count} addresses, and {LIMIT_URLS} are checked at most")),
        }
    }
}

/// An address without a slash at the end; nothing where two separators follow each other.
fn address(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    if text.is_empty() {
        return Ok(String::new());
    }
    let uri: Uri = text.parse().map_err(|error| format!("{error}, expected http://host:port"))?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    match (is_http, uri.host(), uri.query()) {
        (true, Some(host), None) if !host.is_empty() && !text.contains('@') => Ok(text.to_owned()),
        _ => Err("expected http://host:port or https://host:port, without user and query".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_instances() {
        for (text, read) in [
            ("http://localhost:5000", Some("http://localhost:5000")),
            (" https://chat.example.org/base/ ", Some("https://chat.example.org/base")),
            ("http://[::1]:5000", Some("http://[::1]:5000")),
            ("", Some("")),
            ("localhost:5000", None),
            ("ftp://localhost", None),
            ("http://ada:secret@localhost", None),
            ("http://localhost?key=1", None),
        ] {
            assert_eq!(address(text).ok().as_deref(), read, "{text}");
        }
        let urls = |count: usize| (0..count).map(|port| format!("http://h:{}", port + 1)).collect();
        let twice =
            CheckArgs { urls: vec!["http://a".to_owned(), "http://a".to_owned()], ..CheckArgs::default() };
        assert_eq!(twice.checked().ok().map(|arguments| arguments.urls.len()), Some(1));
        assert!(CheckArgs { urls: urls(51), ..CheckArgs::default() }.checked().is_err());
        assert!(CheckArgs::default().checked().is_err());
    }
}
