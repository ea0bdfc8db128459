//! Questions to all instances, over Redis, and who the instances are.
//!
//! A question is published on one channel, which every instance listens on; its answers come on a channel of who asks. Redis says how many
//! have heard a question, so that nobody waits for those that are not there. Instances learn of each other by questions and answers, and
//! ask nothing by themselves but once, when they start.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use hubline_redis::RawChannels;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::local::{Local, Question};
use super::ring::milliseconds;

/// Behind the channel prefix.
const CHANNEL: &str = "hubline:console";
/// How long an instance may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long is waited for more once all that are known have answered.
const LATECOMERS: Duration = Duration::from_millis(200);
/// How long an instance that does not answer counts as there, and as silent. One that Redis does not deliver to is gone sooner.
const QUIET: Duration = Duration::from_secs(5);
const SILENT: Duration = Duration::from_secs(15);
/// How long those that have gone are shown.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
/// Instances that are known at most, and answers that may wait.
const MOST_INSTANCES: usize = 256;
/// Bytes of a question, and of an answer, that are read.
pub(super) const LARGEST_QUESTION: usize = 64 * 1024;
pub(super) const LARGEST_ANSWER: usize = 1024 * 1024;
/// Bytes of figures, the last of which are kept of each instance.
const LARGEST_FIGURES: usize = 128 * 1024;
/// Bytes of what an instance says of itself.
const LONGEST_ABOUT: usize = 512;

/// An instance as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct About {
    /// Made up at its start.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: String,
    /// In milliseconds since 1970.
    pub(super) started_at: u64,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    Up,
    Draining,
    Drained,
    /// It does not answer.
    Silent,
    /// It has said so, or does not answer for long.
    Gone,
}

/// An instance, to be named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) name: String,
}

/// What is published.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Published {
    /// From an instance, with a number for the answers; to all, or to one.
    Asked {
        from: About,
        number: u64,
        question: Question,
    },
    Answered {
        from: About,
        number: u64,
        answer: Value,
    },
    /// An instance ends.
    Ended {
        id: String,
    },
}

/// All instances, this one among them. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Fleet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    local: Local,
    channels: Option<RawChannels>,
    number: AtomicU64,
    /// Who waits for answers, and how large these may be.
    asked: Mutex<HashMap<u64, (mpsc::Sender<Reply>, usize)>>,
    not_understood: AtomicU64,
    others: Mutex<HashMap<String, Other>>,
}

#[derive(Debug)]
struct Reply {
    from: About,
    answer: Value,
}

/// Another instance.
#[derive(Debug, Clone)]
struct Other {
    about: About,
    heard: Instant,
    heard_at: SystemTime,
    /// Since when it has not answered, and why that may be.
    missed: Option<(Instant, Missed)>,
    has_ended: bool,
}

/// Why an instance may not have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missed {
    /// Redis delivered the question to all that listen, and it is none of these.
    Absent,
    NoAnswer,
    /// The question has not come to Redis, so nothing is known.
    Unasked,
}

/// Another instance, as it is shown.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) about: About,
    /// In milliseconds since 1970.
    pub(super) heard_at: u64,
}

/// What has become of a question.
#[derive(Debug)]
pub(super) struct Asked<T> {
    /// This instance's first.
    pub(super) answers: Vec<Answer<T>>,
    /// Those that are there and did not answer, or not so that it was understood.
    pub(super) silent: Vec<Instance>,
}

#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) from: About,
    /// Of another instance: from the question to its answer.
    pub(super) took: Option<Duration>,
    pub(super) answer: T,
}

impl About {
    pub(super) fn instance(&self) -> Instance {
        Instance { id: self.id.clone(), name: self.name.clone() }
    }

    /// Whether it is no longer than an instance says it.
    pub(super) fn is_bounded(&self) -> bool {
        [&self.id, &self.name, &self.version].into_iter().all(|text| text.len() <= LONGEST_ABOUT)
    }
}

impl Fleet {
    /// Without `channels` this instance is all there is.
    pub(super) fn new(local: Local, channels: Option<RawChannels>) -> Self {
        Self(Arc::new(Shared {
            local,
            channels,
            number: AtomicU64::new(0),
            asked: Mutex::default(),
            not_understood: AtomicU64::new(0),
            others: Mutex::default(),
        }))
    }

    pub(super) fn is_alone(&self) -> bool {
        self.0.channels.is_none()
    }

    pub(super) fn local(&self) -> &Local {
        &self.0.local
    }

