//! No query of the product reads a table that grows from its beginning to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use hubline_store::calls::{self, CallFilter, CallOutcome, CallRecord};
use hubline_store::chat::{
    self, After, Conversation, ConversationsPage, Cursor, JoinLimits, Mark, NewMessage, outbox,
};
use hubline_store::clinic::audit::{self, AuditFilter};
use hubline_store::clinic::bans::{self, Ban};
use hubline_store::clinic::consultations::{self, Consultation, ConsultationFilter};
use hubline_store::clinic::erasures::{self, Stage};
use hubline_store::clinic::export::{self, MessagesPlace};
use hubline_store::clinic::retention::{self, Kind};
use hubline_store::clinic::{Party, leases};
use hubline_store::keys::{self, KeyKind};
use hubline_store::navigation::{self, ChangeQuery, ImportMode, MappingValues};
use hubline_store::{Connection, Store, StoreError, StoreOptions, Timestamp};
use hubline_testkit::PostgresServer;

use crate::notes::execute;

/// Tables to which rows are added as long as the product runs.
const GROWING: [&str; 9] = [
    "chat_messages",
    "chat_members",
    "chat_conversations",
    "chat_outbox",
    "clinic_audit",
    "clinic_consultations",
    "clinic_participants",
    "calls",
    "navigation_changes",
];
/// Rows of one table that a statement may read: what bounds it are pages and batches, and what there is of one user.
const MAY_READ: u64 = 2_500;
/// Every statement is logged with its plan and what it has read; plans are made as if the tables were a hundred times as long.
const EXPLAINING: [&str; 5] = [
    "session_preload_libraries=auto_explain",
    "auto_explain.log_min_duration=0",
    "auto_explain.log_analyze=on",
    "auto_explain.log_timing=off",
    "seq_page_cost=100",
];
/// 20,000 rows of each, so that an index pays; one in a hundred is ada's.
const ROWS: &str = "
    INSERT INTO chat_conversations (id, room, first_user, second_user, last_id, last_sent_at)
        SELECT i, CASE WHEN i % 10 = 0 THEN 'room' || i ELSE '' END,
            CASE WHEN i % 10 = 0 THEN '' WHEN i % 100 = 1 THEN 'ada' ELSE 'bob' || i END,
            CASE WHEN i % 10 = 0 THEN '' ELSE 'eve' || i END, 10, i
        FROM generate_series(1, 20000) i;
    INSERT INTO chat_members (user_id, conversation, first_id, delivered_id, read_id)
        SELECT CASE WHEN i % 100 <= 1 THEN 'ada' ELSE 'bob' || i END, i, 0, 0, 5 FROM generate_series(1, 20000) i;
    INSERT INTO chat_messages (conversation, id, sender, sent_at, client_message_id, text)
        SELECT i % 2000 + 1, i / 2000 + 1, CASE WHEN i % 100 <= 1 THEN 'ada' ELSE 'bob' || i % 50 END, i,
            CASE WHEN i % 2 = 0 THEN 'name' || i END, repeat('x', 100)
        FROM generate_series(0, 19999) i;
    INSERT INTO chat_outbox (sent_at, conversation, id, claim) SELECT i, i, 1, 0 FROM generate_series(1, 20000) i;
    INSERT INTO clinic_audit (id, at, actor, action, subject)
        SELECT lpad(to_hex(i), 16, '0') || repeat('0', 16), i, CASE WHEN i % 100 = 0 THEN 'user:ada' ELSE 'user:bob' || i % 50 END,
            CASE WHEN i = 7 THEN 'user.close' ELSE 'history.read' END, 'room:' || i % 100
        FROM generate_series(1, 20000) i;
    INSERT INTO clinic_consultations (id, room, opens, closes, created_by, created_at)
        SELECT 'c' || i, 'room' || i, i, CASE WHEN i % 500 = 0 THEN NULL ELSE i + 1000 END, 'admin:key', i
        FROM generate_series(1, 20000) i;
    INSERT INTO clinic_participants (user_id, consultation_id)
        SELECT CASE WHEN i % 100 = 0 THEN 'ada' ELSE 'bob' || i END, 'c' || i FROM generate_series(1, 20000) i;
    INSERT INTO calls (id, caller, recipient, started, outcome)
        SELECT lpad(to_hex(i), 32, '0'), CASE WHEN i % 100 = 0 THEN 'ada' ELSE 'bob' || i END,
            CASE WHEN i % 100 = 1 THEN 'ada' ELSE 'eve' || i END, i, 'completed'
        FROM generate_series(1, 20000) i;
    INSERT INTO navigation_changes
        SELECT i, i, i, 'admin:key', 'updated', 0, i % 100, 'gpt', '', '' FROM generate_series(1, 20000) i;
    UPDATE navigation_state SET version = 20000, last_change = 20000, last_mapping = 100;
    ANALYZE";

