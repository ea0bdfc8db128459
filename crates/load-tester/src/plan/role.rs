use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::client::ConnectOptions;
use crate::oracle::Stamp;
use crate::plan::settings::RoleSettings;
use crate::plan::template::{self, Fill, uses};
use crate::plan::tokens::Tokens;
use crate::plan::values::Audience;
use crate::wire::hub_url::HubUrl;

/// The method that is called on a path of navigation state.
const CURRENT_STATE: &str = "RequestCurrentState";
const LARGEST_PAYLOAD_BYTES: u32 = 1 << 20;

/// What the connections of one role do.
#[derive(Debug)]
pub(crate) struct Role {
    /// Empty if there is only one.
    pub(crate) name: String,
    pub(crate) urls: Vec<HubUrl>,
    pub(crate) call: Option<Call>,
    pub(crate) proof: Proof,
    pub(crate) join: Option<(String, Vec<Value>)>,
    pub(crate) groups: u32,
    connect: Arc<ConnectOptions>,
    tokens: Tokens,
}

/// What connections of a role send.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) arguments: Vec<Value>,
    pub(crate) pace: Pace,
    pub(crate) has_answer: bool,
    /// Bytes of the payload, if the arguments have one.
    pub(crate) size: Option<usize>,
    pub(crate) senders: Option<u32>,
}

/// When the next call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At these times, whatever the server does.
    Interval(Duration),
    /// So long after the answer.
    ThinkTime(Duration),
}

/// What can be proved of what a role's connections receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing: there are no events, or nobody said which.
    Nothing,
    /// Navigation states, by their versions.
    Navigation,
    /// Stamped messages of this role, whose receivers are known.
    Stamps(Audience),
    /// Events of this name, which are counted.
    Counts(String),
}

impl Role {
    pub(crate) fn new(
        name: String,
        settings: &RoleSettings,
        base: &ConnectOptions,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Self> {
        ensure!(
            !settings.url.is_empty(),
            "no hub: name it with --url, for example --url http://localhost:5000/chathub"
        );
        let url = |text: &String| text.parse().with_context(|| format!("--url {text}"));
        let urls: Vec<HubUrl> = settings.url.iter().map(url).collect::<anyhow::Result<_>>()?;
        let is_navigation = settings.method.is_none() && urls.iter().all(is_navigation);
        let call = call(settings, is_navigation)?;
        if call.is_none() {
            notes.push(format!("{}connections only listen: there is no --method", of(&name)));
        }
        let proof = proof(settings, call.as_ref(), is_navigation)?;
        let groups = settings.groups.unwrap_or(1);
        ensure!(groups > 0, "--groups is at least 1");
        let join_arguments = settings.join_args.clone().map_or_else(|| vec![json!("{group}")], |args| args.0);
        let join = settings.join.clone().map(|method| (method, join_arguments));
        ensure!(
            proof != Proof::Stamps(Audience::Group) || join.is_some(),
            "--audience group needs --join METHOD, which puts each connection into its group"
        );
        let mut connect = base.clone();
        connect.transport = settings.transport.unwrap_or(connect.transport);
        connect.protocol = settings.protocol.unwrap_or(connect.protocol);
        connect.skip_negotiation = settings.skip_negotiation.unwrap_or(connect.skip_negotiation);
        for (name, value) in &settings.headers {
            connect.headers.push(crate::client::header(&format!("{name}: {value}"))?);
        }
        let tokens = Tokens::new(settings)?;
        connect.token = None;
        connect.token = tokens.of(&Fill::default());
        connect.check()?;
        Ok(Self { name, urls, call, proof, join, groups, connect: Arc::new(connect), tokens })
    }

    /// How a connection connects.
    pub(crate) fn connect(&self, connection: u32) -> Arc<ConnectOptions> {
        if matches!(self.tokens, Tokens::Same(_)) {
            return Arc::clone(&self.connect);
        }
        let fill = Fill { connection, role: &self.name, ..Fill::default() };
        Arc::new(ConnectOptions { token: self.tokens.of(&fill), ..(*self.connect).clone() })
    }

    pub(crate) fn options(&self) -> &ConnectOptions {
        &self.connect
    }

    pub(crate) fn url(&self, connection: u32) -> &HubUrl {
        &self.urls[connection as usize % self.urls.len()]
    }

    /// The group of the connection that has this number among those of the role.
    pub(crate) fn group(&self, rank: u32) -> u32 {
        rank % self.groups
    }

    /// Whether the connection that has this number among those of the role sends.
    pub(crate) fn sends(&self, rank: u32) -> bool {
        self.call.as_ref().is_some_and(|call| call.senders.is_none_or(|senders| rank < senders))
    }

    /// Whether what its connections send is stamped for the oracle.
    pub(crate) fn is_origin(&self) -> bool {
        matches!(self.proof, Proof::Stamps(_))
    }
}

/// In front of a note about a role.
pub(crate) fn of(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("{name}: ") }
}