    pub(super) fn channel() -> &'static str {
        CHANNEL
    }

    /// Where this instance's answers come.
    pub(super) fn own_channel(&self) -> String {
        format!("{CHANNEL}:{}", self.0.local.about().id)
    }

    /// The others, by their names.
    pub(super) fn others(&self) -> Vec<Seen> {
        let mut others = self.0.others.lock();
        others.retain(|_, other| other.heard.elapsed() < REMEMBERED);
        let mut seen: Vec<_> = others.values().map(Other::seen).collect();
        seen.sort_by(|a, b| (&a.about.name, &a.about.id).cmp(&(&b.about.name, &b.about.id)));
        seen
    }

    /// Asks every instance, this one too.
    ///
    /// # Cancel safety
    /// Dropped early, others may have done what they were asked to.
    pub(super) async fn ask<T: DeserializeOwned>(&self, question: &Question) -> Asked<T> {
        let (own, others) = tokio::join!(self.0.local.answer(question), self.ask_others(question));
        let (replies, missing) = others;
        let mut asked = Asked { answers: Vec::new(), silent: missing };
        let own = Reply { from: self.0.local.about(), answer: own };
        for (reply, took) in std::iter::once((own, None)).chain(replies) {
            let Reply { from, answer } = reply;
            match T::deserialize(answer) {
                Ok(answer) => asked.answers.push(Answer { from, took, answer }),
                Err(_) => asked.silent.push(from.instance()),
            }
        }
        asked.silent.sort();
        asked
    }

    async fn ask_others(&self, question: &Question) -> (Vec<(Reply, Option<Duration>)>, Vec<Instance>) {
        let Some(channels) = &self.0.channels else { return Default::default() };
        let number = self.0.number.fetch_add(1, Ordering::Relaxed);
        let (sender, mut replies) = mpsc::channel(MOST_INSTANCES);
        let largest =
            if matches!(question, Question::Figures { .. }) { LARGEST_FIGURES } else { LARGEST_ANSWER };
        self.0.asked.lock().insert(number, (sender, largest));
        let _forgotten = Forgotten { fleet: self, number };
        let (begun, asked) = (Instant::now(), self.known());
        let published = Published::Asked { from: self.0.local.about(), number, question: question.clone() };
        let mut until = begun + PATIENCE;
        let heard = match serde_json::to_vec(&published) {
            Ok(text) => timeout_at(until, channels.publish(CHANNEL, text)).await.ok().and_then(Result::ok),
            Err(_) => None,
        };
        // This instance hears itself. How many the others are is not known while Redis is away; then none will answer.
        let expected = heard.map_or(0, |heard| usize::try_from(heard.saturating_sub(1)).unwrap_or(0));
        let mut answered: Vec<(Reply, Option<Duration>)> = Vec::new();
        while answered.len() < expected
            && let Ok(Some(reply)) = timeout_at(until, replies.recv()).await
        {
            self.heard(&reply.from);
            if answered.iter().any(|(known, _)| known.from.id == reply.from.id) {
                continue;
            }
            answered.push((reply, Some(begun.elapsed())));
            let has_answered = |id: &String| answered.iter().any(|(reply, _)| reply.from.id == *id);
            if asked.iter().all(has_answered) {
                // Who else has heard it need not be an instance: people listen too (PSUBSCRIBE).
                until = until.min(Instant::now() + LATECOMERS);
            }
        }
        let why = match heard {
            None => Missed::Unasked,
            Some(_) if answered.len() >= expected => Missed::Absent,
            Some(_) => Missed::NoAnswer,
        };
        let missing = asked.into_iter().filter(|id| !answered.iter().any(|(reply, _)| reply.from.id == *id));
        let missing = missing.filter_map(|id| self.missed(&id, why)).collect();
        (answered, missing)
    }

    /// Ids of those that may answer.
    fn known(&self) -> Vec<String> {
        let others = self.0.others.lock();
        others.iter().filter(|(_, other)| !other.has_ended).map(|(id, _)| id.clone()).collect()
    }

    /// An instance was heard.
    pub(super) fn heard(&self, about: &About) {
        if about.id == self.0.local.about().id {
            return;
        }
        let mut others = self.0.others.lock();
        if others.len() >= MOST_INSTANCES && !others.contains_key(&about.id) {
            let oldest = others.iter().max_by_key(|(_, other)| other.heard.elapsed());
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                others.remove(&id);
            }
        }
        let (heard, heard_at) = (Instant::now(), SystemTime::now());
        let other = Other { about: about.clone(), heard, heard_at, missed: None, has_ended: false };
        others.insert(about.id.clone(), other);
    }

    /// An instance has said that it ends.
    pub(super) fn ended(&self, id: &str) {
        if let Some(other) = self.0.others.lock().get_mut(id) {
            other.has_ended = true;
        }
    }

    /// An instance did not answer. Returns it, unless it is gone.
    fn missed(&self, id: &str, why: Missed) -> Option<Instance> {
        let mut others = self.0.others.lock();
        let other = others.get_mut(id)?;
        let since = match other.missed {
            // Once Redis is back, the others have as long as ever to answer.
            Some((_, Missed::Unasked)) if why != Missed::Unasked => Instant::now(),
            Some((since, _)) => since,
            None => Instant::now(),
        };
        other.missed = Some((since, why));
        (other.state() != State::Gone).then(|| other.about.instance())
    }

    /// An answer of so many bytes has come.
    pub(super) fn answered(&self, from: About, number: u64, answer: Value, bytes: usize) {
        let asked = self.0.asked.lock().get(&number).cloned();
        if let Some((asked, _)) = asked.filter(|(_, largest)| bytes <= *largest) {
            // What does not fit is one answer too many.
            _ = asked.try_send(Reply { from, answer });
        }
    }

    /// Answers another instance.
    pub(super) async fn reply(&self, to: &About, number: u64, question: &Question) {
        let Some(channels) = &self.0.channels else { return };
        let answer = self.0.local.answer(question).await;
        let published = Published::Answered { from: self.0.local.about(), number, answer };
        let Ok(text) = serde_json::to_vec(&published) else { return };
        if let Err(error) = channels.publish(&format!("{CHANNEL}:{}", to.id), text).await {
            tracing::debug!(%error, instance = to.id, "an answer for a console was not sent");
        }
    }

    /// Counts a message that makes no sense. Whether it is the first.
    pub(super) fn misunderstands(&self) -> bool {
        self.0.not_understood.fetch_add(1, Ordering::Relaxed) == 0
    }

    pub(super) fn not_understood(&self) -> u64 {
        self.0.not_understood.load(Ordering::Relaxed)
    }

    /// Tells the others that this instance ends.
    pub(super) async fn end(&self) {
        let Some(channels) = &self.0.channels else { return };
        let ended = Published::Ended { id: self.0.local.about().id };
        if let Ok(text) = serde_json::to_vec(&ended) {
            _ = channels.publish(CHANNEL, text).await;
        }
    }
}

