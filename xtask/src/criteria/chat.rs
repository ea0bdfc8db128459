//! Signs that a chat shows whose instances, Redis and database are killed and come back.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::time::sleep;

use super::load::LoadClient;
use super::table::Table;
use super::{INSTANCES, Options};
use crate::cluster::{Cluster, Ports, Proxy, System};

const HUB: &str = "/chathub";
const SECONDS: u32 = 40;
/// What comes after the last message, until all is confirmed and fetched.
const SETTLE: u32 = 30;
/// Between one fault and the next.
const PAUSE: Duration = Duration::from_secs(4);
/// How long something is away.
const AWAY: Duration = Duration::from_secs(3);
pub(crate) const DATABASE: &str = "teledoctor";
const SECRET: &str = "a secret of the tests, with which they sign tokens";

/// Each stored message as the judge reads it.
pub(crate) const STORED: &str = "SELECT json_build_object(
        'conversation', CASE WHEN c.room = ''
            THEN json_build_object('pair', json_build_array(c.first_user, c.second_user))
            ELSE json_build_object('room', c.room) END,
        'id', m.id::text, 'sender', m.sender, 'key', coalesce(m.client_message_id, ''))
    FROM chat_messages m JOIN chat_conversations c ON c.id = m.conversation";

pub(super) async fn measure(
    options: &Options,
    server: &Path,
    load: &LoadClient,
    table: &mut Table,
) -> Result<()> {
    let variables = [("Jwt__Key", SECRET)];
    let mut cluster =
        Cluster::start(System::Teledoctor, server, INSTANCES, Ports::Free, Proxy::Theirs, &variables).await?;
    let urls: Vec<String> = cluster.urls().map(|url| format!("{url}{HUB}")).collect();
    let directory = tempfile::tempdir()?;
    let history = directory.path().join("history.jsonl");
    eprintln!("{} users chat while everything is killed once", options.users);
    let arguments = [
        format!("--users={}", options.users),
        format!("--rate={}", options.rate),
        format!("--seconds={SECONDS}"),
        format!("--settle={SETTLE}"),
        format!("--jwt-key={SECRET}"),
        format!("--history={}", history.display()),
    ];
    let mut chat = load.start("chat", &urls, &arguments)?;
    chat.phase("running").await?;
    faults(&mut cluster).await?;
    let report = chat.report().await?;

    let stored = directory.path().join("stored.jsonl");
    std::fs::write(&stored, cluster.postgres.command_in(DATABASE, STORED).await?)?;
    let files = [format!("--history={}", history.display()), format!("--stored={}", stored.display())];
    let verdict = load.start("judge", &urls[..1], &files)?.report().await?;
    let count = |report: &Value, member: &str| report[member].as_u64().unwrap_or(u64::MAX);
    let faults = ["lost", "doubled", "outOfOrder", "foreign"].map(|kind| count(&verdict, kind));
    let [lost, doubled, out_of_order, foreign] = faults;
    let figures = format!(
        "{} users over three instances, {} messages confirmed, {} stored, {} sightings: {lost} lost, {doubled} doubled, {out_of_order} out \
         of order, {foreign} foreign, while an instance was killed, another was stopped, Redis was killed, PostgreSQL was killed, and \
         each came back",
        options.users,
        count(&verdict, "confirmed"),
        count(&verdict, "stored"),
        count(&verdict, "seen"),
    );
    for fault in verdict["faults"].as_array().into_iter().flatten() {
        eprintln!("fault: {fault}");
    }
    table.add(5, "No message is lost while instances come and go", faults == [0; 4], figures);
    let unfinished = count(&report, "unfinished");
    let figures = format!(
        "{} reconnects of {} users, {unfinished} did not come back; a message was confirmed within {} ms at most, outages included",
        count(&report, "reconnects"),
        options.users,
        count(&report["confirmed_in"], "max_micros") / 1000,
    );
    table.add(8, "Clients reconnect by themselves after a failure", unfinished == 0, figures);
    cluster.end().await;
    Ok(())
}

/// Each part is taken away and comes back, one after the other.
async fn faults(cluster: &mut Cluster) -> Result<()> {
    sleep(PAUSE).await;
    cluster.kill(1).await?;
    sleep(AWAY).await;
    cluster.start_again(1).await?;
    sleep(PAUSE).await;
    cluster.stop(2).await?;
    cluster.start_again(2).await?;
    sleep(PAUSE).await;
    cluster.redis.stop().await?;
    sleep(AWAY).await;
    cluster.redis.start_again().await.context("Redis")?;
    sleep(PAUSE).await;
    cluster.postgres.stop().await?;
    sleep(AWAY).await;
    cluster.postgres.start_again().await.context("PostgreSQL")
}
