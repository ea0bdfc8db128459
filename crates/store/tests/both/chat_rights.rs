//! Who may write when a message is stored, and anonymous members of rooms.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use hubline_store::chat::guests::{self, GuestInstance};
use hubline_store::chat::{
    Appended, Conversation, JoinLimits, NewMessage, Refusal, Requirements, append_if, is_member, join, leave,
};
use hubline_store::clinic::Party;
use hubline_store::clinic::consultations::{self, Consultation};
use hubline_store::{Connection, Store, StoreError, Timestamp, sqlx};
use tokio::task::JoinSet;

use crate::each;

const OPEN: Requirements = Requirements { open_consultation: true, membership: false };
const MEMBER: Requirements = Requirements { open_consultation: false, membership: true };
const LIMITS: JoinLimits = JoinLimits { rooms_per_user: 10, members_per_room: 10 };
const WRITERS: usize = 4;
const ROUNDS: usize = 8;
/// Messages that are stored before the consultation is closed.
const BEFORE: i64 = 5;

/// Work in a transaction.
macro_rules! write {
    ($store:expr, $db:ident => $work:expr) => {
        $store.write(move |$db| Box::pin(async move { $work.await })).await
    };
}

fn new(conversation: &Conversation, from: &str, name: &str) -> NewMessage {
    NewMessage {
        conversation: conversation.clone(),
        from: from.to_owned(),
        text: name.to_owned(),
        client_message_id: Some(name.to_owned()),
        at: Timestamp::now(),
    }
}

async fn try_append(store: &Store, message: NewMessage, requirements: Requirements) -> Appended {
    append_if(store, message, requirements).await.unwrap()
}

async fn count(store: &Store, table: &'static str) -> i64 {
    async fn counted(db: &mut Connection, table: &str) -> Result<i64, StoreError> {
        let select = format!("SELECT CAST(COUNT(*) AS BIGINT) FROM {table}");
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(select)).fetch_one(&mut *db).await?)
    }
    store.read(move |db| Box::pin(counted(db, table))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_stored_once_a_consultation_is_known_to_be_closed() {
    each(async |store| {
        for round in 0..ROUNDS {
            // Whether the conversation is there before.
            close_while_writing(&store, round).await;
        }
    })
    .await;
}

async fn close_while_writing(store: &Store, round: usize) {
    let (id, room) = (format!("c-{round}"), format!("ward-{round}"));
    let users = ["ada", "bob"].map(|user| format!("{user}-{round}"));
    let open = Consultation::now(&id, &room, users.to_vec(), Timestamp(0), None, &Party::server());
    write!(store, db => consultations::create(db, &open)).unwrap();
    let places = [Conversation::room(&*room), Conversation::between(&*users[0], &*users[1])];
    let (stored, mut writers) = (Arc::new(AtomicI64::new(0)), JoinSet::new());
    for writer in 0..WRITERS {
        let (store, stored, place) = (store.clone(), Arc::clone(&stored), places[writer % 2].clone());
        let from = users[writer / 2].clone();
        writers.spawn(async move {
            for number in 0.. {
                let message = new(&place, &from, &format!("{round}-{writer}-{number}"));
                match try_append(&store, message.clone(), OPEN).await {
                    Appended::New(_) => stored.fetch_add(1, Ordering::SeqCst),
                    Appended::Refused(Refusal::NoOpenConsultation) => return number,
                    other => panic!("{other:?}"),
                };
            }
            0
        });
    }
    while stored.load(Ordering::SeqCst) < BEFORE {
        tokio::task::yield_now().await;
    }
    let now = Timestamp::now();
    write!(store, db => consultations::close(db, &id, now)).unwrap().unwrap();
    let at_close = count(store, "chat_messages").await;
    let wrote: Vec<usize> = writers.join_all().await;
    assert_eq!(count(store, "chat_messages").await, at_close, "{wrote:?} in round {round}");
}

#[tokio::test]
async fn what_was_stored_before_is_found_and_who_has_left_writes_no_more() {
    each(async |store| {
        let (pair, ward) = (Conversation::between("ada", "bob"), Conversation::room("ward"));
        let open = Consultation::now(
            "c",
            "ward",
            vec!["ada".to_owned(), "bob".to_owned()],
            Timestamp(0),
            None,
            &Party::server(),
        );
        let refused = Appended::Refused(Refusal::NoOpenConsultation);
        assert_eq!(try_append(&store, new(&pair, "ada", "early"), OPEN).await, refused);
        assert_eq!(count(&store, "chat_conversations").await, 0, "nothing is left of it");
        write!(store, db => consultations::create(db, &open)).unwrap();
        let Appended::New(first) = try_append(&store, new(&pair, "ada", "one"), OPEN).await else { panic!() };
        write!(store, db => consultations::close(db, "c", Timestamp::now())).unwrap();
        assert_eq!(try_append(&store, new(&pair, "ada", "one"), OPEN).await, Appended::Before(first));
        assert_eq!(try_append(&store, new(&pair, "ada", "two"), OPEN).await, refused);
        assert_eq!(try_append(&store, new(&pair, "bob", "one"), OPEN).await, refused, "another sender's");

        let refused = Appended::Refused(Refusal::NotAMember);
        assert_eq!(try_append(&store, new(&ward, "ada", "x"), MEMBER).await, refused);
        assert!(write!(store, db => join(db, "ada", "ward", LIMITS)).unwrap());
        assert!(!write!(store, db => join(db, "ada", "ward", LIMITS)).unwrap(), "a member already");
        assert!(matches!(try_append(&store, new(&ward, "ada", "x"), MEMBER).await, Appended::New(_)));
        assert!(write!(store, db => leave(db, "ada", "ward")).unwrap());
        assert_eq!(try_append(&store, new(&ward, "ada", "y"), MEMBER).await, refused);
        assert!(matches!(try_append(&store, new(&pair, "ada", "z"), MEMBER).await, Appended::New(_)));
    })
    .await;
}

#[tokio::test]
async fn anonymous_members_go_with_an_instance_that_is_silent() {
    each(async |store| {
        for (user, room) in [("a", "ward"), ("a", "lobby"), ("b", "ward"), ("c", "ward")] {
            let instance = if user == "c" { "living" } else { "dead" };
            let joined = store.write(move |db| {
                Box::pin(async move {
                    join(db, user, room, LIMITS).await.unwrap();
                    guests::arrive(db, user, instance).await
                })
            });
            joined.await.unwrap();
        }
        let instances = write!(store, db => guests::instances(db, 10)).unwrap();
        let [dead, living] = <[GuestInstance; 2]>::try_from(instances).unwrap();
        assert_eq!((&*dead.id, &*living.id), ("dead", "living"));
        assert!(write!(store, db => guests::beat(db, "living")).unwrap());
        for (instance, limit, removed) in
            [(living, 10, 0), (dead.clone(), 1, 1), (dead.clone(), 10, 1), (dead, 10, 0)]
        {
            assert_eq!(write!(store, db => guests::remove_of(db, &instance, limit)).unwrap(), removed);
        }
        assert!(!write!(store, db => guests::beat(db, "dead")).unwrap(), "it was forgotten");
        assert_eq!(count(&store, "chat_members").await, 1);
        assert_eq!(count(&store, "chat_conversations").await, 1, "a room that nobody is in is none");
        let ward = Conversation::room("ward");
        assert!(write!(store, db => is_member(db, "c", &ward)).unwrap());
        write!(store, db => guests::depart(db, "c")).unwrap();
        assert_eq!(count(&store, "chat_members").await + count(&store, "chat_guests").await, 0);
    })
    .await;
}