#[tokio::test]
async fn no_query_reads_a_table_that_grows_from_end_to_end() {
    let server = PostgresServer::start_with(&EXPLAINING).await.unwrap();
    let database = server.database().await.unwrap();
    let mut options: StoreOptions = database.connection_string().parse().unwrap();
    options.deadline = Duration::from_secs(30);
    let store = Store::open(options).await.unwrap();
    server.command_in(database.name(), ROWS).await.unwrap();
    let marker = "SELECT 'what follows is the product'";
    store.read(move |db| execute(db, marker)).await.unwrap();
    store.write(|db| Box::pin(read_the_chat(db))).await.unwrap();
    write_to_the_chat(&store).await;
    store.write(|db| Box::pin(answer_for_the_clinic(db))).await.unwrap();
    store.write(|db| Box::pin(maintain(db))).await.unwrap();
    store.write(|db| Box::pin(navigate(db))).await.unwrap();
    let logged = server.log();
    let plans = plans(logged.split_once(marker).unwrap().1);
    let reads_much: Vec<&String> =
        plans.values().filter(|plan| GROWING.iter().any(|table| rows_read(plan, table) > MAY_READ)).collect();
    assert!(reads_much.is_empty(), "on PostgreSQL {}", reads_much.into_iter().cloned().collect::<String>());
    let of_growing: Vec<&String> =
        plans.keys().filter(|sql| GROWING.iter().any(|table| sql.contains(table))).collect();
    assert!(of_growing.len() > 60, "{of_growing:#?}");
    look_at_plans_of_sqlite(of_growing).await;
}

/// The plan of each statement in a log of PostgreSQL, by its text on one line.
fn plans(log: &str) -> BTreeMap<String, String> {
    let mut plans = BTreeMap::new();
    for entry in log.split("LOG:  duration: ").skip(1) {
        let Some((_, entry)) = entry.split_once("Query Text: ") else { continue };
        // What follows is the begin of the next line that is logged.
        let lines: Vec<&str> = entry
            .lines()
            .enumerate()
            .filter(|(at, line)| *at == 0 || line.starts_with('\t'))
            .map(|(_, line)| line)
            .collect();
        let first = lines.iter().position(|line| line.contains("(cost=")).unwrap_or(lines.len());
        let sql = lines[..first].iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        let plan = lines[first..].join("\n");
        // The same statement may be planned several times.
        plans.entry(sql.clone()).or_insert_with(|| format!("\n{sql}")).push_str(&format!("\n{plan}\n"));
    }
    plans
}

