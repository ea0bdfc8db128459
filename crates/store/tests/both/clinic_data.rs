//! What is stored of users, and for how long.

use hubline_store::calls::{self, CallFilter, CallOutcome, CallRecord};
use hubline_store::chat::{self, Appended, Conversation, JoinLimits, Message, NewMessage};
use hubline_store::clinic::audit::{AuditFilter, SIGN_IN};
use hubline_store::clinic::consultations::{self, Consultation};
use hubline_store::clinic::erasures::{self, Erasure, Stage};
use hubline_store::clinic::retention::{self, Kind};
use hubline_store::clinic::{Party, audit};
use hubline_store::{Store, Timestamp};

use crate::clinic::{entries, entry, record, write};
use crate::each;

const LIMITS: JoinLimits = JoinLimits { rooms_per_user: 10, members_per_room: 10 };

async fn send(store: &Store, from: &str, to: Conversation, text: &str, at: i64) -> Message {
    let new = NewMessage {
        conversation: to,
        from: from.to_owned(),
        text: text.to_owned(),
        client_message_id: Some(text.to_owned()),
        at: Timestamp(at),
    };
    match chat::append(store, new).await.unwrap() {
        Appended::New(message) | Appended::Before(message) => message,
        Appended::Refused(refusal) => panic!("{refusal:?}"),
    }
}

async fn history(store: &Store, of: Conversation) -> Vec<(String, String, i64)> {
    let read = store.read(move |db| Box::pin(async move { chat::history(db, &of, None, 100).await }));
    let messages = read.await.unwrap();
    messages.into_iter().rev().map(|message| (message.from, message.text, message.key.id)).collect()
}

async fn erase(store: &Store, erasure: &Erasure) -> Vec<(Stage, u64)> {
    let mut stage = Stage::FIRST;
    let mut parts = Vec::new();
    while stage != Stage::Done {
        let of = erasure.clone();
        let step = write(store, move |db| Box::pin(async move { erasures::step(db, &of, stage).await }));
        let (next, changed) = step.await;
        parts.push((stage, changed));
        stage = next;
    }
    let done = erasure.clone();
    write(store, move |db| Box::pin(async move { erasures::complete(db, &done).await })).await;
    parts
}