fn is_navigation(url: &HubUrl) -> bool {
    url.path().trim_end_matches('/').to_ascii_lowercase().ends_with("navigation-state")
}

fn call(settings: &RoleSettings, is_navigation: bool) -> anyhow::Result<Option<Call>> {
    let method = match &settings.method {
        Some(method) => method.clone(),
        None if is_navigation => CURRENT_STATE.to_owned(),
        None => {
            let given = [
                (settings.args.is_some(), "--args"),
                (settings.interval.is_some(), "--interval"),
                (settings.think_time.is_some(), "--think-time"),
                (settings.size.is_some(), "--size"),
                (settings.senders.is_some(), "--senders"),
            ];
            if let Some((_, name)) = given.into_iter().find(|(is_given, _)| *is_given) {
                bail!(
                    "{name} needs --method METHOD: what is to be called; without both, connections only listen"
                );
            }
            return Ok(None);
        }
    };
    ensure!(
        !method.trim().is_empty(),
        "--method is empty: name the method to call, or leave it out to listen only"
    );
    let millis = |name: &str, value: f64| {
        ensure!(
            value.is_finite() && (0.01..=86_400_000.0).contains(&value),
            "--{name} {value}: from 0.01 to 86,400,000 milliseconds"
        );
        Ok(Duration::from_secs_f64(value / 1000.0))
    };
    let pace = match (settings.interval, settings.think_time) {
        (Some(_), Some(_)) => {
            bail!("--interval sets when calls are made and --think-time waits for answers: use one of them")
        }
        (None, Some(think)) => Pace::ThinkTime(millis("think-time", think)?),
        (interval, None) => Pace::Interval(millis("interval", interval.unwrap_or(1000.0))?),
    };
    let has_answer = !settings.no_answer;
    ensure!(
        has_answer || matches!(pace, Pace::Interval(_)),
        "--think-time waits for answers: leave --no-answer out"
    );
    let arguments = settings.args.clone().unwrap_or_default().0;
    let has_stamp = uses(&arguments, "stamp");
    ensure!(
        has_stamp || settings.size.is_none(),
        "--size is the size of {{stamp}}, which --args does not have"
    );
    let smallest = u32::try_from(Stamp::LONGEST_BYTES)?;
    let size = settings.size.unwrap_or(smallest);
    ensure!(
        (smallest..=LARGEST_PAYLOAD_BYTES).contains(&size),
        "--size {size}: from {smallest} bytes, which a stamp has, to {LARGEST_PAYLOAD_BYTES}"
    );
    ensure!(settings.senders != Some(0), "--senders is at least 1; leave --method out to listen only");
    Ok(Some(Call {
        method,
        arguments,
        pace,
        has_answer,
        size: has_stamp.then_some(size as usize),
        senders: settings.senders,
    }))
}

fn proof(settings: &RoleSettings, call: Option<&Call>, is_navigation: bool) -> anyhow::Result<Proof> {
    let has_stamp = call.is_some_and(|call| call.size.is_some());
    if is_navigation {
        return Ok(Proof::Navigation);
    }
    let audience = settings.audience.unwrap_or(match &settings.event {
        Some(_) if has_stamp => Audience::All,
        _ => Audience::Unknown,
    });
    Ok(match (audience, &settings.event) {
        (Audience::Unknown, Some(event)) => Proof::Counts(event.clone()),
        (Audience::Unknown, None) => Proof::Nothing,
        (Audience::Caller, _) if has_stamp => Proof::Stamps(audience),
        (audience, Some(_)) if has_stamp => Proof::Stamps(audience),
        (_, None) if has_stamp => {
            bail!("--audience needs --event EVENT, which brings the message to its receivers")
        }
        _ => bail!("--audience needs a payload that is known again: put {{stamp}} into --args"),
    })
}

/// The arguments of a call, filled in.
pub(crate) fn filled(arguments: &[Value], fill: &template::Fill<'_>) -> Vec<Value> {
    arguments.iter().map(|argument| fill.value(argument)).collect()
}