/// Rows of a table that a plan has read, those that did not fit too; of several times that it ran the sum.
fn rows_read(plan: &str, table: &str) -> u64 {
    let number = |line: &str, before: &str| -> Option<u64> {
        line.split_once(before)?.1.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let (mut read, mut loops) = (0, 0);
    for line in plan.lines() {
        if line.contains("(cost=") {
            let is_of_table = line.contains(&format!(" on {table} ")) && line.contains(" Scan ");
            loops = if is_of_table { number(line, " loops=").unwrap_or(0) } else { 0 };
            read += loops * number(line, "(actual rows=").unwrap_or(0);
        } else if line.contains("Rows Removed by Filter:") {
            read += loops * number(line, "Filter: ").unwrap_or(0);
        }
    }
    read
}

/// SQLite has no figures of its tables, so its plans are those of any file.
async fn look_at_plans_of_sqlite(statements: Vec<&String>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    drop(Store::open(StoreOptions::file(&path)).await.unwrap());
    let file = rusqlite::Connection::open(&path).unwrap();
    for sql in statements {
        let sql = sql.replace(" FOR SHARE OF c", "");
        let mut plan = file.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = plan.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>();
        let steps = steps.unwrap();
        // `SCAN t USING INDEX` in the order of an index, which ends at the limit, is none from end to end.
        let is_whole = |step: &&String| {
            GROWING.iter().any(|table| {
                step.strip_prefix("SCAN ")
                    .is_some_and(|name| name == *table || aliases(&sql, table).contains(&name))
            })
        };
        // Nor is a table without rowid that is read in its own order up to a limit.
        let ends_at_limit = sql.contains(" LIMIT ")
            && !sql.contains(" WHERE ")
            && !steps.iter().any(|step| step.starts_with("USE TEMP B-TREE"));
        let whole: Vec<&String> = steps.iter().filter(is_whole).collect();
        assert!(whole.is_empty() || ends_at_limit, "{sql}\n{steps:#?}");
    }
}

/// What a statement calls a table.
fn aliases<'s>(sql: &'s str, table: &str) -> Vec<&'s str> {
    sql.split(table).skip(1).filter_map(|rest| rest.split_whitespace().next()).collect()
}

async fn read_the_chat(db: &mut Connection) -> Result<(), StoreError> {
    let (room, pair) = (Conversation::room("room100"), Conversation::between("ada", "eve1"));
    for conversation in [&room, &pair] {
        for before in [None, Some(5)] {
            assert!(!chat::history(db, conversation, before, 100).await?.is_empty());
        }
        chat::is_member(db, "ada", conversation).await?;
    }
    for open_at in [None, Some(Timestamp(10_000))] {
        for before in [None, Some((9_000, 9_000))] {
            let page = ConversationsPage { before };
            let found = chat::conversations(db, "ada", page, 50, open_at).await?;
            assert!(open_at.is_some() || found.len() == 50);
        }
        for after in [After::Beginning, After::Now, After::Cursor(Cursor::default())] {
            chat::since(db, "ada", &after, 200, open_at).await.unwrap();
        }
    }
    for mark in [Mark::Read, Mark::Delivered] {
        chat::mark(db, "ada".to_owned(), pair.clone(), mark, Some(7)).await?;
    }
    let rows = outbox::oldest(db, 100).await?;
    outbox::claim(db, &rows[0]).await?;
    outbox::remove(db, &rows.iter().map(|row| (row.sent_at, row.key)).collect::<Vec<_>>()).await
}

async fn write_to_the_chat(store: &Store) {
    for conversation in [Conversation::room("room100"), Conversation::between("ada", "somebody new")] {
        for name in [None, Some("name0"), Some("new")] {
            let client_message_id = name.map(str::to_owned);
            let (from, text) = ("ada".to_owned(), "How are you?".to_owned());
            let at = Timestamp::now();
            let conversation = conversation.clone();
            let message = NewMessage { conversation, from, text, client_message_id, at };
            chat::append(store, message).await.unwrap();
        }
    }
    let limits = JoinLimits { rooms_per_user: 1_000, members_per_room: 1_000 };
    let come_and_go = store.write(move |db| {
        Box::pin(async move {
            for room in ["room110", "a new room"] {
                chat::join(db, "ada", room, limits).await.unwrap();
                chat::leave(db, "ada", room).await?;
            }
            Ok::<_, StoreError>(())
        })
    });
    come_and_go.await.unwrap();
}

