use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::client::network::{Network, NetworkOptions};
use crate::client::options::{ConnectOptions, TokenPlace, TransportChoice};
use crate::wire::messages::Protocol;

/// How a server is reached: the same for every command that connects.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectArgs {
    /// How messages travel: auto, ws, sse or lp [default: auto]
    #[arg(long, value_enum, hide_possible_values = true)]
    pub transport: Option<TransportChoice>,
    /// Hub protocol: json or messagepack [default: json]
    #[arg(long, value_enum, hide_possible_values = true)]
    pub protocol: Option<Protocol>,
    /// A WebSocket without a negotiation before it
    #[arg(long)]
    pub skip_negotiation: bool,
    /// Sent with every request; again for each
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Bearer token
    #[arg(long, env = "HUBLINE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Where WebSockets and event streams have the token:
    /// query (browsers) or header (.NET, Java)
    #[arg(long, value_enum, default_value_t, hide_possible_values = true, value_name = "PLACE")]
    #[arg(verbatim_doc_comment)]
    pub token_in: TokenPlace,
    /// Seconds that connecting may take
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub connect_timeout: f64,
    /// Let the servers be on other machines
    #[arg(long)]
    pub allow_remote: bool,
    /// Do not verify certificates
    #[arg(long)]
    pub insecure: bool,
    /// PEM file of the authorities that count instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,
    /// Connect to there; Host header and certificate are the URL's
    #[arg(long, value_name = "HOST:PORT")]
    pub connect_to: Option<String>,
}

impl ConnectArgs {
    /// What opens sockets.
    ///
    /// # Errors
    /// `--ca` cannot be used, or `--connect-to` is none.
    pub fn network(&self) -> anyhow::Result<Arc<Network>> {
        Ok(Arc::new(Network::new(self.network_options())?))
    }

    pub(crate) fn network_options(&self) -> NetworkOptions {
        NetworkOptions {
            allow_remote: self.allow_remote,
            insecure: self.insecure,
            ca: self.ca.clone(),
            connect_to: self.connect_to.clone(),
            receive_buffer_bytes: None,
        }
    }

    /// How each client connects.
    ///
    /// # Errors
    /// Options that do not go together, or a header or token that cannot be sent.
    pub fn options(&self) -> anyhow::Result<ConnectOptions> {
        let mut options = ConnectOptions {
            transport: self.transport.unwrap_or_default(),
            protocol: self.protocol.unwrap_or(Protocol::Json),
            skip_negotiation: self.skip_negotiation,
            headers: self.headers.iter().map(|text| header(text)).collect::<anyhow::Result<_>>()?,
            token: self.token.clone(),
            token_place: self.token_in,
            ..ConnectOptions::default()
        };
        let seconds = self.connect_timeout;
        ensure!(
            seconds.is_finite() && (0.001..=3600.0).contains(&seconds),
            "--connect-timeout {seconds}: from 0.001 to 3600 seconds"
        );
        options.timeout = Duration::from_secs_f64(seconds);
        options.check()?;
        Ok(options)
    }
}

impl ConnectOptions {
    /// # Errors
    /// What does not go together.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let is_web_socket =
            matches!(self.transport, TransportChoice::Automatic | TransportChoice::WebSockets);
        ensure!(
            !self.skip_negotiation || is_web_socket,
            "--skip-negotiation is for WebSockets: leave --transport {} or --skip-negotiation out",
            self.transport.name()
        );
        ensure!(
            self.protocol == Protocol::Json || self.transport != TransportChoice::ServerSentEvents,
            "server-sent events carry text only: use --protocol json, or --transport ws or lp"
        );
        ensure!(
            !self.stateful || (is_web_socket && !self.skip_negotiation),
            "stateful reconnects need WebSockets and a negotiation: leave --skip-negotiation and --transport out"
        );
        if let Some(token) = &self.token {
            ensure!(is_visible(token), "a token may only have visible ASCII characters, without blanks");
        }
        Ok(())
    }
}

/// A header as it is given on the command line: `NAME: VALUE`.
pub(crate) fn header(text: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = text
        .split_once(':')
        .context("--header needs a name, a colon and a value, for example --header 'X-Tenant: 7'")?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    ensure!(!name.is_empty() && name.bytes().all(is_name), "--header: {name:?} is no name of a header");
    ensure!(
        value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)),
        "--header {name}: the value may have no control characters"
    );
    for own in ["Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "Content-Type"] {
        if name.eq_ignore_ascii_case(own) {
            bail!("--header {own} is set by the client itself");
        }
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        connect: ConnectArgs,
    }

    fn options(arguments: &[&str]) -> anyhow::Result<ConnectOptions> {
        Command::try_parse_from(["load"].iter().chain(arguments))?.connect.options()
    }

    #[test]
    fn what_does_not_go_together_is_refused_and_says_what_would() {
        for (arguments, told) in [
            (&["--transport", "sse", "--protocol", "messagepack"][..], "--protocol json"),
            (&["--transport", "lp", "--skip-negotiation"], "is for WebSockets"),
            (&["--header", "X-Tenant"], "--header 'X-Tenant: 7'"),
            (&["--header", "X-Tenant: a\nb"], "control characters"),
            (&["--header", "content-length: 4"], "set by the client itself"),
            (&["--token", "a b"], "without blanks"),
            (&["--connect-timeout", "0"], "from 0.001"),
            (&["--connect-timeout", "nan"], "from 0.001"),
        ] {
            let refused = options(arguments).unwrap_err().to_string();
            assert!(refused.contains(told), "{arguments:?}: {refused}");
        }
    }

    #[test]
    fn arguments_become_options() {
        let options = options(&[
            "--header",
            "X-Tenant:  7 ",
            "--token",
            "t",
            "--token-in",
            "header",
            "--transport",
            "lp",
        ])
        .unwrap();
        assert_eq!(options.headers, [("X-Tenant".to_owned(), "7".to_owned())]);
        assert_eq!(options.token_place, TokenPlace::Header);
        assert_eq!(options.transport, TransportChoice::LongPolling);
    }

    #[test]
    fn the_help_fits_a_terminal() {
        let help = Command::command().term_width(80).render_long_help().to_string();
        let longest = help.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(longest.chars().count() <= 80, "{longest}");
    }
}
