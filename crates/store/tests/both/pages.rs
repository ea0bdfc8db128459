//! Pages of long messages are bounded by bytes, and lead through everything all the same.

use hubline_store::chat::{
    self, After, Appended, Conversation, ConversationsPage, JoinLimits, MAXIMUM_PAGE_BYTES, Message,
    NewMessage,
};
use hubline_store::clinic::export::{self, MessagesPlace};
use hubline_store::{Store, StoreError, Timestamp};

use crate::each;

/// Five fit on a page.
const LONG: usize = MAXIMUM_PAGE_BYTES / 5;

async fn send(store: &Store, from: &str, to: &Conversation, bytes: usize, name: Option<&str>) -> Message {
    let new = NewMessage {
        conversation: to.clone(),
        from: from.to_owned(),
        // Two bytes each.
        text: "ä".repeat(bytes / 2),
        client_message_id: name.map(str::to_owned),
        at: Timestamp::now(),
    };
    match chat::append(store, new).await.unwrap() {
        Appended::New(message) => message,
        other => panic!("{other:?}"),
    }
}

async fn history(store: &Store, of: &Conversation, before: Option<i64>) -> Vec<i64> {
    let of = of.clone();
    let page = store.read(move |db| Box::pin(async move { chat::history(db, &of, before, 200).await }));
    page.await.unwrap().iter().map(|message| message.key.id).collect()
}

#[tokio::test]
async fn a_history_ends_a_page_where_its_texts_would_be_too_long() {
    each(async |store| {
        let pair = Conversation::between("ada", "bob");
        for _ in 1..=6 {
            send(&store, "ada", &pair, LONG, None).await;
        }
        // Longer than a page alone.
        send(&store, "bob", &pair, 2 * MAXIMUM_PAGE_BYTES, None).await;
        let mut pages = Vec::new();
        let mut before = None;
        loop {
            let page = history(&store, &pair, before).await;
            let Some(last) = page.last() else { break };
            before = Some(*last);
            pages.push(page);
        }
        assert_eq!(pages, [vec![7], vec![6, 5, 4, 3, 2], vec![1]]);
    })
    .await;
}

#[tokio::test]
async fn what_was_missed_is_read_on_where_a_page_was_too_long() {
    each(async |store| {
        let (bob, eve) = (Conversation::between("ada", "bob"), Conversation::between("ada", "eve"));
        let mut sent = Vec::new();
        for _ in 0..4 {
            sent.push(send(&store, "bob", &bob, LONG, None).await.key);
            sent.push(send(&store, "eve", &eve, LONG, None).await.key);
            sent.push(send(&store, "eve", &eve, 10, None).await.key);
        }
        let (mut after, mut seen, mut pages) = (After::Beginning, Vec::new(), 0);
        loop {
            let page = store
                .read(move |db| Box::pin(async move { chat::since(db, "ada", &after, 200, None).await }));
            let page = page.await.unwrap();
            let bytes: usize = page.messages.iter().map(|message| message.text.len()).sum();
            assert!((1..=MAXIMUM_PAGE_BYTES).contains(&bytes), "{bytes}");
            (seen, pages) = ([seen, page.messages].concat(), pages + 1);
            after = After::Cursor(page.next);
            if !page.has_more {
                break;
            }
        }
        assert_eq!(pages, 2);
        for conversation in [bob, eve] {
            let ids = seen.iter().filter(|message| message.conversation == conversation);
            let ids: Vec<i64> = ids.map(|message| message.key.id).collect();
            assert!(ids.is_sorted(), "{ids:?}");
        }
        let mut seen: Vec<_> = seen.into_iter().map(|message| message.key).collect();
        seen.sort_unstable();
        sent.sort_unstable();
        assert_eq!(seen, sent);
    })
    .await;
}

#[tokio::test]
async fn a_list_of_conversations_is_read_on_where_last_messages_were_too_long() {
    each(async |store| {
        for n in 0..7 {
            let other = format!("user{n}");
            send(&store, &other, &Conversation::between("ada", other.clone()), LONG, None).await;
        }
        let (mut before, mut pages) = (None, Vec::new());
        loop {
            let page = ConversationsPage { before };
            let page = store.read(move |db| {
                Box::pin(async move { chat::conversations(db, "ada", page, 50, None).await })
            });
            let page = page.await.unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.place);
            assert!(page.iter().all(|overview| overview.last_message.is_some() && overview.unread == 1));
            pages.push(page.len());
        }
        assert_eq!(pages, [5, 2]);
    })
    .await;
}

#[tokio::test]
async fn an_export_has_each_message_of_a_user_once() {
    each(async |store| {
        let (bob, ward) = (Conversation::between("ada", "bob"), Conversation::room("ward"));
        let limits = JoinLimits { rooms_per_user: 10, members_per_room: 10 };
        let join = store
            .write(move |db| Box::pin(async move { chat::join(db, "ada", "ward", limits).await.map(drop) }));
        join.await.unwrap();
        let mut of_ada = Vec::new();
        for n in 0..6 {
            of_ada.push(send(&store, "ada", &bob, LONG, Some(&format!("to bob {n}"))).await.key);
            of_ada.push(send(&store, "bob", &bob, 10, None).await.key);
            of_ada.push(send(&store, "ada", &ward, LONG, Some(&format!("to all {n}"))).await.key);
            of_ada.push(send(&store, "ada", &ward, LONG, None).await.key);
            send(&store, "eve", &ward, 10, None).await;
            send(&store, "eve", &Conversation::between("eve", "bob"), 10, None).await;
        }
        let (mut place, mut seen) = (Some(MessagesPlace::FIRST), Vec::new());
        while let Some(from) = place {
            let page = store.read(move |db| Box::pin(export::messages(db, "ada", from)));
            let (messages, next): (Vec<Message>, _) = page.await.map_err(|error: StoreError| error).unwrap();
            let bytes: usize = messages.iter().map(|message| message.text.len()).sum();
            assert!(bytes <= MAXIMUM_PAGE_BYTES, "{bytes}");
            seen.extend(messages.iter().map(|message| message.key));
            place = next;
        }
        seen.sort_unstable();
        of_ada.sort_unstable();
        assert_eq!(seen, of_ada);
    })
    .await;
}