#[tokio::test]
async fn text_and_name_of_an_erased_user_are_gone_and_ids_stay() {
    each(async |store| {
        let ada = Party::user("ada");
        let mut written: Vec<_> =
            (0..600).map(|at| entry(at, ada.clone(), "history.read", Party::user("bob"))).collect();
        written.push(entry(700, Party::admin("ada"), "user.close", ada.clone()).details("60 s"));
        written.push(entry(800, ada.clone(), SIGN_IN, Party::new("hub", "chat")).details("192.0.2.1"));
        record(&store, written).await;
        let participants = vec!["ada".to_owned(), "bob".to_owned()];
        let new = Consultation::now("1", "r", participants, Timestamp(0), None, &Party::admin("key"));
        write(&store, move |db| Box::pin(async move { consultations::create(db, &new).await })).await;
        let (pair, room) = (Conversation::between("ada", "bob"), Conversation::room("ward"));
        send(&store, "ada", pair.clone(), "to bob", 1).await;
        send(&store, "bob", pair.clone(), "to ada", 2).await;
        for user in ["ada", "bob"] {
            write(&store, move |db| {
                Box::pin(
                    async move { chat::join(db, user, "ward", LIMITS).await.map_err(|_| unreachable!()) },
                )
            })
            .await;
            send(&store, user, room.clone(), &format!("from {user}"), 3).await;
        }

        for (id, caller, recipient) in [("1", "ada", "bob"), ("2", "bob", "ada"), ("3", "bob", "eve")] {
            let call = call(id, caller, recipient);
            write(&store, move |db| Box::pin(async move { calls::record(db, &call).await })).await;
        }
        let begin = async || {
            write(&store, |db| Box::pin(async { erasures::begin(db, "ada", &Party::admin("key")).await }))
                .await
        };
        let erasure = begin().await;
        assert_eq!(begin().await, erasure, "it goes on");
        assert_eq!(
            write(&store, |db| Box::pin(erasures::pending(db, 9))).await,
            std::slice::from_ref(&erasure)
        );
        let expected = [
            (Stage::Audit, 500),
            (Stage::Audit, 104),
            (Stage::Participants, 1),
            (Stage::Calls, 2),
            (Stage::Messages, 2),
            (Stage::Conversations, 2),
        ];
        assert_eq!(erase(&store, &erasure).await, expected);
        assert_eq!(write(&store, |db| Box::pin(erasures::pending(db, 9))).await, []);

        let pseudonym = erasure.pseudonym.clone();
        let of = |from: &str, text: &str, id: i64| (from.to_owned(), text.to_owned(), id);
        assert_eq!(history(&store, pair.clone()).await, [], "nobody finds it under the old name");
        let pair = Conversation::between(pseudonym.clone(), "bob");
        assert_eq!(history(&store, pair.clone()).await, [of(&pseudonym, "", 1), of("bob", "to ada", 2)]);
        assert_eq!(history(&store, room.clone()).await, [of(&pseudonym, "", 1), of("bob", "from bob", 2)]);
        let is_member = async |user: &str, conversation: &Conversation| {
            let (user, of) = (user.to_owned(), conversation.clone());
            write(&store, move |db| Box::pin(async move { chat::is_member(db, &user, &of).await })).await
        };
        assert!(is_member("bob", &pair).await && is_member("bob", &room).await);
        assert!(!is_member("ada", &room).await && !is_member(&pseudonym, &room).await);
        let calls_of = async |user: &str| {
            let user = user.to_owned();
            let all = CallFilter::default();
            write(&store, move |db| Box::pin(async move { calls::of_user(db, &user, &all, 9).await })).await
        };
        assert_eq!(calls_of("ada").await, []);
        let of_pseudonym = calls_of(&pseudonym).await;
        assert_eq!(
            of_pseudonym.iter().map(|call| (&*call.id, &call.reason)).collect::<Vec<_>>(),
            [("2", &None), ("1", &None)]
        );
        assert_eq!(calls_of("eve").await[0].reason.as_deref(), Some("not now"));
        let kept = write(&store, |db| Box::pin(consultations::get(db, "1"))).await.unwrap();
        assert_eq!(kept.participants, ["bob", &pseudonym]);
        assert_eq!(
            entries(&store, AuditFilter { party: Some(ada), ..AuditFilter::default() }, 999).await,
            []
        );
        let party = Some(Party::user(&pseudonym));
        let kept = entries(&store, AuditFilter { party, ..AuditFilter::default() }, 999).await;
        assert_eq!(kept.len(), 604);
        assert_eq!((kept[0].action.as_str(), kept[0].details.as_deref()), (SIGN_IN, None));
        assert_eq!((kept[1].actor.as_str(), kept[1].details.as_deref()), ("admin:ada", Some("60 s")));

        // Whoever comes again under the old name is somebody new.
        send(&store, "ada", Conversation::between("ada", "bob"), "to bob", 9).await;
        assert_ne!(begin().await.pseudonym, pseudonym);
    })
    .await;
}

fn call(id: &str, caller: &str, recipient: &str) -> CallRecord {
    CallRecord {
        id: id.to_owned(),
        caller: caller.to_owned(),
        recipient: recipient.to_owned(),
        started: Timestamp(610),
        accepted: None,
        ended: Some(Timestamp(620)),
        outcome: CallOutcome::Declined,
        reason: Some("not now".to_owned()),
    }
}

#[tokio::test]
async fn messages_are_deleted_by_age_and_their_ids_are_not_given_again() {
    each(async |store| {
        let (long, short) = (Conversation::between("ada", "bob"), Conversation::room("ward"));
        let mut number = 0;
        for at in 1..=30 {
            number = send(&store, "ada", long.clone(), &at.to_string(), at * 10).await.key.conversation;
        }
        send(&store, "ada", short.clone(), "new", 1_000).await;
        let old = async |after| {
            write(&store, move |db| {
                Box::pin(retention::conversations_with_messages_before(db, Timestamp(250), after))
            })
            .await
        };
        let (found, next) = old(-1).await;
        assert_eq!(found, [number]);
        assert_eq!(old(next.unwrap()).await, (vec![], None));
        let delete = async || {
            let kind = Kind::Messages(number);
            write(&store, move |db| Box::pin(retention::delete_before(db, kind, Timestamp(250), 20))).await
        };
        assert_eq!([delete().await, delete().await, delete().await], [20, 4, 0]);
        assert_eq!(old(-1).await.0, Vec::<i64>::new());
        let left: Vec<i64> = history(&store, long.clone()).await.into_iter().map(|(_, _, id)| id).collect();
        assert_eq!(left, [25, 26, 27, 28, 29, 30]);
        assert_eq!(send(&store, "bob", long, "next", 2_000).await.key.id, 31);
        assert_eq!(history(&store, short).await.len(), 1);
        let entry = audit::AuditEntry::now(Party::server(), "x", Party::server());
        record(&store, vec![entry]).await;
        let kept =
            write(&store, |db| Box::pin(retention::delete_before(db, Kind::Audit, Timestamp(250), 20))).await;
        assert_eq!(kept, 0, "the audit has an age of its own");
    })
    .await;
}
