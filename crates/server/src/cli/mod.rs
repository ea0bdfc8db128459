//! The command line.

pub(crate) mod check;
pub(crate) mod manual;

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use crate::config;
pub(crate) use check::CheckArgs;
use hubline_load_tester::plan::LoadArgs;
use hubline_load_tester::tools::{ListenArgs, PingArgs, SendArgs};

const EXAMPLES: &str = "\
Examples:
  hubline serve --dev
      Try it: open http://localhost:5000
  hubline serve --urls http://+:8080 --redis redis:6379,password=secret
      One instance of a fleet
  hubline check --urls 'http://localhost:5000;http://localhost:5001'
      Whether instances work together

Every setting is a key of appsettings.json, an environment variable with __ for
the colon (SignalR__ChannelPrefix), or a flag (--SignalR:ChannelPrefix=x);
hubline config shows all of them.";

/// A SignalR server: chat, video calls and navigation state over many instances.
#[derive(Parser)]
#[command(name = "hubline", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program is asked to do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Serve the hubs until stopped
    Serve(ConfigArgs),
    /// Bring the tables of the database up to date, and end
    ///
    /// Exit code 0 if they are, 1 if the database cannot be used, 3 if they are
    /// those of a newer version.
    #[command(verbatim_doc_comment)]
    Migrate(ConfigArgs),
    /// Show every key in effect, its value and where it came from
    Config(ConfigArgs),
    /// Hand the clients of an instance over to the others
    ///
    /// Waits until that is over. Exit code 0 if it is, 1 if there is no such
    /// instance.
    #[command(verbatim_doc_comment)]
    Drain(DrainArgs),
    /// Check whether instances work, and work together
    ///
    /// Looks at their health, at Redis and the database; and, with an admin key, at
    /// messages between all of them over every transport, the channels on Redis,
    /// clocks, versions and configuration.
    #[command(verbatim_doc_comment)]
    Check(Box<CheckArgs>),
    /// Load a SignalR server, prove what arrives, measure how fast
    ///
    /// Any SignalR server; those on other machines need --allow-remote.
    #[command(verbatim_doc_comment)]
    Load(Box<LoadArgs>),
    /// Connect to a hub of any SignalR server and time each phase
    ///
    /// Says which phase failed, and what helps.
    #[command(verbatim_doc_comment)]
    Ping(Box<PingArgs>),
    /// Call a method of a hub and print its result
    Send(Box<SendArgs>),
    /// Print the events of a hub as JSON lines
    Listen(Box<ListenArgs>),
    /// Print what completes commands in a shell
    ///
    /// hubline completions bash > /etc/bash_completion.d/hubline
    #[command(verbatim_doc_comment)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    ///
    /// hubline man > hubline.1; hubline man check > hubline-check.1
    #[command(verbatim_doc_comment)]
    Man {
        /// The page of this command instead
        command: Option<String>,
    },
}

/// Which instance is drained.
#[derive(Clone, clap::Args)]
pub(crate) struct DrainArgs {
    /// The instance of this machine or container
    ///
    /// It is found by its configuration: with the same files, variables
    /// and --urls, as the same user. Needs Linux; elsewhere, and where
    /// the port is 0, SIGTERM (Ctrl-C) or POST /api/admin/drain do it.
    #[arg(long = "self", required = true, verbatim_doc_comment)]
    pub(crate) own: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// Configuration given on the command line; it goes over files and environment variables.
///
/// Values stay text here, so that their mistakes are reported with all the others. There is no
/// `Debug`: a connection string would show its password.
#[derive(Clone, Default, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Addresses to listen on, separated by ';'
    ///
    /// Default: http://localhost:5000
    #[arg(long, value_name = "URLS", verbatim_doc_comment)]
    pub(crate) urls: Option<String>,
    /// Redis: redis:6379,password=secret
    #[arg(long, value_name = "CONNECTION_STRING")]
    pub(crate) redis: Option<String>,
    /// Environment [default: Production]
    ///
    /// It also picks appsettings.{ENVIRONMENT}.json.
    #[arg(long, verbatim_doc_comment)]
    pub(crate) environment: Option<String>,
    /// Short for --environment Development
    ///
    /// Pages of any origin may connect, and the test trigger is served.
    #[arg(long, verbatim_doc_comment)]
    pub(crate) dev: bool,
    /// Directory of the appsettings files
    ///
    /// Default: the working directory. Also --contentRoot.
    #[arg(long, verbatim_doc_comment, alias = "contentRoot", value_name = "DIR")]
    pub(crate) content_root: Option<String>,
    /// Time for clients to leave [default: 3]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) shutdown_timeout: Option<String>,
    /// Any configuration key
    ///
    /// --SignalR:ChannelPrefix=x is --set SignalR:ChannelPrefix=x.
    #[arg(long, verbatim_doc_comment, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) set: Vec<(String, String)>,
}

