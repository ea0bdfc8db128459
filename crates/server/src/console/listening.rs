//! What comes over Redis from other consoles, and connections that do not sign in.

use std::time::Duration;

use hubline::HubContext;
use hubline_redis::{RawChannels, RawInbox, RawMessage};
use hubline_supervision::Vital;
use tokio::time::sleep;

use super::fleet::{Fleet, LARGEST_ANSWER, LARGEST_QUESTION, Published};
use super::local::Question;
use super::session::is_signed_in;

/// Questions and answers that wait for this instance, and their bytes.
const LIMIT_MESSAGES: usize = 1_024;
const LIMIT_BYTES: u32 = 16 * 1024 * 1024;
/// How long a connection may take to sign in, and how often that is looked at.
const SIGN_IN: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_secs(5);

/// Answers what others ask, and takes what they answer.
pub(super) struct Listening {
    pub(super) fleet: Fleet,
    pub(super) channels: RawChannels,
}

impl Vital for Listening {
    const NAME: &'static str = "questions of consoles";

    async fn run(&mut self) {
        let (questions, mut asked) = RawInbox::new(LIMIT_MESSAGES, LIMIT_BYTES);
        let (answers, mut answered) = RawInbox::new(LIMIT_MESSAGES, LIMIT_BYTES);
        let _answers = self.channels.subscribe(&self.fleet.own_channel(), &answers).await;
        let _questions = self.channels.subscribe(Fleet::channel(), &questions).await;
        let answering = async {
            while let Some(message) = asked.next().await {
                match self.read(&message, LARGEST_QUESTION) {
                    Some(Published::Asked { from, number, question }) => {
                        self.fleet.heard(&from);
                        self.fleet.reply(&from, number, &question).await;
                    }
                    Some(Published::Ended { id }) => self.fleet.ended(&id),
                    Some(Published::Answered { .. }) | None => {}
                }
            }
        };
        let taking = async {
            while let Some(message) = answered.next().await {
                if let Some(Published::Answered { from, number, answer }) =
                    self.read(&message, LARGEST_ANSWER)
                {
                    self.fleet.answered(from, number, answer, message.payload.len());
                }
            }
        };
        let greeting = async {
            // So that all know of all before somebody watches.
            _ = self.fleet.ask::<bool>(&Question::Hello).await;
        };
        tokio::join!(answering, taking, greeting);
    }
}

impl Listening {
    /// What another instance has published; `None` if this version does not understand it, or it is this one's own.
    fn read(&self, message: &RawMessage, most: usize) -> Option<Published> {
        let read = match message.payload.len() > most {
            true => Err("it is too large".to_owned()),
            false => serde_json::from_slice(&message.payload).map_err(|error| error.to_string()),
        };
        let own = self.fleet.local().about().id;
        match read {
            Ok(Published::Asked { from, .. } | Published::Answered { from, .. }) if from.id == own => None,
            Ok(Published::Asked { from, .. } | Published::Answered { from, .. }) if !from.is_bounded() => {
                self.misunderstand(message, "an instance says too much of itself");
                None
            }
            Ok(published) => Some(published),
            Err(error) => {
                self.misunderstand(message, &error);
                None
            }
        }
    }

    /// Counts a message that makes no sense; the first is told to the operator.
    fn misunderstand(&self, message: &RawMessage, error: &str) {
        let channel = &*message.channel;
        if self.fleet.misunderstands() {
            tracing::warn!(
                channel,
                error,
                "What was published for consoles is not understood: while instances have different versions that passes; else somebody                  publishes there who should not, whom a user and a password of Redis keep out. Further ones are counted in                  hubline_console_messages_not_understood_total"
            );
        } else {
            tracing::debug!(channel, error, "what was published for consoles is not understood");
        }
    }
}

/// Closes connections that do not sign in.
pub(super) struct Doorkeeping {
    pub(super) hub: HubContext,
}

impl Vital for Doorkeeping {
    const NAME: &'static str = "sign-ins at consoles";

    async fn run(&mut self) {
        loop {
            sleep(LOOK).await;
            for connection in self.hub.connections_here() {
                let waits = connection.since().elapsed().unwrap_or_default() > SIGN_IN;
                if waits && !is_signed_in(connection.caller()) {
                    connection.caller().abort();
                }
            }
        }
    }
}
