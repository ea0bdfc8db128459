//! Who may write to whom, and who may enter which room.

use std::collections::HashMap;
use std::time::Duration;

use hubline::HubError;
use hubline_store::chat::{Conversation, has_open_consultation};
use hubline_store::clinic::consultations::Hold;
use hubline_store::{Connection, Store, StoreError, Timestamp};
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
        self.requires_consultation().then(Timestamp::now)
    }

    /// Whether an open consultation is required.
    pub(super) fn requires_consultation(&self) -> bool {
        self.rule == ConsultationRule::Required
    }

    /// Whether a user may tell another what is not stored, and is worth nothing 5 s later: so old the answer may be.
    pub(super) async fn was_open(
        &self,
        store: &Store,
        user: &str,
        conversation: &Conversation,
    ) -> Result<bool, StoreError> {
        if !self.requires_consultation() || self.remembers(user, conversation) {
            return Ok(true);
        }
        let (own, asked) = (user.to_owned(), conversation.clone());
        let is_open = store
            .read(move |db| Box::pin(async move { has_open_consultation(db, &own, &asked, Hold::No).await }))
            .await?;
        if is_open {
            self.remember(user, conversation);
        }
        Ok(is_open)
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

/// Whether a user may take part in a conversation until the transaction ends, in which the answer is used.
pub(super) async fn is_open(
    db: &mut Connection,
    requires_consultation: bool,
    user: &str,
    conversation: &Conversation,
) -> Result<bool, StoreError> {
    Ok(!requires_consultation || has_open_consultation(db, user, conversation, Hold::UntilEnd).await?)
}