/// Nobody waits for the answers to a question any more.
struct Forgotten<'a> {
    fleet: &'a Fleet,
    number: u64,
}

impl Drop for Forgotten<'_> {
    fn drop(&mut self) {
        self.fleet.0.asked.lock().remove(&self.number);
    }
}

impl Other {
    fn state(&self) -> State {
        match self.missed {
            _ if self.has_ended => State::Gone,
            Some((since, why)) => match since.elapsed() {
                missed if missed >= SILENT && why != Missed::Unasked => State::Gone,
                missed if missed >= QUIET && why == Missed::Absent => State::Gone,
                missed if missed >= QUIET => State::Silent,
                _ => self.about.state,
            },
            None => self.about.state,
        }
    }

    fn seen(&self) -> Seen {
        let about = About { state: self.state(), ..self.about.clone() };
        Seen { about, heard_at: milliseconds(self.heard_at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_instance_is_silent_then_gone_unless_nobody_could_ask_it() {
        let about = About {
            id: "a".to_owned(),
            name: "one".to_owned(),
            version: "1".to_owned(),
            started_at: 0,
            state: State::Draining,
        };
        let (heard, heard_at, now) = (Instant::now(), SystemTime::now(), Instant::now());
        let other = |missed| Other { about: about.clone(), heard, heard_at, missed, has_ended: false };
        let state = |why| other(Some((now, why))).state();
        let all = || [Missed::Absent, Missed::NoAnswer, Missed::Unasked].map(state);
        assert_eq!(other(None).state(), State::Draining);
        assert_eq!(all(), [State::Draining; 3]);
        tokio::time::advance(QUIET).await;
        assert_eq!(all(), [State::Gone, State::Silent, State::Silent]);
        tokio::time::advance(SILENT).await;
        assert_eq!(all(), [State::Gone, State::Gone, State::Silent]);
        let ended = Other { has_ended: true, ..other(None) };
        assert_eq!(ended.state(), State::Gone);
    }
}
