//! What is counted besides the server, for the metrics.

mod refusals;

use std::sync::atomic::{AtomicU64, Ordering};

use hubline::Status;

use super::Parts;
use super::applications::Applications;
use super::sign_in::SignIn;
use crate::admin::Admin;
use crate::calls::{CallStatistics, Calls};
use crate::chat::{Chat, ChatStatistics};
use crate::clinic::{Clinic, ClinicStatistics};
use crate::navigation::Navigation;
use crate::observe::metrics::{Figure, Figures, Metrics, RedisFigures};
use crate::observe::{self, Database, Readiness};

/// All of it with what the server counts, exported from now on where a collector is named.
pub(super) fn metrics(
    parts: &Parts,
    applications: &Applications,
    others: impl IntoIterator<Item = Figures>,
    redis: Option<RedisFigures>,
) -> Metrics {
    let Parts { server, store, clinic, observed, .. } = parts;
    let (chat, calls, clinic) = (applications.chat.clone(), applications.calls.clone(), clinic.clone());
    let (database, readiness) = (observed.database.clone(), observed.readiness.clone());
    let mut figures = vec![
        Figures::new(move || of_chat(&chat)),
        Figures::new(move || of_calls(&calls)),
        of_navigation(&applications.navigation),
        Figures::new(move || of_clinic(&clinic)),
        Figures::new(move || is_connected(&database)),
        Figures::new(move || is_ready(&readiness)),
        observe::database::figures(store),
    ];
    figures.extend(others);
    figures.extend(observed.telemetry.figures());
    let metrics = Metrics::new(server, &observed.log, redis, figures);
    observed.telemetry.export(&metrics);
    metrics
}

/// What is refused in front of the hubs.
pub(super) fn refusals(parts: &Parts, sign_in: &SignIn, admin: &Admin) -> Figures {
    refusals::figures(parts, sign_in, admin)
}

fn is_connected(database: &Database) -> Vec<Figure> {
    let is_connected = *database.status.borrow() == Status::Connected;
    let help = "Whether the database answers: 1, or 0.";
    vec![Figure::gauge("hubline_database_connected", help, u64::from(is_connected))]
}

fn is_ready(readiness: &Readiness) -> Vec<Figure> {
    let help = "Whether new clients may be sent to this instance, as /health/ready says: 1, or 0.";
    vec![Figure::gauge("hubline_ready", help, u64::from(readiness.reason().is_none()))]
}

fn of_navigation(navigation: &Navigation) -> Figures {
    let counters = navigation.counters();
    Figures::new(move || {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            Figure::gauge(
                "hubline_navigation_version",
                "Version of the navigation state that this instance has read.",
                read(&counters.version),
            ),
            Figure::counter(
                "hubline_navigation_states_sent",
                "How often the navigation state was sent to all clients of this instance.",
                read(&counters.states_sent),
            ),
            Figure::counter(
                "hubline_navigation_changes_sent",
                "Changes of single mappings that clients of this instance were told of.",
                read(&counters.changes_sent),
            ),
            Figure::counter(
                "hubline_navigation_reads_failed",
                "How often the navigation state could not be read in the database.",
                read(&counters.reads_failed),
            ),
            Figure::counter(
                "hubline_navigation_announcements_failed",
                "Changes of the navigation state that other instances could not be told of, and find by themselves.",
                read(&counters.announcements_failed),
            ),
        ]
    })
}

fn of_chat(chat: &Chat) -> Vec<Figure> {
    let ChatStatistics { stored, repeated, refused, published_from_outbox, database_failures, .. } =
        chat.statistics();
    counters([
        ("hubline_chat_messages_stored", "Messages of the chat that this instance stored.", stored),
        (
            "hubline_chat_messages_repeated",
            "Messages that were sent again and had been stored before.",
            repeated,
        ),
        (
            "hubline_chat_calls_refused",
            "Calls of the chat that were refused: something not allowed, or too much.",
            refused,
        ),
        (
            "hubline_chat_published_from_outbox",
            "Messages that this instance published from the outbox, after another instance or it itself had not.",
            published_from_outbox,
        ),
        (
            "hubline_chat_database_failures",
            "Calls of the chat that failed because the database could not be used.",
            database_failures,
        ),
    ])
}

fn of_calls(calls: &Calls) -> Vec<Figure> {
    let counted = calls.statistics();
    let CallStatistics { started, accepted, rejoined, refused, unrecorded, .. } = counted;
    let help = "Calls that go on, whose caller is connected to this instance.";
    let now = [("ringing", counted.ringing), ("active", counted.active)];
    let now = now.map(|(status, count)| Figure::gauge("hubline_calls", help, count).of("status", status));
    let help = "Calls that are over, by what has become of them.";
    let over = [
        ("completed", counted.completed),
        ("cancelled", counted.cancelled),
        ("declined", counted.declined),
        ("busy", counted.busy),
        ("missed", counted.missed),
        ("lost", counted.lost),
    ];
    let over = over
        .map(|(outcome, count)| Figure::counter("hubline_calls_over", help, count).of("outcome", outcome));
    let others = counters([
        ("hubline_calls_started", "Calls that began to ring.", started),
        ("hubline_calls_accepted", "Calls that were accepted.", accepted),
        (
            "hubline_calls_rejoined",
            "How often a participant of a call went on by another connection.",
            rejoined,
        ),
        (
            "hubline_calls_refused",
            "What was refused because of Limits:CallsPerMinutePerUser or Limits:CallMessagesPerMinutePerUser.",
            refused,
        ),
        (
            "hubline_calls_unrecorded",
            "How often a call could not be written into the history at once; what is over is tried again.",
            unrecorded,
        ),
    ]);
    now.into_iter().chain(over).chain(others).collect()
}

fn of_clinic(clinic: &Clinic) -> Vec<Figure> {
    let ClinicStatistics {
        banned_users,
        banned_requests_refused,
        unusable_user_ids_refused,
        connections_closed,
        sign_ins_written,
        sign_ins_lost,
        rows_deleted_by_age,
        ..
    } = clinic.statistics();
    let help = "Users who are kept out, as far as this instance knows.";
    let mut figures = vec![Figure::gauge("hubline_banned_users", help, banned_users as u64)];
    figures.extend(counters([
        (
            "hubline_banned_requests_refused",
            "Requests of users who are kept out, which were answered 403.",
            banned_requests_refused,
        ),
        (
            "hubline_unusable_user_ids_refused",
            "Requests of users whose id is too long or has control characters, which were answered 403.",
            unusable_user_ids_refused,
        ),
        (
            "hubline_user_connections_closed",
            "Connections that were closed because an administrator closed those of their user.",
            connections_closed,
        ),
        ("hubline_audit_sign_ins", "Sign-ins that were written into the audit.", sign_ins_written),
        (
            "hubline_audit_sign_ins_lost",
            "Sign-ins that are missing in the audit, because the database was away for too long.",
            sign_ins_lost,
        ),
        (
            "hubline_rows_deleted_by_age",
            "Rows of the database that this instance has deleted because of Retention settings.",
            rows_deleted_by_age,
        ),
    ]));
    figures
}

fn counters<const N: usize>(counters: [(&'static str, &'static str, u64); N]) -> Vec<Figure> {
    counters.map(|(name, help, value)| Figure::counter(name, help, value)).into()
}
