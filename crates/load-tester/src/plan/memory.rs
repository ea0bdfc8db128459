use crate::client::TransportChoice;
use crate::oracle::{Origin, Receiver, memory_bytes};
use crate::plan::values::{Audience, Bytes};
use crate::plan::{Plan, Proof};

/// What the program takes with its histograms, before any connection.
const PROGRAM_BYTES: u64 = 40 << 20;
/// What one connection takes in this process, measured; the system's socket buffers are not part of it.
const CONNECTION_BYTES: u64 = 6 << 10;
const OVER_HTTP_BYTES: u64 = 10 << 10;
const OVER_TLS_BYTES: u64 = 40 << 10;

/// What a run will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) connections: u64,
    /// Of the oracle.
    pub(crate) oracle: u64,
    /// Receivers times the origins that each expects.
    pub(crate) pairs: u64,
}

impl Memory {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mine = |connection: &u32| plan.part.has(*connection);
        let each = |connection: u32| {
            let role = plan.role(connection);
            let options = role.options();
            let transport = match options.transport {
                TransportChoice::ServerSentEvents | TransportChoice::LongPolling => OVER_HTTP_BYTES,
                TransportChoice::Automatic | TransportChoice::WebSockets => CONNECTION_BYTES,
            };
            let tls = if role.url(connection).is_secure() { OVER_TLS_BYTES } else { 0 };
            transport + tls
        };
        let connections: u64 = (0..plan.connections()).filter(mine).map(each).sum();
        let Heard { to_each, origins } = Heard::of(plan);
        let own = (0..plan.connections()).filter(mine).count();
        let to_each = usize::try_from(to_each).unwrap_or(usize::MAX);
        let origins = usize::try_from(origins).unwrap_or(usize::MAX);
        let oracle = memory_bytes(own, to_each, origins) + origins.saturating_mul(Origin::BYTES);
        Self {
            connections,
            oracle: u64::try_from(oracle).unwrap_or(u64::MAX),
            pairs: u64::try_from(own.saturating_mul(to_each)).unwrap_or(u64::MAX),
        }
    }

    pub(crate) fn total(self) -> u64 {
        PROGRAM_BYTES.saturating_add(self.connections).saturating_add(self.oracle)
    }

    /// Why it is too much.
    pub(crate) fn refusal(self, limit: Option<Bytes>, processes: u32) -> Option<String> {
        let needed = Bytes(self.total().saturating_mul(u64::from(processes.max(1))));
        let (limit, whose) = match limit {
            Some(limit) => (limit, "--max-memory allows".to_owned()),
            None => (Bytes(available()? / 4 * 3), "three quarters of what is free are".to_owned()),
        };
        (needed > limit).then(|| {
            format!(
                "the run needs about {needed}, and {whose} {limit}: {} for connections, {} for {} pairs of sender and \
                 receiver ({} bytes each). Use fewer --connections or --senders, or raise --max-memory",
                Bytes(self.connections),
                Bytes(self.oracle),
                self.pairs,
                Receiver::BYTES_PER_ORIGIN
            )
        })
    }
}

/// How many origins there are, and how many of them one connection expects at most.
struct Heard {
    to_each: u64,
    origins: u64,
}

impl Heard {
    fn of(plan: &Plan) -> Self {
        let ranks = plan.ranks();
        let (mut to_each, mut origins) = (0_u64, 0_u64);
        for (index, role) in plan.roles.iter().enumerate() {
            let Proof::Stamps(audience) = role.proof else { continue };
            let senders = plan.members.iter().zip(&ranks);
            let senders =
                senders.filter(|(member, rank)| usize::from(**member) == index && role.sends(**rank));
            let count = u64::try_from(senders.count()).unwrap_or(u64::MAX);
            origins += count;
            to_each += match audience {
                Audience::All | Audience::Others => count,
                Audience::Group => count.div_ceil(u64::from(role.groups)),
                Audience::Caller => 1,
                Audience::Unknown => 0,
            };
        }
        Self { to_each, origins }
    }
}

/// Bytes that programs may still take, as Linux tells.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}
