//! `cargo xtask cluster`: everything that one of the two users' systems consists of, on one machine.

mod environment;
mod nginx;
mod places;

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hubline_testkit::{Launch, PostgresServer, RedisServer, ServerProcess};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, stdin};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::build::Programs;
use crate::transcript::Transcript;
use environment::Environment;
use nginx::Nginx;
use places::Places;

/// How long instances may take to end: longer than they give their clients.
const END: Duration = Duration::from_secs(10);
/// How often it is looked whether a program has ended by itself.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Redis, PostgreSQL, nginx and several instances with the settings of one of the two systems that Hubline was made for
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many instances, from 1 to 20
    #[arg(default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
    instances: u16,
    /// Whose settings: deploy/conduit.env or deploy/teledoctor.env
    #[arg(long = "as", value_enum)]
    system: System,
    /// Theirs: Redis 6379, PostgreSQL 5432, instances from 5000 on, nginx 80; or free ones
    #[arg(long, value_enum, default_value_t = Ports::Theirs)]
    ports: Ports,
    /// The hubline program [default: a release build of this checkout]
    #[arg(long, env = "HUBLINE_SERVER")]
    server: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum System {
    /// Navigation state
    Conduit,
    /// Consultations
    Teledoctor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Ports {
    Theirs,
    Free,
}

/// Starts everything, says where it is, and ends it at Ctrl-C, SIGTERM, or when standard input ends.
///
/// # Errors
/// A port is taken, or a program is missing or does not come up.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = match &options.server {
        Some(program) => program.clone(),
        None => {
            let mut transcript = Transcript::on_standard_error();
            Programs::build(&["--bin=hubline"], &mut transcript)?.path("hubline")?.clone()
        }
    };
    ensure!(program.is_file(), "{} is no program (--server, HUBLINE_SERVER)", program.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(options, &program));
    // Standard input may be read by a thread that cannot be stopped.
    runtime.shutdown_background();
    result
}

async fn serve(options: &Options, program: &PathBuf) -> Result<()> {
    let asked_to_end = end();
    tokio::pin!(asked_to_end);
    let mut cluster = tokio::select! {
        cluster = Cluster::start(options, program) => cluster?,
        ended = &mut asked_to_end => return ended,
    };
    println!("Ready. Ctrl-C ends all of it.");
    let result = tokio::select! {
        ended = &mut asked_to_end => ended,
        () = cluster.tell_of_the_dead() => Ok(()),
    };
    cluster.end().await;
    result
}

/// Returns at Ctrl-C, SIGTERM, or the end of standard input.
async fn end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut input = stdin();
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            read = input.read(&mut ignored) => if !matches!(read, Ok(1..)) {
                return Ok(());
            },
        }
    }
}

/// All that runs. Fields end in their order.
struct Cluster {
    nginx: Nginx,
    instances: Vec<(String, Option<ServerProcess>)>,
    _redis: RedisServer,
    _postgres: PostgresServer,
    _directory: TempDir,
}

impl Cluster {
    async fn start(options: &Options, program: &PathBuf) -> Result<Self> {
        let places = Places::choose(options.ports, options.instances);
        places.ensure_free()?;
        let environment = Environment::of(options.system, &places)?;
        let directory = tempfile::Builder::new().prefix("hubline-cluster-").tempdir()?;

        let redis = RedisServer::start_at(places.redis, &environment.redis_options()).await?;
        println!("redis       127.0.0.1:{}  {}", places.redis, environment.redis());
        let postgres = PostgresServer::start_at(places.postgres).await?;
        for statement in environment.database_statements() {
            postgres.command_in("postgres", &statement).await?;
        }
        println!("postgresql  127.0.0.1:{}  {}", places.postgres, environment.database());

        let mut instances = Vec::new();
        for (number, port) in (1..).zip(places.instances.clone()) {
            let log = directory.path().join(format!("instance-{number}.log"));
            let content_root = directory.path().join(format!("instance-{number}"));
            std::fs::create_dir(&content_root)?;
            let launch = Launch::new(program).at(port).arg("serve").arg("--content-root").arg(&content_root);
            let launch = launch.standard_error(File::create(&log)?);
            let variables = environment.of_instance(number);
            let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
            // One after the other: the first makes the tables.
            let instance = ServerProcess::start(launch).await;
            let instance = instance.with_context(|| {
                format!("instance {number}\n{}", std::fs::read_to_string(&log).unwrap_or_default())
            })?;
            let id = instance.id().unwrap_or_default();
            println!("instance    {}  process {id}  log {}", instance.url(), log.display());
            println!("            {}", instance.line_with("SignalR configured").await?);
            instances.push((instance.url(), Some(instance)));
        }
        let nginx = Nginx::start(&places, directory.path()).await?;
        println!("nginx       http://127.0.0.1:{}  round robin, no affinity", places.nginx);
        Ok(Self { nginx, instances, _redis: redis, _postgres: postgres, _directory: directory })
    }

    /// Says of each instance that ends by itself that it did. Returns when none is left.
    async fn tell_of_the_dead(&mut self) {
        while self.instances.iter().any(|(_, instance)| instance.is_some()) {
            sleep(BETWEEN_LOOKS).await;
            for (url, slot) in &mut self.instances {
                let Some(instance) = slot else { continue };
                if let Ok(status) = instance.exit_status(Duration::ZERO).await {
                    println!("instance    {url}  has ended: {status}");
                    *slot = None;
                }
            }
        }
        println!("No instance is left.");
    }

    /// Ends instances as an operator would, so that their clients are told.
    async fn end(mut self) {
        let instances = self.instances.iter_mut().filter_map(|(_, instance)| instance.as_mut());
        for instance in instances {
            // One that has ended already is what is wanted.
            _ = instance.terminate();
        }
        for (_, instance) in &mut self.instances {
            if let Some(instance) = instance {
                _ = instance.exit_status(END).await;
            }
        }
        self.nginx.end().await;
    }
}
