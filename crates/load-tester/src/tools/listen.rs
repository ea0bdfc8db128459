use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use crate::HubUrl;
use crate::client::{Client, ConnectArgs, Disconnected, Event};
use crate::report::model::rfc_3339;
use crate::tools::{Ended, print, run, say};

const EXAMPLES: &str = "\
Examples:
  hubline listen http://localhost:5000/hubs/navigation-state
  hubline listen http://localhost:5000/chathub ReceiveRoomMessage \\
      --call 'JoinRoom [\"reception\"]' | jq -r .arguments[1]

Each event is one line: {\"time\", \"event\", \"arguments\"}.
Exit codes: 0 ended as asked for, 1 the server cannot be reached or has said
goodbye for good, 2 wrong arguments";

/// `hubline listen`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub struct ListenArgs {
    /// The hub
    pub url: HubUrl,
    /// Print these alone [default: all]
    pub events: Vec<String>,
    /// Call this after each connecting; again for each
    #[arg(long = "call", value_name = "METHOD [JSON ARRAY]")]
    pub calls: Vec<String>,
    /// End after so many events
    #[arg(long, short, value_name = "N")]
    pub count: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,
    /// End when the connection is lost
    #[arg(long)]
    pub no_reconnect: bool,
    /// Say nothing of connecting
    #[arg(long, short)]
    pub quiet: bool,
    /// How it is reached.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Prints events as JSON lines until Ctrl-C, and comes back when the connection is lost.
#[must_use]
pub fn listen(args: &ListenArgs) -> Ended {
    run(async {
        tokio::select! {
            ended = until_the_end(args) => ended,
            _ = tokio::signal::ctrl_c() => Ok(Ended::Well),
        }
    })
}

/// Official clients wait like that; the last goes on for ever.
const WAITS: [u64; 4] = [0, 2, 10, 30];

async fn until_the_end(args: &ListenArgs) -> anyhow::Result<Ended> {
    let (network, options) = (args.connect.network()?, Arc::new(args.connect.options()?));
    let calls: Vec<Call> = args.calls.iter().map(|text| text.parse()).collect::<anyhow::Result<_>>()?;
    // A year, where there is no end.
    let seconds = Duration::from_secs(args.seconds.unwrap_or(31_536_000));
    let deadline = Instant::now() + seconds;
    let mut client = match Client::connect(&args.url, &network, &options).await {
        Ok((client, _)) => client,
        Err(error) => {
            say(&format!("failed: {error}"));
            error.cure().into_iter().for_each(|cure| say(&format!("cure: {cure}")));
            return Ok(Ended::Failed);
        }
    };
    let mut left = args.count.unwrap_or(u64::MAX);
    loop {
        told(args, &format!("connected to {}", args.url));
        if let Err(error) = call_all(&mut client, &calls, options.timeout).await {
            say(&format!("failed: {error}"));
            return Ok(Ended::Failed);
        }
        let Ok(stop) = timeout_at(deadline, print_events(args, &mut client, &mut left)).await else {
            client.close().await;
            return Ok(Ended::Well);
        };
        let why = match stop {
            Stop::Enough => {
                client.close().await;
                return Ok(Ended::Well);
            }
            Stop::Over(why) => why,
        };
        if args.no_reconnect || !why.allows_reconnect() {
            say(&format!("ended: {why}"));
            return Ok(Ended::Failed);
        }
        told(args, &format!("reconnecting: {why}"));
        if timeout_at(deadline, come_back(args, &mut client)).await.is_err() {
            return Ok(Ended::Well);
        }
    }
}

enum Stop {
    /// As many events as were wanted, or nobody reads them any more.
    Enough,
    Over(Disconnected),
}

async fn print_events(args: &ListenArgs, client: &mut Client, left: &mut u64) -> Stop {
    while *left > 0 {
        match client.next_event().await {
            Event::Invocation { target, arguments, .. } if wants(args, &target) => {
                let time = rfc_3339(SystemTime::now());
                if !print(&json!({ "time": time, "event": target, "arguments": arguments }).to_string()) {
                    return Stop::Enough;
                }
                *left -= 1;
            }
            Event::Dropped(count) => say(&format!("{count} events were not kept while a call was answered")),
            Event::Disconnected(why) => return Stop::Over(why),
            _ => {}
        }
    }
    Stop::Enough
}

/// Names of methods are the same in any case, as official clients have it.
fn wants(args: &ListenArgs, target: &str) -> bool {
    args.events.is_empty() || args.events.iter().any(|event| event.eq_ignore_ascii_case(target))
}

async fn come_back(args: &ListenArgs, client: &mut Client) {
    for attempt in 0.. {
        let wait = WAITS.get(attempt).or(WAITS.last()).copied().unwrap_or_default();
        sleep(Duration::from_secs(wait)).await;
        match client.reconnect().await {
            Ok(_) => return,
            Err(error) => told(args, &format!("not back yet: {error}")),
        }
    }
}

async fn call_all(client: &mut Client, calls: &[Call], wait: Duration) -> Result<(), String> {
    for Call { method, arguments } in calls {
        let called = client.invoke(method, arguments, wait).await;
        called.map_err(|error| format!("{method}: {error}"))?;
    }
    Ok(())
}

fn told(args: &ListenArgs, line: &str) {
    if !args.quiet {
        say(line);
    }
}

/// A method with its arguments, as `--call` has it.
#[derive(Debug, PartialEq)]
struct Call {
    method: String,
    arguments: Vec<Value>,
}

impl std::str::FromStr for Call {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (method, arguments) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), "[]"));
        let arguments = serde_json::from_str(arguments.trim()).with_context(|| {
            format!("--call {text:?}: arguments are a JSON array, as in --call '{method} [\"reception\"]'")
        })?;
        Ok(Self { method: method.to_owned(), arguments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_method_and_a_json_array() {
        let call: Call = "JoinRoom [\"a b\", 1]".parse().unwrap();
        assert_eq!(call, Call { method: "JoinRoom".to_owned(), arguments: vec![json!("a b"), json!(1)] });
        assert_eq!("Enable".parse::<Call>().unwrap().arguments, [Value::Null; 0]);
        let error = "JoinRoom reception".parse::<Call>().unwrap_err().to_string();
        assert!(error.contains("JSON array, as in --call 'JoinRoom [\"reception\"]'"), "{error}");
    }
}
