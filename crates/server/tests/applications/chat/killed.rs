//! A program is killed while its users chat.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hubline::directory::conformance::until;
use hubline_load_tester::{Conversation, Event, History, Stored, Way, judge};
use hubline_server::chat::ChatConfig;
use hubline_server::consultations::ConsultationRule;
use hubline_store::{Store, StoreError, sqlx};
use hubline_testkit::{RedisServer, ServerProcess};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::program::{PATIENCE, Wire, launch, token};
use super::{Instance, config, count};

const USERS: usize = 8;
/// Messages of each user, in turn to the next one and to the room.
const MESSAGES: usize = 30;
/// Stored when the program is killed.
const BEFORE: i64 = 60;
const ROOM: &str = "ward";
/// Before the next attempt to connect, and before what was refused is sent again.
const RETRY: Duration = Duration::from_millis(50);
const MEMBERS: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_members m
    JOIN chat_conversations c ON c.id = m.conversation WHERE c.room = 'lobby'";

struct User {
    name: String,
    partner: String,
    ports: [u16; 2],
    attempt: usize,
    /// Everybody is in the room; everything is confirmed.
    steps: Arc<[Barrier; 2]>,
    step: usize,
    confirmed: usize,
    cursor: Value,
    events: Vec<Event>,
}

impl User {
    /// Sends all its messages, comes back when it is thrown out, and asks for what it has missed.
    async fn run(mut self) -> Vec<Event> {
        while self.session().await.is_err() {
            self.attempt += 1;
            sleep(RETRY).await;
        }
        self.events
    }

    async fn session(&mut self) -> Result<()> {
        let token = token(&self.name, &Value::Null);
        let port = self.ports[self.attempt % 2];
        let mut wire = Wire::connect(port, &format!("events=true&access_token={token}")).await?;
        self.insist(&mut wire, "JoinRoom", &json!([ROOM])).await?;
        if self.step == 0 {
            self.events.push(Event::Joined { user: self.name.clone(), room: ROOM.to_owned() });
            self.wait(0).await;
        }
        self.catch_up(&mut wire).await?;
        while self.confirmed < MESSAGES {
            let answer = self.send(&mut wire).await?;
            let (user, key) = (self.name.clone(), self.key());
            self.events.push(Event::Confirmed { user, key, id: answer["id"].to_string() });
            self.confirmed += 1;
        }
        if self.step == 1 {
            self.wait(1).await;
        }
        self.catch_up(&mut wire).await
    }

    async fn wait(&mut self, step: usize) {
        self.steps[step].wait().await;
        self.step = step + 1;
    }

    fn key(&self) -> String {
        format!("{}-{}", self.name, self.confirmed)
    }

    async fn send(&mut self, wire: &mut Wire) -> Result<Value> {
        let key = self.key();
        let (conversation, mut request) = match self.confirmed % 2 {
            0 => (pair(&self.name, &self.partner), json!({ "to": self.partner })),
            _ => (Conversation::Room(ROOM.to_owned()), json!({ "room": ROOM })),
        };
        request["text"] = json!(key);
        request["clientMessageId"] = json!(key);
        self.events.push(Event::Sends { user: self.name.clone(), conversation, key });
        self.insist(wire, "Send", &json!([request])).await
    }

    async fn catch_up(&mut self, wire: &mut Wire) -> Result<()> {
        loop {
            let request = json!([{ "after": self.cursor, "limit": 200 }]);
            let mut page = self.insist(wire, "GetSince", &request).await?;
            for message in page["messages"].as_array().context("messages")? {
                self.saw(message, Way::Since);
            }
            self.cursor = page["next"].take();
            if page["hasMore"] != true {
                return Ok(());
            }
        }
    }

    /// Calls a method until it is not refused.
    async fn insist(&mut self, wire: &mut Wire, method: &str, arguments: &Value) -> Result<Value> {
        loop {
            let answer = wire.call(method, arguments.clone()).await;
            for (event, arguments) in std::mem::take(&mut wire.events) {
                if event == "MessageReceived" {
                    self.saw(&arguments[0], Way::Event);
                }
            }
            match answer? {
                Ok(answer) => return Ok(answer),
                Err(_) => sleep(RETRY).await,
            }
        }
    }

