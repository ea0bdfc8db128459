use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::HubUrl;
use crate::client::{Client, ConnectArgs, Event};
use crate::tools::{Ended, argument, print, run, say};

const EXAMPLES: &str = "\
Examples:
  hubline send http://localhost:5000/chathub SendToRoom reception hello
  hubline send http://localhost:5000/hubs/navigation-state RequestCurrentState
  hubline send http://localhost:5000/hub Counter 10 500 --stream

An argument is JSON, or text where it is no JSON: 1 is a number, '\"1\"' is text.
Exit codes: 0 done, 1 the server refused or failed, 2 wrong arguments";

/// `hubline send`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub struct SendArgs {
    /// The hub
    pub url: HubUrl,
    /// The method of the hub
    pub method: String,
    /// Its arguments
    #[arg(allow_hyphen_values = true)]
    pub arguments: Vec<String>,
    /// Do not wait for a result
    #[arg(long, conflicts_with = "stream")]
    pub no_wait: bool,
    /// The method streams: print each item
    #[arg(long)]
    pub stream: bool,
    /// Seconds that a result, or the next item, may take
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// How it is reached.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Calls one method and prints its result as JSON, nothing if it has none.
#[must_use]
pub fn send(args: &SendArgs) -> Ended {
    run(call(args))
}

async fn call(args: &SendArgs) -> anyhow::Result<Ended> {
    let (network, options) = (args.connect.network()?, Arc::new(args.connect.options()?));
    let arguments: Vec<Value> = args.arguments.iter().map(|text| argument(text)).collect();
    let mut client = match Client::connect(&args.url, &network, &options).await {
        Ok((client, _)) => client,
        Err(error) => {
            say(&format!("failed: {error}"));
            error.cure().into_iter().for_each(|cure| say(&format!("cure: {cure}")));
            return Ok(Ended::Failed);
        }
    };
    let wait = Duration::from_secs(args.timeout);
    let failed = if args.no_wait {
        client.send(&args.method, &arguments).await.err().map(|error| error.to_string())
    } else if args.stream {
        items(&mut client, &args.method, &arguments, wait).await.err()
    } else {
        match client.invoke(&args.method, &arguments, wait).await {
            Ok(Value::Null) => None,
            Ok(result) => {
                print(&result.to_string());
                None
            }
            Err(error) => Some(error.to_string()),
        }
    };
    client.close().await;
    failed.iter().for_each(|error| say(&format!("failed: {}: {error}", args.method)));
    Ok(if failed.is_some() { Ended::Failed } else { Ended::Well })
}

async fn items(client: &mut Client, method: &str, arguments: &[Value], wait: Duration) -> Result<(), String> {
    let stream = client.stream(method, arguments).await.map_err(|error| error.to_string())?;
    loop {
        let next = tokio::time::timeout(wait, next_of(client, stream)).await;
        match next.map_err(|_| format!("no item within {} s", wait.as_secs()))? {
            Event::Item { item, .. } if !print(&item.to_string()) => return Ok(()),
            Event::StreamEnded { error, .. } => return error.map_or(Ok(()), Err),
            Event::Disconnected(why) => return Err(why.to_string()),
            _ => {}
        }
    }
}

/// The next thing that concerns the stream.
async fn next_of(client: &mut Client, stream: u64) -> Event {
    loop {
        let event = client.next_event().await;
        let concerns = match &event {
            Event::Item { stream: of, .. } | Event::StreamEnded { stream: of, .. } => *of == stream,
            Event::Disconnected(_) => true,
            _ => false,
        };
        if concerns {
            return event;
        }
    }
}
