use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::HubUrl;
use crate::client::{CallError, Client, ConnectArgs, ConnectError, ConnectOptions, Network};
use crate::measure::{PhaseTimes, Phases};
use crate::report::format::Time;
use crate::tools::{Ended, argument, print, run, say};

const EXAMPLES: &str = "\
Examples:
  hubline ping http://localhost:5000/chathub
  hubline ping https://example.org/hub --allow-remote --token eyJ... --count 10
  hubline ping http://localhost:5000/hubs/navigation-state \\
      --method RequestCurrentState

Exit codes: 0 all connections were made, 1 one was not, 2 wrong arguments";

/// `hubline ping`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub struct PingArgs {
    /// The hub
    pub url: HubUrl,
    /// Connections, one after the other
    #[arg(long, short, default_value_t = 4, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,
    /// Milliseconds between two
    #[arg(long, default_value_t = 500, value_name = "MS")]
    pub interval: u64,
    /// Also call this method, and time it
    #[arg(long, value_name = "METHOD")]
    pub method: Option<String>,
    /// An argument of it: JSON, or text; again for each
    #[arg(long = "arg", value_name = "VALUE", requires = "method", allow_hyphen_values = true)]
    pub arguments: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// How it is reached.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Connects a few times and says how long each phase took, or which one failed and what helps.
#[must_use]
pub fn ping(args: &PingArgs) -> Ended {
    run(all(args))
}

async fn all(args: &PingArgs) -> anyhow::Result<Ended> {
    let (network, options) = (args.connect.network()?, Arc::new(args.connect.options()?));
    let mut phases = Phases::default();
    let mut failed = 0_u32;
    for number in 1..=args.count {
        if number > 1 {
            sleep(Duration::from_millis(args.interval)).await;
        }
        match once(args, &network, &options).await {
            Ok(times) => {
                phases.record(&times);
                if !print(&line(args.json, number, &times)) {
                    return Ok(Ended::Well);
                }
            }
            Err(failure) => {
                failed += 1;
                failure.tell(args.json, number);
            }
        }
    }
    if !args.json {
        print(&summary(args.count, failed, &phases));
    }
    Ok(if failed == 0 { Ended::Well } else { Ended::Failed })
}

async fn once(
    args: &PingArgs,
    network: &Arc<Network>,
    options: &Arc<ConnectOptions>,
) -> Result<PhaseTimes, Failure> {
    let began = Instant::now();
    let (mut client, mut times) = Client::connect(&args.url, network, options).await?;
    times.total.get_or_insert(began.elapsed());
    if let Some(method) = &args.method {
        let arguments: Vec<Value> = args.arguments.iter().map(|text| argument(text)).collect();
        let began = Instant::now();
        let called = client.invoke(method, &arguments, options.timeout).await;
        times.first_call = Some(began.elapsed());
        if let Err(error) = called {
            client.close().await;
            return Err(Failure::Call(error));
        }
    }
    client.close().await;
    Ok(times)
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("first call: {0}")]
    Call(CallError),
}

impl Failure {
    fn tell(&self, json: bool, number: u32) {
        let (phase, cure) = match self {
            Self::Connect(error) => (error.phase.to_string(), error.cure()),
            Self::Call(_) => ("first call".to_owned(), None),
        };
        if json {
            print(
                &json!({ "number": number, "failed": phase, "error": self.to_string(), "cure": cure })
                    .to_string(),
            );
            return;
        }
        say(&format!("{number:>3}  failed: {self}"));
        if let Some(cure) = cure {
            say(&format!("     cure: {cure}"));
        }
    }
}

fn line(json: bool, number: u32, times: &PhaseTimes) -> String {
    let had = times.each().into_iter().filter_map(|(name, time)| Some((name, micros(time?))));
    let total = times.total.map(micros).unwrap_or_default();
    if json {
        let phases: Map<String, Value> = had
            .map(|(name, micros)| {
                (format!("{}_micros", name.to_lowercase().replace(' ', "_")), json!(micros))
            })
            .collect();
        return json!({ "number": number, "connected_micros": total, "phases": phases }).to_string();
    }
    let phases: Vec<String> = had.map(|(name, micros)| format!("{name} {}", Time(micros))).collect();
    format!("{number:>3}  connected in {}: {}", Time(total), phases.join(", "))
}

fn summary(count: u32, failed: u32, phases: &Phases) -> String {
    let connected = count - failed;
    let mut lines = vec![format!("{connected} of {count} connected")];
    let times = phases.total.percentiles();
    if times.count > 1 {
        let (p50, max) = (Time(times.p50_micros), Time(times.max_micros));
        lines.push(format!("half of them within {p50}, the slowest in {max}"));
    }
    lines.join("; ")
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_is_shown_and_those_that_were_not_are_not() {
        let millis = |millis| Some(Duration::from_millis(millis));
        let times = PhaseTimes {
            tcp: millis(1),
            negotiate: millis(2),
            handshake: millis(3),
            first_call: millis(4),
            total: millis(6),
            ..PhaseTimes::default()
        };
        let shown = line(false, 7, &times);
        assert_eq!(
            shown,
            "  7  connected in 6.00 ms: TCP 1.00 ms, negotiate 2.00 ms, handshake 3.00 ms, first call 4.00 ms"
        );
        let shown: Value = serde_json::from_str(&line(true, 7, &times)).unwrap();
        let expected = json!({
            "number": 7,
            "connected_micros": 6000,
            "phases": { "tcp_micros": 1000, "negotiate_micros": 2000, "handshake_micros": 3000, "first_call_micros": 4000 }
        });
        assert_eq!(shown, expected);
    }
}
