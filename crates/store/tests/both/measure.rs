//! What a stored message costs; for people, since nothing here passes or fails by a number.

use futures_util::future::join_all;
use hubline_store::chat::{Appended, Conversation, NewMessage, append};
use hubline_store::{Store, StoreOptions, Timestamp};

const USERS: usize = 64;
const EACH: usize = 50;
/// What `/proc` counts processor time in, on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// `cargo test --release -p hubline-store --test both measure -- --ignored --nocapture`
#[tokio::test]
#[ignore = "it measures; run it with --release on an idle machine"]
async fn processor_time_of_a_stored_message_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(StoreOptions::file(directory.path().join("test.db"))).await.unwrap();
    send_all(&store).await;
    let (before, commits) = (processor_seconds(), store.figures().commits);
    send_all(&store).await;
    let (seconds, commits) = (processor_seconds() - before, store.figures().commits - commits);
    let messages = USERS * EACH;
    println!(
        "{messages} messages of {USERS} users: {:.0} µs of CPU each, {:.1} in a transaction",
        seconds * 1e6 / messages as f64,
        messages as f64 / commits as f64
    );
}

async fn send_all(store: &Store) {
    join_all((0..USERS).map(|user| async move {
        for _ in 0..EACH {
            let message = NewMessage {
                conversation: Conversation::between(format!("user{user}"), format!("user{}", user + 1)),
                from: format!("user{user}"),
                text: "How are you today?".to_owned(),
                client_message_id: None,
                at: Timestamp::now(),
            };
            assert!(matches!(append(store, message).await.unwrap(), Appended::New(_)));
        }
    }))
    .await;
}

/// Of this process, in user and in kernel mode.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}
