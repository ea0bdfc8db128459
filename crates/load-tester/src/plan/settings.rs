//! What can be said on the command line and in a scenario file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use crate::client::TransportChoice;
use crate::plan::values::{Arguments, Audience, Bytes, Ramp, ShareEachSecond};
use crate::wire::messages::Protocol;

/// What connections do. In a scenario file each role has its own, and what it leaves out comes from the file's beginning, then from
/// the command line.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[command(next_help_heading = "What connections do")]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RoleSettings {
    /// The hub; again for each instance, which take turns
    #[arg(long, value_name = "URL")]
    #[serde(deserialize_with = "one_or_many")]
    pub url: Vec<String>,
    /// Method that each connection calls at the interval
    ///
    /// On a path that ends in navigation-state it is RequestCurrentState;
    /// elsewhere connections only listen without it.
    #[arg(long, verbatim_doc_comment)]
    pub method: Option<String>,
    /// Its arguments, a JSON array; {stamp} proves who gets it
    ///
    /// Placeholders: {stamp} is the payload that the oracle knows again,
    /// {n} the connection, {i} the call, {group}, {role}; {{ is a brace,
    /// "{#n}" and "{#i}" are numbers. Example: '["{stamp}", "{#n}"]'
    #[arg(long, value_name = "JSON", verbatim_doc_comment)]
    pub args: Option<Arguments>,
    /// Milliseconds from call to call of one connection [default: 1000]
    #[arg(long, value_name = "MS")]
    pub interval: Option<f64>,
    /// Milliseconds from an answer to the next call, instead
    ///
    /// A closed loop: a slow server gets fewer calls, as from people.
    #[arg(long, value_name = "MS", verbatim_doc_comment)]
    pub think_time: Option<f64>,
    /// Event that brings the message to its receivers
    #[arg(long)]
    pub event: Option<String>,
    /// Who gets it: all, others, caller, group, unknown
    ///
    /// Default: all with --event and {stamp}, otherwise unknown.
    #[arg(long, value_enum, hide_possible_values = true, verbatim_doc_comment)]
    pub audience: Option<Audience>,
    /// Bytes of {stamp}, filled up [default: 64]
    #[arg(long, value_name = "BYTES")]
    pub size: Option<u32>,
    /// So many connections send; the others listen [default: all]
    #[arg(long, value_name = "N")]
    pub senders: Option<u32>,
    /// Do not ask for answers
    #[arg(long)]
    pub no_answer: bool,
    /// Method that joins a group once connected
    #[arg(long, value_name = "METHOD")]
    pub join: Option<String>,
    /// Its arguments [default: ["{group}"]]
    #[arg(long, value_name = "JSON")]
    pub join_args: Option<Arguments>,
    /// Connections are spread over so many groups [default: 1]
    #[arg(long, value_name = "N")]
    pub groups: Option<u32>,
    /// Token of each connection, with {n}
    #[arg(long, value_name = "TEXT")]
    pub token_template: Option<String>,
    /// File with a token a line; connections take turns
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Sign a token (HS256) for each connection with this key
    #[arg(long, value_name = "KEY", env = "HUBLINE_LOAD_JWT_KEY", hide_env_values = true)]
    pub jwt_key: Option<String>,
    /// Its claims, with {n} [default: {"sub":"load-{n}"}]
    ///
    /// exp is added, a day from now, unless it is there.
    #[arg(long, value_name = "JSON", verbatim_doc_comment)]
    pub jwt_claims: Option<String>,
    /// Of a role: its name.
    #[arg(skip)]
    pub name: Option<String>,
    /// Of a role: how many of all connections it has, in relation to the other roles.
    #[arg(skip)]
    pub share: Option<u32>,
    /// As the option.
    #[arg(skip)]
    pub transport: Option<TransportChoice>,
    /// As the option.
    #[arg(skip)]
    pub protocol: Option<Protocol>,
    /// As the option.
    #[arg(skip)]
    pub skip_negotiation: Option<bool>,
    /// As the option.
    #[arg(skip)]
    pub token: Option<String>,
    /// Names and values.
    #[arg(skip)]
    pub headers: BTreeMap<String, String>,
}

