//! What is measured, on a program that was just started.

use std::path::Path;

use anyhow::{Result, bail};
use hubline_testkit::PostgresServer;
use tempfile::TempDir;

use super::{CROWD, FEW, FEW_RATE, Plan};
use crate::bench::candidate::{Candidate, Origin};
use crate::bench::figures::{Figures, Measure};
use crate::bench::load::{self, Report};
use crate::bench::measure::difference;
use crate::bench::server::Server;

/// A secret of this run alone; the programs listen on loopback.
const JWT_KEY: &str = "a secret of the benchmark, with which it signs tokens";
/// Connections that come and go before anything counts, so that what is made once is there.
const FIRST: u32 = 200;
/// Seconds until nothing is on its way any more.
const SETTLE: u32 = 3;

#[derive(Debug, Clone, Copy)]
pub(in crate::bench) enum Hub {
    Navigation,
    Chat,
    Calls,
}

impl Hub {
    pub(super) const ALL: [Self; 3] = [Self::Navigation, Self::Chat, Self::Calls];

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Navigation => "/hubs/navigation-state",
            Self::Chat => "/chathub",
            Self::Calls => "/videocallhub",
        }
    }

    /// Without and with a user.
    fn memory(self) -> [Measure; 2] {
        match self {
            Self::Navigation => [Measure::NavigationMemory, Measure::NavigationMemoryOfUser],
            Self::Chat => [Measure::ChatMemory, Measure::ChatMemoryOfUser],
            Self::Calls => [Measure::CallsMemory, Measure::CallsMemoryOfUser],
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    pub(super) const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Many messages at once, and one at a time.
    fn cpu(self) -> [Measure; 2] {
        match self {
            Self::Sqlite => [Measure::StoredCpuCrowded, Measure::StoredCpuAlone],
            Self::Postgres => [Measure::StoredCpuPostgresCrowded, Measure::StoredCpuPostgresAlone],
        }
    }
}

#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) plan: &'a Plan,
    pub(super) load_client: &'a Path,
}

/// Memory of many connections that only keep alive, without and with a user each.
pub(in crate::bench) fn idle(
    load_client: &Path,
    connections: u32,
    candidate: &mut Candidate,
    hub: Hub,
) -> Result<()> {
    for (with_users, measure) in [false, true].into_iter().zip(hub.memory()) {
        let directory = tempfile::tempdir()?;
        let Some(server) = start(candidate, &directory, ":memory:".to_owned())? else { return Ok(()) };
        let users = if with_users { vec![format!("--jwt-key={JWT_KEY}")] } else { Vec::new() };
        let connect = |connections: u32| {
            let url = server.url_of(hub.path());
            let options = ["idle", "--seconds=0", &format!("--connections={connections}")];
            let arguments =
                [vec![format!("--url={url}")], options.map(str::to_owned).to_vec(), users.clone()];
            let mut resident = None;
            let report = load::run(load_client, &arguments.concat(), |phase| {
                if phase == "connected" {
                    resident = Some(server.resident_kilobytes()?);
                }
                Ok(())
            })?;
            report.ensure_none(&["lost"])?;
            resident.map_or_else(|| bail!("the load client did not connect"), Ok)
        };
        connect(FIRST)?;
        let before = server.resident_kilobytes()?;
        let memory = difference(connect(connections)?, before);
        candidate.figures.add(measure, memory / f64::from(connections));
    }
    Ok(())
}

impl Bench<'_> {
    /// CPU of a message that one user writes to another: called, stored, confirmed, and sent to both.
    pub(super) fn messages(&self, candidate: &mut Candidate, database: Database) -> Result<()> {
        let directory = tempfile::tempdir()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Ended when it is dropped.
        let (_postgres, place) = match database {
            Database::Sqlite => {
                (None, format!("Data Source={}", directory.path().join("bench.db").display()))
            }
            Database::Postgres => {
                let server = runtime.block_on(PostgresServer::start())?;
                let place = runtime.block_on(server.database())?.connection_string();
                (Some(server), place)
            }
        };
        let Some(server) = start(candidate, &directory, place)? else { return Ok(()) };
        let figures = &mut candidate.figures;
        let [crowded, alone] = database.cpu();
        self.chat(&server, figures, crowded, CROWD, self.plan.rate)?;
        let report = self.chat(&server, figures, alone, FEW, FEW_RATE)?;
        if matches!(database, Database::Sqlite) {
            figures.add(Measure::StoredLatencyAlone, report.number("confirmed_in.p50_micros")? / 1000.0);
        }
        Ok(())
    }

    fn chat(
        &self,
        server: &Server,
        figures: &mut Figures,
        measure: Measure,
        users: u32,
        rate: u32,
    ) -> Result<Report> {
        let arguments = [
            format!("--url={}", server.url_of(Hub::Chat.path())),
            "chat".to_owned(),
            "--without-rooms".to_owned(),
            format!("--users={users}"),
            format!("--rate={rate}"),
            format!("--seconds={}", self.plan.seconds),
            format!("--settle={SETTLE}"),
            format!("--jwt-key={JWT_KEY}"),
        ];
        let mut cpu = Vec::new();
        let report = load::run(self.load_client, &arguments, |_| {
            cpu.push(server.cpu_micros()?);
            Ok(())
        })?;
        report.ensure_none(&["reconnects", "repeated", "unfinished"])?;
        let [running, finished] = cpu[..] else { bail!("expected two phases, not {}", cpu.len()) };
        figures.add(measure, difference(finished, running) / report.number("confirmed")?);
        Ok(report)
    }
}

/// With a database of its own and nothing that this machine's settings would add.
fn start(candidate: &Candidate, directory: &TempDir, database: String) -> Result<Option<Server>> {
    let Origin::Command(command) = &candidate.origin else { return Ok(None) };
    let root = directory.path().display().to_string();
    let variables = [
        ("ConnectionStrings__Database", database),
        ("Jwt__Key", JWT_KEY.to_owned()),
        ("Authentication__AllowAnonymous", "true".to_owned()),
        ("Chat__MessagesPerMinutePerUser", "0".to_owned()),
        ("Logging__LogLevel__Default", "Warning".to_owned()),
    ];
    Server::start_set(&command.with(&["--content-root", &root]), &variables).map(Some)
}
