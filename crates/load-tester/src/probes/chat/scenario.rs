use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::measure::Recorder;
use crate::probes::Phase;
use crate::probes::chat::history::{Conversation, History, now_micros};
use crate::probes::chat::user::{Journal, Plan, Sends, To, User};
use crate::probes::crowd::check_room;
use crate::probes::report::ChatReport;
use crate::wire::target::Target;

/// How many users are in a room.
const ROOM: u32 = 20;
/// Whom a user writes to, besides his room.
const PARTNERS: u32 = 3;
/// Over how long the first connections are spread, and how many of them come in a second at most.
const CONNECTING: Duration = Duration::from_secs(3);
const CONNECTING_PER_SECOND: u32 = 300;
/// How long joining may take after that.
const JOINING: Duration = Duration::from_secs(10);

/// Users write to each other and in rooms of 20, come back when a connection is lost, and ask for what they have missed.
#[derive(Debug, Clone, Args)]
pub struct ChatOptions {
    /// The chat on another instance, besides --url; again for each
    #[arg(long = "other")]
    pub others: Vec<Target>,
    /// Users, each with one connection; they go round the instances
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(4..=5000))]
    pub users: u32,
    /// Messages a second, of all users together
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub rate: u32,
    /// Seconds to send for
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Seconds after the last send until everything has to be confirmed and fetched; below 12 nobody waits for the last events
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(3..=600))]
    pub settle: u32,
    /// Nobody is in a room: each message goes to one user
    #[arg(long)]
    pub without_rooms: bool,
    /// All messages go to rooms
    #[arg(long, conflicts_with = "without_rooms")]
    pub rooms_only: bool,
    /// Each connection is negotiated before it is opened, as official clients do it
    #[arg(long)]
    pub negotiate: bool,
    /// The secret of the server's Jwt:Key, with which the users' tokens are signed
    #[arg(long, env = "JWT_KEY", hide_env_values = true)]
    pub jwt_key: String,
    /// Where to write what happened, one JSON object a line [default: nowhere]
    #[arg(long)]
    pub history: Option<PathBuf>,
}

/// Chats, and writes what every user sent and saw; [`judge`](crate::judge()) compares that with the database.
///
/// # Errors
/// A user did not get everything confirmed and fetched in time, or the history cannot be written.
pub async fn chat(
    target: &Target,
    options: &ChatOptions,
    progress: &mut dyn FnMut(Phase),
) -> anyhow::Result<ChatReport> {
    ensure!(options.users.is_multiple_of(4), "--users has to be a multiple of 4");
    check_room(options.users as usize)?;
    let targets: Arc<[Target]> = [target].into_iter().chain(&options.others).cloned().collect();
    let (journal, sends, run) = (Journal::default(), Sends::default(), now_micros());
    let connecting = CONNECTING.max(Duration::from_secs(1) * options.users.div_ceil(CONNECTING_PER_SECOND));
    let start = Instant::now() + connecting;
    let all_joined = Arc::new(Barrier::new(options.users as usize));
    let mut users = JoinSet::new();
    for number in 0..options.users {
        let user = plan(number, options, &targets, start, &all_joined, &sends, run);
        let user = User::new(user, Arc::clone(&journal));
        let connect_at =
            start - connecting + connecting.mul_f64(f64::from(number) / f64::from(options.users));
        users.spawn(async move {
            sleep_until(connect_at).await;
            user.run().await
        });
    }
    sleep_until(start).await;
    progress(Phase::Running);
    sleep_until(start + Duration::from_secs(options.seconds.into())).await;
    progress(Phase::Finished);
    let mut report = ChatReport { users: options.users, ..ChatReport::default() };
    let (mut confirmed, mut delivered) = (Recorder::new(), Recorder::new());
    while let Some(ended) = users.join_next().await {
        match ended? {
            Ok(outcome) => {
                report.reconnects += outcome.reconnects;
                report.repeated += outcome.repeated;
                report.last_error = outcome.last_error.or(report.last_error);
                outcome.confirmed_micros.into_iter().for_each(|micros| confirmed.record(micros));
                outcome.delivered_micros.into_iter().for_each(|micros| delivered.record(micros));
            }
            Err(error) => {
                report.unfinished += 1;
                report.last_error = Some(format!("{error:#}"));
            }
        }
    }
    report.confirmed_in = confirmed.percentiles();
    report.confirmed = confirmed.count();
    report.delivered_in = delivered.percentiles();
    report.delivered = delivered.count();
    if let Some(path) = &options.history {
        let events = std::mem::take(&mut *journal.lock());
        History { events }.write(path).context("the history")?;
    }
    Ok(report)
}

fn plan(
    number: u32,
    options: &ChatOptions,
    targets: &Arc<[Target]>,
    start: Instant,
    all_joined: &Arc<Barrier>,
    sends: &Sends,
    run: u64,
) -> Plan {
    let name = |number: u32| format!("user-{number}");
    let this = name(number);
    let room = format!("room-{}", number / ROOM);
    // Next to it there, so that partners are on other instances.
    let partners = if options.rooms_only { 0 } else { PARTNERS };
    let partners = (1..=partners).map(|step| name((number + step) % options.users));
    let mut conversations: Vec<_> =
        partners.map(|partner| (Conversation::of(&this, &partner), To::User(partner))).collect();
    let rooms = if options.without_rooms { Vec::new() } else { vec![room] };
    conversations.extend(rooms.iter().map(|room| (Conversation::Room(room.clone()), To::Room(room.clone()))));
    let interval = Duration::from_secs_f64(f64::from(options.users) / f64::from(options.rate));
    let stop_sending = start + Duration::from_secs(options.seconds.into());
    Plan {
        name: this,
        targets: Arc::clone(targets),
        first_target: number as usize,
        sends: Arc::clone(sends),
        run,
        jwt_key: options.jwt_key.as_str().into(),
        rooms,
        conversations,
        first_send: start + interval.mul_f64(f64::from(number) / f64::from(options.users)),
        interval,
        all_joined: Arc::clone(all_joined),
        joined_by: start + JOINING,
        negotiates: options.negotiate,
        stop_sending,
        give_up: stop_sending + Duration::from_secs(options.settle.into()),
    }
}
