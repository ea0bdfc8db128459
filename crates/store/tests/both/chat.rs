//! Messages of the chat.

use std::collections::HashMap;
use std::sync::Arc;

use hubline_store::chat::{
    After, Appended, Conversation, ConversationsPage, Cursor, JoinError, JoinLimits, Mark, Message,
    NewMessage, Overview, Since, SinceError, append, conversations, history, is_member, join, leave, mark,
    outbox, since,
};
use hubline_store::clinic::Party;
use hubline_store::clinic::consultations::{Admitted, Consultation, admit};
use hubline_store::{Store, StoreError, Timestamp, sqlx};

use crate::each;

const LIMITS: JoinLimits = JoinLimits { rooms_per_user: 2, members_per_room: 3 };

/// Work in a transaction.
macro_rules! write {
    ($store:expr, $db:ident => $work:expr) => {
        $store.write(move |$db| Box::pin(async move { $work.await })).await
    };
}

fn new(conversation: &Conversation, from: &str, text: &str, name: Option<&str>) -> NewMessage {
    NewMessage {
        conversation: conversation.clone(),
        from: from.to_owned(),
        text: text.to_owned(),
        client_message_id: name.map(str::to_owned),
        at: Timestamp::now(),
    }
}

async fn say(store: &Store, conversation: &Conversation, from: &str, text: &str) -> Message {
    match append(store, new(conversation, from, text, None)).await.unwrap() {
        Appended::New(message) => message,
        other => panic!("{other:?}"),
    }
}

async fn enter(store: &Store, user: &'static str, room: &'static str) -> Result<(), JoinError> {
    write!(store, db => join(db, user, room, LIMITS)).map(drop)
}

async fn read(store: &Store, conversation: &Conversation, before: Option<i64>, limit: u32) -> Vec<i64> {
    let conversation = conversation.clone();
    let messages = write!(store, db => history(db, &conversation, before, limit));
    messages.unwrap().iter().map(|message| message.key.id).collect()
}

async fn missed(store: &Store, user: &'static str, after: After, limit: u32) -> Result<Since, SinceError> {
    store.read(move |db| Box::pin(async move { since(db, user, &after, limit, None).await })).await
}

async fn list(store: &Store, user: &'static str, page: ConversationsPage) -> Vec<Overview> {
    write!(store, db => conversations(db, user, page, 2, None)).unwrap()
}

async fn execute(store: &Store, sql: &'static str) {
    let done: Result<_, StoreError> =
        store.write(move |db| Box::pin(async move { Ok(sqlx::query(sql).execute(&mut *db).await?) })).await;
    done.unwrap();
}

fn texts(since: &Since) -> Vec<&str> {
    since.messages.iter().map(|message| &*message.text).collect()
}

