//! All parts of a system, as they run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use hubline_testkit::{Launch, PostgresServer, RedisServer, ServerProcess};
use tempfile::TempDir;
use tokio::time::sleep;

use super::environment::Environment;
use super::guard::Guard;
use super::nginx::Nginx;
use super::places::Places;
use super::{Ports, Proxy, System};

/// How long instances may take to end: longer than they give their clients.
const END: Duration = Duration::from_secs(60);
/// How often it is looked whether a program has ended by itself.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// All that runs. Fields end in their order.
pub(crate) struct Cluster {
    nginx: Nginx,
    proxy_url: String,
    instances: Vec<Instance>,
    pub(crate) redis: RedisServer,
    pub(crate) postgres: PostgresServer,
    directory: TempDir,
    /// The last: what ends by itself has ended before.
    guard: Guard,
}

struct Instance {
    url: String,
    launch: Launch,
    /// `None` once it has ended.
    process: Option<ServerProcess>,
}

impl Cluster {
    /// Starts everything and says where it is. `variables` go over those of the system.
    ///
    /// # Errors
    /// A port is taken, or a program is missing or does not come up.
    pub(crate) async fn start(
        system: System,
        program: &Path,
        instances: u16,
        ports: Ports,
        proxy: Proxy,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let places = Places::choose(ports, instances);
        places.ensure_free()?;
        let environment = Environment::of(system, &places)?;
        let directory = tempfile::Builder::new().prefix("hubline-cluster-").tempdir()?;
        let mut guard = Guard::start()?;
        guard.remove(directory.path())?;

        let redis = RedisServer::start_at(places.redis, &environment.redis_options()).await?;
        redis.id().map_or(Ok(()), |id| guard.end_process(id))?;
        guard.remove(redis.directory())?;
        println!("redis       127.0.0.1:{}  {}", places.redis, environment.redis());
        let postgres = PostgresServer::start_at(places.postgres).await?;
        for statement in environment.database_statements() {
            postgres.command_in("postgres", &statement).await?;
        }
        println!("postgresql  127.0.0.1:{}  {}", places.postgres, environment.database());

        let mut instances = Vec::new();
        for (number, port) in (1..).zip(places.instances.clone()) {
            let log = log_file(&directory, number);
            let content_root = directory.path().join(format!("instance-{number}"));
            std::fs::create_dir(&content_root)?;
            let launch =
                Launch::new(program).at(port).apart().arg("serve").arg("--content-root").arg(&content_root);
            let launch = launch.standard_error(File::create(&log)?);
            let own = environment.of_instance(number);
            let own = own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let launch = own
                .chain(variables.iter().copied())
                .fold(launch, |launch, (name, value)| launch.env(name, value));
            // One after the other: the first makes the tables.
            let process = ServerProcess::start(launch.clone()).await;
            let process = process.with_context(|| {
                format!("instance {number}\n{}", std::fs::read_to_string(&log).unwrap_or_default())
            })?;
            let id = process.id().unwrap_or_default();
            guard.end_process(id)?;
            println!("instance    {}  process {id}  log {}", process.url(), log.display());
            println!("            {}", process.line_with("SignalR configured").await?);
            instances.push(Instance { url: process.url(), launch, process: Some(process) });
        }
        let nginx = Nginx::start(&places, proxy, directory.path()).await?;
        nginx.id().map_or(Ok(()), |id| guard.end_process(id))?;
        println!("nginx       http://127.0.0.1:{}  round robin, no affinity", places.nginx);
        let proxy_url = format!("http://127.0.0.1:{}", places.nginx);
        Ok(Self { nginx, proxy_url, instances, redis, postgres, directory, guard })
    }

    /// The addresses of the instances.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        self.instances.iter().map(|instance| &*instance.url)
    }

    /// The address of nginx.
    pub(crate) fn proxy_url(&self) -> &str {
        &self.proxy_url
    }

    /// The log of an instance, counted from 0, as far as it was written.
    pub(crate) fn log(&self, number: usize) -> Result<String> {
        let file = log_file(&self.directory, number + 1);
        std::fs::read_to_string(&file).with_context(|| file.display().to_string())
    }

    /// Copies the logs of the instances and of nginx into another directory.
    pub(crate) fn copy_logs(&self, to: &Path) -> Result<()> {
        for entry in std::fs::read_dir(self.directory.path())? {
            let file = entry?.path();
            let is_log = file.extension().is_some_and(|extension| extension == "log");
            if let Some(name) = file.file_name().filter(|_| is_log) {
                std::fs::copy(&file, to.join(name))?;
            }
        }
        Ok(())
    }

    /// What each instance that runs has printed on standard output.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = Vec<String>> {
        self.instances.iter().filter_map(|instance| Some(instance.process.as_ref()?.lines()))
    }

    /// Kills an instance, counted from 0.
    pub(crate) async fn kill(&mut self, number: usize) -> Result<()> {
        match self.instances[number].process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Stops an instance, counted from 0, as an operator would, and waits for its end.
    pub(crate) async fn stop(&mut self, number: usize) -> Result<()> {
        if let Some(mut process) = self.instances[number].process.take() {
            process.terminate()?;
            process.exit_status(END).await?;
        }
        Ok(())
    }

    /// Starts an instance again, counted from 0.
    pub(crate) async fn start_again(&mut self, number: usize) -> Result<()> {
        let instance = &mut self.instances[number];
        let process = instance.process.insert(ServerProcess::start(instance.launch.clone()).await?);
        process.id().map_or(Ok(()), |id| self.guard.end_process(id))
    }

    /// Says of each instance that ends by itself that it did. Returns when none is left.
    pub(super) async fn tell_of_the_dead(&mut self) {
        while self.instances.iter().any(|instance| instance.process.is_some()) {
            sleep(BETWEEN_LOOKS).await;
            for Instance { url, process: slot, .. } in &mut self.instances {
                let Some(process) = slot else { continue };
                if let Ok(status) = process.exit_status(Duration::ZERO).await {
                    println!("instance    {url}  has ended: {status}");
                    *slot = None;
                }
            }
        }
        println!("No instance is left.");
    }

    /// Ends instances as an operator would, so that their clients are told.
    pub(crate) async fn end(mut self) {
        for instance in &mut self.instances {
            if let Some(process) = &mut instance.process {
                // One that has ended already is what is wanted.
                _ = process.terminate();
            }
        }
        for instance in &mut self.instances {
            if let Some(process) = &mut instance.process {
                _ = process.exit_status(END).await;
            }
        }
        self.nginx.end().await;
    }
}

/// Of the instance of this number, counted from 1.
fn log_file(directory: &TempDir, number: usize) -> PathBuf {
    directory.path().join(format!("instance-{number}.log"))
}