impl Cli {
    /// Parses a whole command line, the program's name first.
    ///
    /// # Errors
    /// What clap reports, also for `--help` and `--version`: call `exit` on it.
    pub(crate) fn try_from_arguments(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        Self::try_parse_from(overrides_as_set(arguments))
    }
}

/// Turns .NET's `--Section:Key value` and `--Section:Key=value` into `--set=Section:Key=value`.
fn overrides_as_set(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let flags = flags();
    let mut arguments = arguments.into_iter();
    let mut rewritten = Vec::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().and_then(|text| text.strip_prefix("--"));
        let (key, value) = match text.map(|text| text.split_once('=').unwrap_or((text, ""))) {
            Some((key, value)) if is_override(key, &flags) => (key, value),
            _ => {
                rewritten.push(argument);
                continue;
            }
        };
        let mut set = OsString::from(format!("--set={key}"));
        match text.is_some_and(|text| text.contains('=')) {
            true => set.push(format!("={value}")),
            false => {
                if let Some(next) = arguments.next() {
                    set.push("=");
                    set.push(next);
                }
            }
        }
        rewritten.push(set);
    }
    rewritten
}

fn is_override(name: &str, flags: &[String]) -> bool {
    name.contains(':') || (config::is_known_key(name) && !flags.iter().any(|flag| flag == name))
}

/// Long flags and their aliases, of all subcommands.
fn flags() -> Vec<String> {
    let command = Cli::command();
    let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let names = |argument: &clap::Arg| {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        argument.get_long().into_iter().chain(aliases).map(str::to_owned).collect::<Vec<_>>()
    };
    arguments.flat_map(names).collect()
}

fn key_and_value(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(arguments: &[&str]) -> ConfigArgs {
        let arguments = ["hubline", "serve"].iter().chain(arguments).map(OsString::from);
        match Cli::try_from_arguments(arguments).unwrap().command {
            Command::Serve(args) => args,
            _ => panic!("not serve"),
        }
    }

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_and_overrides_mix_in_any_order() {
        let args = serve(&[
            "--SignalR:ChannelPrefix=x=y",
            "--Redis:ConnectionString",
            "redis:6379",
            "--urls",
            "http://+:1",
            "--URLS=http://+:2",
            "--ShutdownTimeout",
            "3",
            "--contentRoot",
            "/app",
            "--shutdown-timeout=7",
            "--set",
            "Redis:InstanceName=i",
        ]);
        assert_eq!(args.urls.as_deref(), Some("http://+:1"));
        assert_eq!(args.content_root.as_deref(), Some("/app"));
        assert_eq!(args.shutdown_timeout.as_deref(), Some("7"));
        let set: Vec<_> = args.set.iter().map(|(key, value)| format!("{key} -> {value}")).collect();
        assert_eq!(
            set,
            [
                "SignalR:ChannelPrefix -> x=y",
                "Redis:ConnectionString -> redis:6379",
                "URLS -> http://+:2",
                "ShutdownTimeout -> 3",
                "Redis:InstanceName -> i",
            ]
        );
    }

    #[test]
    fn override_without_value_is_refused() {
        let arguments = ["hubline", "serve", "--SignalR:ChannelPrefix"].map(OsString::from);
        let error = Cli::try_from_arguments(arguments).err().unwrap().to_string();
        assert!(error.contains("'SignalR:ChannelPrefix'") && error.contains("KEY=VALUE"), "{error}");
    }

    #[test]
    fn unknown_flag_is_refused() {
        let arguments = ["hubline", "serve", "--urlz=x"].map(OsString::from);
        assert!(Cli::try_from_arguments(arguments).is_err());
    }
}