/// How many connections, how long, and what happens to them.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RunSettings {
    /// Connections [default: 100]
    #[arg(long, value_name = "N", help_heading = "How much")]
    pub connections: Option<u32>,
    /// Connections of each step, instead: 10,100,1000
    #[arg(long, value_name = "N,N,..", conflicts_with = "connections", help_heading = "How much")]
    pub ramp: Option<Ramp>,
    /// Seconds of each step, after connecting [default: 30]
    #[arg(long, value_name = "SECONDS", help_heading = "How much")]
    pub duration: Option<f64>,
    /// New connections a second [default: 500]
    #[arg(long, value_name = "N", help_heading = "How much")]
    pub connect_rate: Option<f64>,
    /// Seconds that the last messages have; then they are lost [default: 5]
    #[arg(long, value_name = "SECONDS", help_heading = "How much")]
    pub settle: Option<f64>,
    /// Seconds after which a message is late [default: 1]
    #[arg(long, value_name = "SECONDS", help_heading = "How much")]
    pub late: Option<f64>,
    /// Refuse a run that needs more memory [default: 3/4 of what is free]
    #[arg(long, value_name = "SIZE", help_heading = "How much")]
    pub max_memory: Option<Bytes>,
    /// Cut this share of the connections every second: 5%/s
    #[arg(long, value_name = "SHARE", help_heading = "Faults")]
    pub drop: Option<ShareEachSecond>,
    /// This share stops reading every second: 1%/s
    #[arg(long, value_name = "SHARE", help_heading = "Faults")]
    pub pause_readers: Option<ShareEachSecond>,
    /// Seconds that such a pause lasts [default: 3]
    #[arg(long, value_name = "SECONDS", help_heading = "Faults")]
    pub pause_time: Option<f64>,
    /// Cut all at once, in the middle of each step, or every so often
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "0", help_heading = "Faults")]
    pub storm: Option<f64>,
    /// Resume cut connections (stateful reconnects); without --drop or
    /// --storm 1%/s is cut
    #[arg(long, help_heading = "Faults", verbatim_doc_comment)]
    pub stateful: bool,
    /// Read so many bytes a second on each connection: a slow network
    #[arg(long, value_name = "SIZE", help_heading = "Faults")]
    pub read_rate: Option<Bytes>,
}

impl RoleSettings {
    /// Fills what is left out from another one.
    pub(crate) fn or(self, other: &Self) -> Self {
        let Self { url, no_answer, headers, .. } = self;
        let tokens = [
            self.token.is_some(),
            self.token_template.is_some(),
            self.token_file.is_some(),
            self.jwt_key.is_some(),
        ];
        let has_token = tokens.contains(&true);
        let token = |own: Option<String>, other: &Option<String>| {
            if has_token { own } else { other.clone() }
        };
        Self {
            url: if url.is_empty() { other.url.clone() } else { url },
            method: self.method.or_else(|| other.method.clone()),
            args: self.args.or_else(|| other.args.clone()),
            interval: if self.think_time.is_some() {
                self.interval
            } else {
                self.interval.or(other.interval)
            },
            think_time: if self.interval.is_some() {
                self.think_time
            } else {
                self.think_time.or(other.think_time)
            },
            event: self.event.or_else(|| other.event.clone()),
            audience: self.audience.or(other.audience),
            size: self.size.or(other.size),
            senders: self.senders.or(other.senders),
            no_answer: no_answer || other.no_answer,
            join: self.join.or_else(|| other.join.clone()),
            join_args: self.join_args.or_else(|| other.join_args.clone()),
            groups: self.groups.or(other.groups),
            token_template: token(self.token_template, &other.token_template),
            token_file: if has_token { self.token_file } else { other.token_file.clone() },
            jwt_key: token(self.jwt_key, &other.jwt_key),
            jwt_claims: self.jwt_claims.or_else(|| other.jwt_claims.clone()),
            name: self.name,
            share: self.share,
            transport: self.transport.or(other.transport),
            protocol: self.protocol.or(other.protocol),
            skip_negotiation: self.skip_negotiation.or(other.skip_negotiation),
            token: token(self.token, &other.token),
            headers: other.headers.clone().into_iter().chain(headers).collect(),
        }
    }
}

impl RunSettings {
    /// Fills what is left out from another one.
    pub(crate) fn or(self, other: &Self) -> Self {
        let is_sized = self.connections.is_some() || self.ramp.is_some();
        Self {
            connections: if is_sized { self.connections } else { other.connections },
            ramp: if is_sized { self.ramp } else { other.ramp.clone() },
            duration: self.duration.or(other.duration),
            connect_rate: self.connect_rate.or(other.connect_rate),
            settle: self.settle.or(other.settle),
            late: self.late.or(other.late),
            max_memory: self.max_memory.or(other.max_memory),
            drop: self.drop.or(other.drop),
            pause_readers: self.pause_readers.or(other.pause_readers),
            pause_time: self.pause_time.or(other.pause_time),
            storm: self.storm.or(other.storm),
            stateful: self.stateful || other.stateful,
            read_rate: self.read_rate.or(other.read_rate),
        }
    }
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Urls {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Urls::deserialize(deserializer)? {
        Urls::One(url) => vec![url],
        Urls::Many(urls) => urls,
    })
}
