//! The oracle put to the test: messages through a server that loses, doubles, reorders, delays and misroutes them at known places, and
//! what was planted beside what was found.

mod alone;
mod clients;
mod clock;
mod faults;
mod found;
mod frames;
mod hub;
mod report;
mod server;
#[cfg(test)]
mod tests;

use clap::Args;

use crate::oracle::{MOST_REMEMBERED, Rules};
pub use report::{Kind, Part, SelfTestReport};

/// What the self-test of the oracle does.
#[derive(Debug, Clone, Args)]
pub struct SelfTestOptions {
    /// Where the faults are depends on it alone; shown, and random if it is not given
    #[arg(long)]
    pub seed: Option<u64>,
    /// Messages over sockets, each counted for each receiver; through the oracle alone
    /// ten times as many
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    #[arg(verbatim_doc_comment)]
    pub messages: u64,
    /// Faults at one of so many messages
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    pub one_in: u64,
}

const ALONE_WAY: &str = "through the oracle alone";
const SOCKETS_WAY: &str = "over sockets";

/// How many messages go through the oracle alone for each one over sockets.
const ALONE: u64 = 10;
/// Times `one_in`: with more messages some receiver would have more gaps than the oracle remembers one by one.
const MOST_MESSAGES: u64 = 3_000;

/// Plants faults at known places, alone in memory and over sockets through a server of its own, and compares what the oracle finds, message by
/// message. Without faults it must find nothing. `progress` is told what begins.
///
/// # Errors
/// More faults are asked for than can be told from each other, or the server or a client of the test could not go on.
///
/// # Cancel safety
/// Safe: server and clients end with it.
pub async fn self_test(
    options: &SelfTestOptions,
    progress: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<SelfTestReport> {
    let SelfTestOptions { seed, messages, one_in } = *options;
    let most = one_in.saturating_mul(MOST_MESSAGES);
    anyhow::ensure!(
        messages <= most,
        "faults at 1 in {one_in} of {messages} messages are more than the oracle remembers one by one ({MOST_REMEMBERED} gaps a receiver): \
         --messages may be {most} at most, or --one-in {} at least",
        messages.div_ceil(MOST_MESSAGES)
    );
    // Short, so that it is easily typed again.
    let seed = seed.map_or_else(|| random().map(|number| number >> 40), Ok)?;
    let run = u32::try_from(random()? >> 32)?;
    let alone = messages.saturating_mul(ALONE);
    let mut parts = Vec::new();
    let begins = |way: &str, one_in: u64| match one_in {
        0 => format!("seed {seed}: {way}, without faults"),
        one_in => format!("seed {seed}: {way}, faults at 1 in {one_in}"),
    };
    for one_in in [0, one_in] {
        progress(&begins(ALONE_WAY, one_in));
        let (compared, nanos) = alone::alone(seed, alone, one_in, run);
        parts.push(Part::new(ALONE_WAY, one_in, &compared, Some(nanos)));
    }
    for one_in in [0, one_in] {
        progress(&begins(SOCKETS_WAY, one_in));
        let compared = clients::over_sockets(seed, messages, one_in, Rules::new(run)).await?;
        parts.push(Part::new(SOCKETS_WAY, one_in, &compared, None));
    }
    Ok(SelfTestReport { seed, parts })
}

fn random() -> anyhow::Result<u64> {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 8];
    let filled = ring::rand::SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
    Ok(u64::from_be_bytes(bytes))
}
