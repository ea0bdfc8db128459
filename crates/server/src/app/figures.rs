//! What the applications count, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use hubline::Status;
use hubline_store::Store;

use super::Observed;
use crate::chat::Chat;
use crate::navigation::Navigation;
use crate::observe;
use crate::observe::metrics::{Figure, Figures};

/// All of it, with the database and what is exported.
pub(super) fn all(observed: &Observed, store: &Store, chat: &Chat, navigation: &Navigation) -> Vec<Figures> {
    let chat = chat.clone();
    let chat = Figures::new(move || of_chat(&chat));
    let database = observed.database.status.clone();
    let database = Figures::new(move || {
        let is_connected = *database.borrow() == Status::Connected;
        let help = "Whether the database answers: 1, or 0.";
        vec![Figure::gauge("hubline_database_connected", help, u64::from(is_connected))]
    });
    let applications = [chat, database, observe::database::figures(store), of_navigation(navigation)];
    applications.into_iter().chain(observed.telemetry.figures()).collect()
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
    let counted = chat.statistics();
    vec![
        Figure::counter(
            "hubline_chat_messages_stored",
            "Messages of the chat that this instance stored.",
            counted.stored,
        ),
        Figure::counter(
            "hubline_chat_messages_repeated",
            "Messages that were sent again and had been stored before.",
            counted.repeated,
        ),
        Figure::counter(
            "hubline_chat_calls_refused",
            "Calls of the chat that were refused: something not allowed, or too much.",
            counted.refused,
        ),
        Figure::counter(
            "hubline_chat_published_from_outbox",
            "Messages that this instance published from the outbox, after another instance or it itself had not.",
            counted.published_from_outbox,
        ),
        Figure::counter(
            "hubline_chat_database_failures",
            "Calls of the chat that failed because the database could not be used.",
            counted.database_failures,
        ),
    ]
}