async fn answer_for_the_clinic(db: &mut Connection) -> Result<(), StoreError> {
    let text = |text: &str| Some(text.to_owned());
    let (from, to) = (Some(Timestamp(100)), Some(Timestamp(19_000)));
    for filter in [
        AuditFilter::default(),
        AuditFilter { actor: text("user:ada"), ..AuditFilter::default() },
        AuditFilter { subject: text("room:7"), from, ..AuditFilter::default() },
        AuditFilter { party: Some(Party::user("ada")), to, ..AuditFilter::default() },
        AuditFilter { action: text("user.close"), ..AuditFilter::default() },
        AuditFilter { before: text("0000000000002000"), from, to, ..AuditFilter::default() },
    ] {
        assert!(!audit::list(db, &filter, 50).await?.is_empty(), "{filter:?}");
    }
    let call = CallRecord {
        id: "0".repeat(32),
        caller: "ada".to_owned(),
        recipient: "bob".to_owned(),
        started: Timestamp(5),
        accepted: None,
        ended: None,
        outcome: CallOutcome::Begun,
        reason: None,
    };
    calls::record(db, &call).await?;
    for with in [None, text("eve100")] {
        for before in [None, Some(format!("{:032x}", 15_000))] {
            assert!(
                !calls::of_user(db, "ada", &CallFilter { with: with.clone(), before }, 50).await?.is_empty()
            );
        }
    }
    let participants = vec!["ada".to_owned(), "bob1".to_owned()];
    let new = Consultation::now("new", "new", participants, Timestamp(0), None, &Party::admin("key"));
    consultations::create(db, &new).await?;
    consultations::admit(db, &new).await?;
    consultations::get(db, "new").await?;
    consultations::close(db, "new", Timestamp(20_000)).await?;
    consultations::is_open_between(db, "ada", "bob1", Timestamp(10_000)).await?;
    consultations::is_open_in_room(db, "ada", "room100", Timestamp(10_000)).await?;
    for filter in [
        ConsultationFilter::default(),
        ConsultationFilter { participant: text("ada"), ..ConsultationFilter::default() },
        ConsultationFilter { room: text("room100"), ..ConsultationFilter::default() },
        ConsultationFilter { open_at: Some(Timestamp(20_900)), ..ConsultationFilter::default() },
        ConsultationFilter {
            before: Some((Timestamp(9_000), "c9".to_owned())),
            ..ConsultationFilter::default()
        },
    ] {
        assert!(!consultations::list(db, &filter, 50).await?.is_empty(), "{filter:?}");
    }
    Ok(())
}

async fn maintain(db: &mut Connection) -> Result<(), StoreError> {
    let mut place = Some(MessagesPlace::FIRST);
    let mut exported = 0;
    while let Some(from) = place {
        let (page, next) = export::messages(db, "ada", from).await?;
        (exported, place) = (exported + page.len(), next);
    }
    assert!(exported > 100, "{exported}");
    let erasure = erasures::begin(db, "ada", &Party::admin("key")).await?;
    let mut stage = Stage::FIRST;
    while stage != Stage::Done {
        (stage, _) = erasures::step(db, &erasure, stage).await?;
    }
    erasures::pending(db, 10).await?;
    erasures::complete(db, &erasure).await?;
    let time = Timestamp(2_000);
    for kind in [Kind::Audit, Kind::Calls, Kind::Consultations, Kind::Messages(1)] {
        assert!(retention::delete_before(db, kind, time, 500).await? > 0, "{kind:?}");
    }
    retention::conversations_with_messages_before(db, time, i64::MIN).await?;
    leases::take(db, "maintenance", "me", Timestamp::now(), Duration::from_secs(60)).await?;
    leases::give_back(db, "maintenance", "me").await?;
    bans::put(db, &Ban::now("bob", Timestamp(50_000), "", &Party::admin("key"))).await?;
    bans::list(db, Timestamp(0), None, 100).await?;
    bans::delete_ended(db, Timestamp(0), 100).await?;
    for kind in [KeyKind::Admin, KeyKind::Virtual] {
        keys::exists(db, kind).await?;
        keys::list(db, kind, None, 100).await?;
    }
    Ok(())
}

async fn navigate(db: &mut Connection) -> Result<(), StoreError> {
    for mapping_id in [None, Some(7)] {
        for before in [None, Some(10_000)] {
            let query = ChangeQuery { mapping_id, before, limit: 50 };
            assert_eq!(navigation::changes(db, &query).await.unwrap().len(), 50);
        }
    }
    assert_eq!(navigation::changes_between(db, 19_000, 20_000, 500).await.unwrap().len(), 500);
    let values: MappingValues = serde_json::from_str(
        r#"{"virtualModelName":"gpt","providerModelName":"gpt","providerName":"p","enabled":true,"priority":1}"#,
    )
    .unwrap();
    navigation::import(db, vec![values], ImportMode::Replace, "admin:key").await.unwrap();
    navigation::state(db).await.unwrap();
    Ok(())
}