#[tokio::test]
async fn messages_have_ids_in_the_order_of_each_conversation() {
    each(async |store| {
        let (pair, room) = (Conversation::between("bob", "ada"), Conversation::room("ward"));
        let first = say(&store, &pair, "ada", "one").await;
        let mut late = new(&pair, "bob", "two \u{1f600}", None);
        late.at = Timestamp(first.sent_at.0 - 5_000);
        let Appended::New(second) = append(&store, late).await.unwrap() else { panic!("stored before") };
        assert_eq!((first.key.id, second.key.id), (1, 2));
        assert!(second.sent_at > first.sent_at, "the times of a conversation are in its order");
        assert_eq!(say(&store, &room, "ada", "three").await.key.id, 1);
        for n in 3..=5 {
            assert_eq!(say(&store, &pair, "ada", "more").await.key.id, n);
        }
        assert_eq!(read(&store, &pair, None, 3).await, [5, 4, 3]);
        assert_eq!(read(&store, &pair, Some(3), 3).await, [2, 1]);
        let messages = write!(store, db => history(db, &Conversation::between("ada", "bob"), Some(3), 1));
        assert_eq!(messages.unwrap(), [second]);
        assert!(read(&store, &Conversation::between("ada", "cy"), None, 3).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_stored_once() {
    each(async |store| {
        let pair = Conversation::between("ada", "bob");
        let Appended::New(stored) = append(&store, new(&pair, "ada", "once", Some("m1"))).await.unwrap()
        else {
            panic!("stored before")
        };
        let elsewhere = Conversation::room("ward");
        for again in [new(&pair, "ada", "twice", Some("m1")), new(&elsewhere, "ada", "x", Some("m1"))] {
            assert_eq!(append(&store, again).await.unwrap(), Appended::Before(stored.clone()));
        }
        let of_bob = append(&store, new(&pair, "bob", "mine", Some("m1"))).await.unwrap();
        assert!(matches!(of_bob, Appended::New(message) if message.key.id == 2), "a name is its sender's");
        assert_eq!(read(&store, &pair, None, 9).await, [2, 1]);

        let at_once = (0..8).map(|_| append(&store, new(&pair, "ada", "race", Some("m2"))));
        let answers = futures_util::future::join_all(at_once).await;
        let is_new = |answer: &&Result<Appended, _>| matches!(answer, Ok(Appended::New(_)));
        assert_eq!(answers.iter().filter(is_new).count(), 1);
        for answer in &answers {
            let Ok(Appended::New(message) | Appended::Before(message)) = answer else { panic!("{answer:?}") };
            assert_eq!(message.key.id, 3);
        }
    })
    .await;
}

#[tokio::test]
async fn a_room_begins_with_its_first_member_and_ends_with_its_last_unless_something_was_written() {
    each(async |store| {
        let ward = Conversation::room("ward");
        let is_in = async |user: &'static str| {
            let ward = ward.clone();
            write!(store, db => is_member(db, user, &ward)).unwrap()
        };
        for _ in 0..2 {
            enter(&store, "ada", "ward").await.unwrap();
        }
        assert!(is_in("ada").await && !is_in("bob").await);
        assert!(write!(store, db => leave(db, "ada", "ward")).unwrap());
        assert!(!write!(store, db => leave(db, "ada", "ward")).unwrap());
        let rooms = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_conversations";
        let count = async || -> i64 {
            let counted: Result<i64, StoreError> = store
                .read(move |db| {
                    Box::pin(async move { Ok(sqlx::query_scalar(rooms).fetch_one(&mut *db).await?) })
                })
                .await;
            counted.unwrap()
        };
        assert_eq!(count().await, 0);

        for user in ["ada", "bob", "cy"] {
            enter(&store, user, "ward").await.unwrap();
        }
        assert!(matches!(enter(&store, "dan", "ward").await, Err(JoinError::RoomIsFull(3))));
        enter(&store, "ada", "second").await.unwrap();
        say(&store, &Conversation::between("ada", "bob"), "ada", "no room").await;
        assert!(matches!(enter(&store, "ada", "third").await, Err(JoinError::TooManyRooms(2))));
        say(&store, &ward, "ada", "stays").await;
        for user in ["ada", "bob", "cy"] {
            assert!(write!(store, db => leave(db, user, "ward")).unwrap());
        }
        assert_eq!(read(&store, &ward, None, 9).await, [1]);
        assert_eq!(count().await, 3);
    })
    .await;
}

#[tokio::test]
async fn conversations_tell_what_is_unread() {
    each(async |store| {
        let (bob, room) = (Conversation::between("ada", "bob"), Conversation::room("ward"));
        enter(&store, "bob", "ward").await.unwrap();
        say(&store, &room, "bob", "before ada came").await;
        enter(&store, "ada", "ward").await.unwrap();
        for text in ["one", "two", "three"] {
            say(&store, &bob, "bob", text).await;
        }
        say(&store, &bob, "ada", "four").await;
        say(&store, &room, "bob", "newest").await;
        say(&store, &Conversation::between("ada", "ada"), "ada", "a note").await;

        let first = list(&store, "ada", ConversationsPage::default()).await;
        let [note, ward] = &first[..] else { panic!("{first:?}") };
        assert_eq!((note.conversation.partner_of("ada"), note.unread, note.partner), (Some("ada"), 0, None));
        assert_eq!((ward.conversation.room_name(), ward.unread, ward.read_id), (Some("ward"), 1, 1));
        assert_eq!(ward.last_message.as_ref().map(|message| &*message.text), Some("newest"));
        let pages = ConversationsPage { before: Some(ward.place) };
        let second = list(&store, "ada", pages).await;
        let [pair] = &second[..] else { panic!("{second:?}") };
        assert_eq!((pair.unread, pair.last_id, pair.read_id, pair.partner), (3, 4, 0, Some((0, 0))));

        let marked = async |user: &'static str, what: Mark, up_to: Option<i64>| {
            let pair = Conversation::between("ada", "bob");
            write!(store, db => mark(db, user.to_owned(), pair, what, up_to)).unwrap()
        };
        assert_eq!(marked("ada", Mark::Read, Some(2)).await, Some(2));
        assert_eq!(marked("ada", Mark::Read, Some(1)).await, Some(1), "which moves nothing back");
        assert_eq!(marked("bob", Mark::Delivered, Some(99)).await, Some(4));
        assert_eq!(marked("cy", Mark::Read, None).await, None);
        let second = list(&store, "ada", pages).await;
        let Overview { unread, read_id, delivered_id, partner, .. } = second[0];
        assert_eq!((unread, read_id, delivered_id, partner), (1, 2, 2, Some((4, 0))));
        assert_eq!(marked("ada", Mark::Read, None).await, Some(4));
        assert_eq!(list(&store, "ada", pages).await[0].unread, 0);
    })
    .await;
}

#[tokio::test]
async fn what_was_missed_is_told_from_a_cursor_on() {
    each(async |store| {
        let (pair, room) = (Conversation::between("ada", "bob"), Conversation::room("ward"));
        enter(&store, "bob", "ward").await.unwrap();
        say(&store, &room, "bob", "not for ada").await;
        say(&store, &pair, "bob", "one").await;
        say(&store, &Conversation::between("bob", "cy"), "bob", "of others").await;
        let all = missed(&store, "ada", After::Beginning, 10).await.unwrap();
        assert_eq!((texts(&all), all.has_more), (vec!["one"], false));
        let now = missed(&store, "ada", After::Now, 10).await.unwrap();
        assert_eq!((texts(&now), now.has_more, &now.next), (vec![], false, &all.next));

        enter(&store, "ada", "ward").await.unwrap();
        for (conversation, text) in [(&pair, "two"), (&room, "three"), (&pair, "four")] {
            say(&store, conversation, "bob", text).await;
        }
        let text = now.next.to_text("ada");
        let after = After::Cursor(Cursor::from_text(&text, "ada").unwrap());
        let both = missed(&store, "ada", after.clone(), 10).await.unwrap();
        assert_eq!((texts(&both), both.has_more), (vec!["two", "three", "four"], false));
        let some = missed(&store, "ada", after, 2).await.unwrap();
        assert_eq!((texts(&some), some.has_more), (vec!["two", "three"], true));
        let rest = missed(&store, "ada", After::Cursor(some.next), 2).await.unwrap();
        assert_eq!((texts(&rest), rest.has_more), (vec!["four"], false));
        assert_eq!(rest.next, both.next);
        let nothing = missed(&store, "ada", After::Cursor(rest.next.clone()), 2).await.unwrap();
        assert_eq!((texts(&nothing), &nothing.next), (vec![], &rest.next));

        // What was deleted is skipped, and a cursor that is ahead of the database is refused.
        for n in 0..9 {
            say(&store, &pair, "bob", &format!("later {n}")).await;
        }
        execute(&store, "DELETE FROM chat_messages WHERE text LIKE 'later%' AND text <> 'later 8'").await;
        let gap = missed(&store, "ada", After::Cursor(rest.next.clone()), 3).await.unwrap();
        assert_eq!((texts(&gap), gap.has_more), (vec![], true));
        let behind = missed(&store, "ada", After::Cursor(gap.next), 3).await.unwrap();
        assert_eq!((texts(&behind), behind.has_more), (vec!["later 8"], false));
        execute(&store, "UPDATE chat_conversations SET last_id = last_id - 1").await;
        let ahead = missed(&store, "ada", After::Cursor(behind.next), 3).await;
        assert!(matches!(ahead, Err(SinceError::Ahead(_))), "{ahead:?}");
    })
    .await;
}

/// Nothing appears behind a cursor that was given out, however many write.
#[tokio::test]
async fn a_reader_that_follows_many_writers_sees_each_message_once_and_in_order() {
    const WRITERS: usize = 8;
    const EACH: usize = 30;
    each(async |store| {
        let store = Arc::new(store);
        enter(&store, "ada", "ward").await.unwrap();
        let write = async |writer: usize| {
            for n in 0..EACH {
                let conversation = match n % 3 {
                    0 => Conversation::room("ward"),
                    1 => Conversation::between("ada", "bob"),
                    _ => Conversation::between("ada", format!("user {writer}")),
                };
                say(&store, &conversation, "bob", &format!("{writer} {n}")).await;
            }
        };
        let writing = futures_util::future::join_all((0..WRITERS).map(write));
        let reading = async {
            let (mut after, mut seen) = (After::Beginning, Vec::new());
            while seen.len() < WRITERS * EACH {
                let page = missed(&store, "ada", after, 7).await.unwrap();
                seen.extend(page.messages);
                after = After::Cursor(page.next);
            }
            (seen, missed(&store, "ada", after, 7).await.unwrap())
        };
        let ((), (seen, rest)) = tokio::join!(async { drop(writing.await) }, reading);
        assert_eq!((texts(&rest), rest.has_more), (vec![], false));
        let mut last: HashMap<i64, i64> = HashMap::new();
        for Message { key, .. } in &seen {
            let before = last.insert(key.conversation, key.id).unwrap_or(0);
            assert_eq!(key.id, before + 1, "in conversation {}", key.conversation);
        }
    })
    .await;
}

#[tokio::test]
async fn of_many_that_claim_a_message_one_publishes_it() {
    each(async |store| {
        let pair = Conversation::between("ada", "bob");
        let (one, two) = (say(&store, &pair, "ada", "one").await, say(&store, &pair, "ada", "two").await);
        let oldest = async || write!(store, db => outbox::oldest(db, 10)).unwrap();
        let rows = oldest().await;
        assert_eq!(
            rows.iter().map(|row| (row.key, row.claim)).collect::<Vec<_>>(),
            [(one.key, 0), (two.key, 0)]
        );
        let row = rows[0];
        let claims = (0..6).map(|_| {
            let store = store.clone();
            async move { write!(store, db => outbox::claim(db, &row)).unwrap() }
        });
        let claims = futures_util::future::join_all(claims).await;
        assert_eq!(claims.into_iter().flatten().map(|message| message.key).collect::<Vec<_>>(), [one.key]);
        let claimed = oldest().await[0];
        assert_ne!(claimed.claim, 0);
        assert!(
            write!(store, db => outbox::claim(db, &claimed)).unwrap().is_some(),
            "its claimer may die too"
        );

        write!(store, db => outbox::remove(db, &[(one.sent_at, one.key), (two.sent_at, two.key)])).unwrap();
        assert!(oldest().await.is_empty());
        assert!(write!(store, db => outbox::claim(db, &claimed)).unwrap().is_none());

        say(&store, &pair, "ada", "deleted").await;
        execute(&store, "DELETE FROM chat_messages WHERE text = 'deleted'").await;
        let row = oldest().await[0];
        assert!(write!(store, db => outbox::claim(db, &row)).unwrap().is_none());
        assert!(oldest().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_has_no_open_consultation_is_left_out_and_comes_later() {
    each(async |store| {
        let clinic = Party::new("token", "");
        let name = |id: &str, room: &str, user: &str, closes: i64| {
            let users = vec!["ada".to_owned(), user.to_owned()];
            Consultation::now(id, room, users, Timestamp(100), Some(Timestamp(closes)), &clinic)
        };
        let admitted = async |named: Consultation| write!(store, db => admit(db, &named)).unwrap();
        assert_eq!(admitted(name("c-1", "ward", "bob", 200)).await, Admitted::Yes);
        assert_eq!(admitted(name("c-2", "ward", "eve", 200)).await, Admitted::RoomIsTaken);
        let mut otherwise = name("c-1", "ward", "eve", 900);
        otherwise.created_by = "server:".to_owned();
        assert_eq!(admitted(otherwise).await, Admitted::MadeOtherwise);
        for user in ["ada", "bob"] {
            enter(&store, user, "ward").await.unwrap();
        }
        say(&store, &Conversation::room("ward"), "bob", "in the room").await;
        say(&store, &Conversation::between("ada", "bob"), "bob", "between us").await;
        say(&store, &Conversation::between("ada", "cy"), "cy", "of no consultation").await;
        let at = async |after: After, time: i64| {
            write!(store, db => since(db, "ada", &after, 10, Some(Timestamp(time)))).unwrap()
        };
        let open = at(After::Beginning, 150).await;
        assert_eq!((texts(&open), open.has_more), (vec!["in the room", "between us"], false));
        let listed = async |time: i64| {
            let page = ConversationsPage::default();
            write!(store, db => conversations(db, "ada", page, 9, Some(Timestamp(time)))).unwrap().len()
        };
        assert_eq!((listed(150).await, listed(99).await, listed(200).await), (2, 0, 0));
        let over = at(After::Beginning, 200).await;
        assert_eq!((texts(&over), over.has_more), (vec![], false));
        // A token lets it close later, and nothing is missing.
        assert_eq!(admitted(name("c-1", "ward", "bob", 300)).await, Admitted::Yes);
        assert_eq!(texts(&at(After::Cursor(over.next), 250).await), ["in the room", "between us"]);
        let crowd = (0..100).map(|n| format!("user {n}")).collect();
        let many = Consultation::now("c-1", "ward", crowd, Timestamp(100), None, &clinic);
        assert_eq!(admitted(many).await, Admitted::TooManyParticipants);
    })
    .await;
}
