//! Who may write to whom, and who may enter which room.

use std::collections::HashMap;
use std::time::Duration;

use hubline::HubError;
use hubline_store::chat::Conversation;
use hubline_store::clinic::consultations;
use hubline_store::{Store, StoreError, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::consultations::ConsultationRule;

/// How long it is remembered that two may write to each other, for what is not stored.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Pairs that are remembered at most.
const MOST_REMEMBERED: usize = 10_000;

/// What everybody is told who may not: nothing of others.
const REFUSAL: &str = "there is no open consultation for this";

/// Decides by consultations, if they are required.
#[derive(Debug)]
pub(super) struct Access {
    rule: ConsultationRule,
    remembered: Mutex<HashMap<(String, Conversation), Instant>>,
}

impl Access {
    pub(super) fn new(rule: ConsultationRule) -> Self {
        Self { rule, remembered: Mutex::default() }
    }

    /// When a consultation has to be open for a conversation to be read; `None` if none is required.
    pub(super) fn only_open_at(&self) -> Option<Timestamp> {
        (self.rule == ConsultationRule::Required).then(Timestamp::now)
    }

    /// Whether the user may take part in a conversation now.
    pub(super) async fn is_open(
        &self,
        store: &Store,
        user: &str,
        conversation: &Conversation,
    ) -> Result<bool, StoreError> {
        if self.rule == ConsultationRule::NotRequired {
            return Ok(true);
        }
        let (own, asked) = (user.to_owned(), conversation.clone());
        let is_open = store
            .read(move |db| {
                Box::pin(async move {
                    match asked.room_name() {
                        Some(room) => consultations::is_open_in_room(db, &own, room, Timestamp::now()).await,
                        None => {
                            let partner = asked.partner_of(&own).unwrap_or_default();
                            consultations::is_open_between(db, &own, partner, Timestamp::now()).await
                        }
                    }
                })
            })
            .await?;
        if is_open {
            self.remember(user, conversation);
        }
        Ok(is_open)
    }

    /// As [`Self::is_open`], for what is not stored and lost nothing by an answer that is 5 s old.
    pub(super) async fn was_open(
        &self,
        store: &Store,
        user: &str,
        conversation: &Conversation,
    ) -> Result<bool, StoreError> {
        if self.rule == ConsultationRule::NotRequired || self.remembers(user, conversation) {
            return Ok(true);
        }
        self.is_open(store, user, conversation).await
    }

    /// The error of who may not.
    pub(super) fn refusal() -> HubError {
        HubError::new(REFUSAL)
    }

    fn remember(&self, user: &str, conversation: &Conversation) {
        let mut remembered = self.remembered.lock();
        if remembered.len() >= MOST_REMEMBERED {
            let now = Instant::now();
            remembered.retain(|_, until| *until > now);
            if remembered.len() >= MOST_REMEMBERED {
                return;
            }
        }
        remembered.insert((user.to_owned(), conversation.clone()), Instant::now() + REMEMBERED);
    }

    fn remembers(&self, user: &str, conversation: &Conversation) -> bool {
        let key = (user.to_owned(), conversation.clone());
        self.remembered.lock().get(&key).is_some_and(|until| *until > Instant::now())
    }
}
