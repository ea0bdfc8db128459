//! What a run is: roles, steps, faults, tokens, memory. Nothing here connects.

mod arguments;
mod memory;
mod role;
mod scenario;
mod settings;
pub(crate) mod template;
mod tokens;
pub(crate) mod values;
mod words;

use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::oracle::Rules;
pub use arguments::{LoadArgs, LoadCommand};
pub(crate) use memory::Memory;
pub(crate) use role::{Call, Pace, Proof, Role, filled};
use scenario::Scenario;
pub(crate) use scenario::write_example;
pub use settings::{RoleSettings, RunSettings};
pub use values::{Arguments, Audience, Bytes, Ramp, ShareEachSecond};

/// More than one process is of use for.
const MOST_CONNECTIONS: u32 = 1_000_000;
const A_DAY: f64 = 86_400.0;

/// Everything that a run does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) roles: Vec<Role>,
    /// The role of each connection, by its number.
    pub(crate) members: Vec<u8>,
    /// Connections of each step.
    pub(crate) steps: Vec<u32>,
    pub(crate) duration: Duration,
    pub(crate) connect_rate: f64,
    pub(crate) rules: Rules,
    pub(crate) faults: Faults,
    pub(crate) memory_limit: Option<Bytes>,
    /// Which of how many processes this is.
    pub(crate) part: Part,
    pub(crate) notes: Vec<String>,
}

/// The faults that are planted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) drop: Option<ShareEachSecond>,
    pub(crate) pause_readers: Option<ShareEachSecond>,
    pub(crate) pause: Duration,
    pub(crate) storm: Option<Storm>,
    pub(crate) stateful: bool,
    pub(crate) read_rate: Option<Bytes>,
}

/// When all connections are cut at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storm {
    /// In the middle of each step.
    Middle,
    Every(Duration),
}

/// The connections of one process: those whose number has this remainder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) index: u32,
    pub(crate) of: u32,
}

impl Part {
    pub(crate) const WHOLE: Self = Self { index: 0, of: 1 };

    pub(crate) fn has(self, connection: u32) -> bool {
        connection % self.of == self.index
    }
}

impl Plan {
    /// Puts command line and scenario together; `run` is the mark of the run.
    ///
    /// # Errors
    /// What is missing, wrong or does not go together, and what would be right.
    pub(crate) fn new(args: &LoadArgs, run: u32) -> anyhow::Result<Self> {
        let scenario = args.scenario.as_deref().map(Scenario::read).transpose()?.unwrap_or_default();
        let settings = args.run.clone().or(&scenario.run);
        let mut command_line = args.role.clone();
        // Options of the connection are those of the command line where they were given.
        command_line.token.clone_from(&args.connect.token);
        command_line.transport = args.connect.transport;
        command_line.protocol = args.connect.protocol;
        command_line.skip_negotiation = args.connect.skip_negotiation.then_some(true);
        let all = command_line.or(&scenario.all);
        let roles = if scenario.role.is_empty() { vec![RoleSettings::default()] } else { scenario.role };
        ensure!(roles.len() <= 200, "a scenario may have 200 roles");
        let mut faults = faults(&settings)?;
        if faults.stateful && faults.drop.is_none() && faults.storm.is_none() {
            faults.drop = Some(ShareEachSecond(0.01));
        }
        let mut connect = args.connect.options()?;
        connect.stateful = faults.stateful;
        let mut notes = Vec::new();
        let mut named = Vec::new();
        let mut shares = Vec::new();
        for (index, role) in roles.into_iter().enumerate() {
            let name = role.name.clone().unwrap_or_else(|| format!("role {}", index + 1));
            let role = role.or(&all);
            shares.push(role.share.unwrap_or(1));
            let role = Role::new(name.clone(), &role, &connect, &mut notes);
            named.push(role.with_context(|| format!("role {name:?}"))?);
        }
        if named.len() == 1 {
            named[0].name.clear();
        }
        let steps = steps(&settings)?;
        let members = spread(&shares, steps.last().copied().unwrap_or_default())?;
        let seconds = |name: &str, value: Option<f64>, default: f64, least: f64| {
            let value = value.unwrap_or(default);
            let is_fine = value.is_finite() && value >= least && value <= A_DAY;
            ensure!(is_fine, "--{name} {value}: from {least} to {A_DAY} seconds");
            Ok(Duration::from_secs_f64(value))
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let connect_rate = settings.connect_rate.unwrap_or(500.0);
        ensure!(
            connect_rate.is_finite() && connect_rate > 0.0 && connect_rate <= 1e6,
            "--connect-rate {connect_rate}: more than 0 connections a second, up to 1,000,000"
        );
        let rules = Rules {
            run,
            late_micros: micros(seconds("late", settings.late, 1.0, 0.001)?),
            settle_micros: micros(seconds("settle", settings.settle, 5.0, 0.0)?),
        };
        let plan = Self {
            roles: named,
            members,
            steps,
            duration: seconds("duration", settings.duration, 30.0, 0.1)?,
            connect_rate,
            rules,
            faults,
            memory_limit: settings.max_memory,
            part: Part::WHOLE,
            notes,
        };
        Ok(plan)
    }

    pub(crate) fn role(&self, connection: u32) -> &Role {
        &self.roles[usize::from(self.members[connection as usize])]
    }

    /// Connections of the last step.
    pub(crate) fn connections(&self) -> u32 {
        self.steps.last().copied().unwrap_or_default()
    }

    /// The number of a connection among those of its role.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut counts = vec![0; self.roles.len()];
        let rank = |role: &u8| {
            let count = &mut counts[usize::from(*role)];
            *count += 1;
            *count - 1
        };
        self.members.iter().map(rank).collect()
    }
}