    fn saw(&mut self, message: &Value, way: Way) {
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        if text("from") == self.name {
            return;
        }
        let conversation = match message["room"].as_str() {
            Some(room) => Conversation::Room(room.to_owned()),
            None => pair(&text("from"), &text("to")),
        };
        let (user, id) = (self.name.clone(), message["id"].to_string());
        self.events.push(Event::Saw { user, conversation, id, sender: text("from"), key: text("text"), way });
    }
}

fn pair(one: &str, other: &str) -> Conversation {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    Conversation::Pair(first.to_owned(), second.to_owned())
}

async fn stored(store: &Store) -> Vec<Stored> {
    type Row = (String, String, String, i64, String, String);
    let select = "SELECT c.room, c.first_user, c.second_user, m.id, m.sender, m.client_message_id
                  FROM chat_messages m JOIN chat_conversations c ON c.id = m.conversation";
    let rows: Result<Vec<Row>, StoreError> = store
        .read(move |db| Box::pin(async move { Ok(sqlx::query_as(select).fetch_all(&mut *db).await?) }))
        .await;
    let stored = |(room, one, other, id, sender, key): Row| {
        let conversation = if room.is_empty() { pair(&one, &other) } else { Conversation::Room(room) };
        Stored { conversation, id: id.to_string(), sender, key }
    };
    rows.unwrap().into_iter().map(stored).collect()
}

#[tokio::test]
async fn nothing_confirmed_is_lost_or_doubled_and_nobody_stays_in_a_room() {
    let redis = RedisServer::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = format!("Data Source={}", directory.path().join("chat.db").display());
    let (database, redis_at) = (format!("--ConnectionStrings:Database={file}"), redis.connection_string());
    let args = [&*database, "--redis", &*redis_at, "--Authentication:AllowAnonymous=true"];
    let launches = [launch(&args), launch(&args)];
    let ports = [launches[0].port(), launches[1].port()];
    let [living, dying] = launches.map(ServerProcess::start);
    let (_living, mut dying) = tokio::try_join!(living, dying).unwrap();
    let store = Store::open(file.parse().unwrap()).await.unwrap();
    let mut guest = Wire::connect(ports[1], "").await.unwrap();
    guest.call("JoinRoom", json!(["lobby"])).await.unwrap().unwrap();
    assert_eq!(count(&store, MEMBERS).await, 1);

    let steps = Arc::new([Barrier::new(USERS), Barrier::new(USERS)]);
    let mut users = JoinSet::new();
    for number in 0..USERS {
        let name = |number: usize| format!("user-{}", number % USERS);
        let (name, partner) = (name(number), name(number + 1));
        let steps = Arc::clone(&steps);
        let user = User {
            name,
            partner,
            ports,
            attempt: number,
            steps,
            step: 0,
            confirmed: 0,
            cursor: Value::Null,
            events: Vec::new(),
        };
        users.spawn(user.run());
    }
    let messages = "SELECT CAST(COUNT(*) AS BIGINT) FROM chat_messages";
    until(true, async || count(&store, messages).await >= BEFORE).await;
    dying.kill().await.unwrap();
    let all = timeout(PATIENCE, users.join_all()).await.unwrap();
    let history = History { events: all.into_iter().flatten().collect() };
    let verdict = judge(&history, &stored(&store).await);
    println!("{verdict}");
    assert!(verdict.is_good(), "{verdict}");
    assert_eq!((verdict.confirmed, verdict.stored), (USERS * MESSAGES, USERS * MESSAGES), "{verdict}");

    // The anonymous member goes with its instance, which anybody with the database notices.
    let config = ChatConfig { guests_lost_after: Duration::from_millis(400), ..config() };
    let _other = Instance::alone_with(&store, config, ConsultationRule::NotRequired);
    until(0, async || count(&store, MEMBERS).await).await;
}
