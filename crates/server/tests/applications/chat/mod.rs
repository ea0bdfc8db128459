//! The chat, as its clients see it.

mod consultations;
mod failures;
mod fleet;
mod killed;
mod messages;
mod pages;
mod program;
mod redis_away;
mod rooms;
mod silence;

use std::time::Duration;

use hubline::directory::InProcess;
use hubline::testing::{MemoryBackplane, TestClient, memory_backplanes};
use hubline::{HubHandle, Server};
use hubline_server::chat::{Chat, ChatConfig};
use hubline_server::consultations::{ConsultationRule, NamedByTokens};
use hubline_store::{Store, StoreError, StoreOptions, sqlx};
use serde_json::{Value, json};

/// One instance with the chat.
pub(super) struct Instance {
    pub(super) chat: Chat,
    pub(super) hub: HubHandle,
    _server: Server,
}

impl Instance {
    pub(super) fn start(server: Server, store: &Store, config: ChatConfig, rule: ConsultationRule) -> Self {
        let chat = Chat::new(store.clone(), config, rule);
        let hub = server.add_hub(chat.hub());
        chat.start(&server, &hub);
        Self { chat, hub, _server: server }
    }

    fn alone(store: &Store) -> Self {
        Self::alone_with(store, config(), ConsultationRule::NotRequired)
    }

    fn alone_with(store: &Store, config: ChatConfig, rule: ConsultationRule) -> Self {
        Self::start(Server::builder().directory(InProcess::default()).build(), store, config, rule)
    }

    fn alone_filtered(store: &Store, rule: ConsultationRule, filter: NamedByTokens) -> Self {
        let server = Server::builder().directory(InProcess::default()).build();
        let chat = Chat::new(store.clone(), config(), rule);
        let hub = server.add_hub(filter.serve(chat.hub()));
        chat.start(&server, &hub);
        Self { chat, hub, _server: server }
    }

    fn on(backplane: MemoryBackplane, store: &Store) -> Self {
        let server = Server::builder().backplane(backplane).directory(InProcess::default()).build();
        Self::start(server, store, config(), ConsultationRule::NotRequired)
    }

    fn two(store: &Store) -> [Self; 2] {
        memory_backplanes().map(|backplane| Self::on(backplane, store))
    }

    pub(super) async fn user(&self, name: &str) -> TestClient {
        TestClient::connect(&self.hub).user(name).await
    }

    async fn with_events(&self, name: &str) -> TestClient {
        TestClient::connect(&self.hub).user(name).query("events=true").await
    }
}

/// As the program has it, in less time.
pub(super) fn config() -> ChatConfig {
    ChatConfig {
        maximum_message_length: 4_000,
        publish_again_after: Duration::from_millis(500),
        ..ChatConfig::default()
    }
}

pub(super) async fn store() -> Store {
    Store::open(StoreOptions::in_memory()).await.unwrap()
}

async fn execute(store: &Store, sql: &'static str) {
    let done: Result<_, StoreError> =
        store.write(move |db| Box::pin(async move { Ok(sqlx::query(sql).execute(&mut *db).await?) })).await;
    done.unwrap();
}

async fn count(store: &Store, select: &'static str) -> i64 {
    let counted: Result<i64, StoreError> = store
        .read(move |db| Box::pin(async move { Ok(sqlx::query_scalar(select).fetch_one(&mut *db).await?) }))
        .await;
    counted.unwrap()
}

async fn missed(client: &TestClient, after: &Value) -> (Vec<String>, Value) {
    let page: Value = client.invoke("GetSince", (json!({ "after": after, "limit": 100 }),)).await;
    let texts = page["messages"].as_array().unwrap().iter();
    (texts.map(|message| message["text"].as_str().unwrap().to_owned()).collect(), page["next"].clone())
}