fn steps(settings: &RunSettings) -> anyhow::Result<Vec<u32>> {
    let steps = match (&settings.ramp, settings.connections) {
        (Some(ramp), _) => ramp.0.clone(),
        (None, connections) => vec![connections.unwrap_or(100)],
    };
    ensure!(!steps.is_empty(), "--ramp has no step; what would be right: --ramp 10,100,1000");
    ensure!(
        steps.iter().all(|step| (1..=MOST_CONNECTIONS).contains(step)),
        "connections are from 1 to {MOST_CONNECTIONS}"
    );
    ensure!(
        steps.is_sorted_by(|one, next| one < next),
        "each step of --ramp has more connections than the one before: 10,100,1000"
    );
    Ok(steps)
}

fn faults(settings: &RunSettings) -> anyhow::Result<Faults> {
    let pause = settings.pause_time.unwrap_or(3.0);
    ensure!((0.1..=3600.0).contains(&pause), "--pause-time {pause}: from 0.1 to 3600 seconds");
    ensure!(
        settings.pause_time.is_none() || settings.pause_readers.is_some(),
        "--pause-time needs --pause-readers, for example 1%/s"
    );
    let storm = match settings.storm {
        None => None,
        Some(0.0) => Some(Storm::Middle),
        Some(every) => {
            ensure!(
                (1.0..=A_DAY).contains(&every),
                "--storm={every}: every 1 to {A_DAY} seconds, or --storm alone"
            );
            Some(Storm::Every(Duration::from_secs_f64(every)))
        }
    };
    Ok(Faults {
        drop: settings.drop,
        pause_readers: settings.pause_readers,
        pause: Duration::from_secs_f64(pause),
        storm,
        stateful: settings.stateful,
        read_rate: settings.read_rate,
    })
}

/// Spreads roles over connections so that any number of them, from the first on, has each role as often as its share says.
fn spread(shares: &[u32], connections: u32) -> anyhow::Result<Vec<u8>> {
    let total: u64 = shares.iter().map(|share| u64::from(*share)).sum();
    ensure!(
        total > 0 && shares.iter().all(|share| *share > 0),
        "a role's share is at least 1; leave the role out for none"
    );
    let mut given = vec![0_u64; shares.len()];
    let mut members = Vec::with_capacity(connections as usize);
    for number in 1..=u64::from(connections) {
        let owed =
            |index: usize| i128::from(u64::from(shares[index]) * number) - i128::from(given[index] * total);
        let next = (0..shares.len()).max_by_key(|index| (owed(*index), std::cmp::Reverse(*index)));
        let next = next.unwrap_or_default();
        given[next] += 1;
        members.push(u8::try_from(next).unwrap_or_default());
    }
    Ok(members)
}

#[cfg(test)]
mod tests;
