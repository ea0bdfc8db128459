//! What is done with each message that a connection receives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use crate::client::link::Link;
use crate::client::message::{self, HubMessage};
use crate::measure::Recorder;
use crate::oracle::{Stamp, StateReceiver};
use crate::plan::{Audience, Proof};
use crate::run::shared::{Measured, Shared, Slot, micros};
use crate::wire::connection::{COMPLETION, INVOCATION};
use crate::wire::messages::{Protocol, is_error};

/// A call whose answer has not come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    pub(crate) id: u64,
    pub(crate) due: Instant,
}

/// Takes what a connection receives.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) shared: Arc<Shared>,
    pub(crate) index: usize,
    pub(crate) protocol: Protocol,
    pub(crate) pending: VecDeque<Pending>,
    /// When the last bytes came.
    pub(crate) last_received: Instant,
    /// When the last call was answered, for those who wait for it.
    pub(crate) answered: Option<Instant>,
    /// Calls of the server that want a result.
    asked: Vec<String>,
    has_called: bool,
}

impl Inbox {
    pub(crate) fn new(shared: &Arc<Shared>, index: usize, protocol: Protocol) -> Self {
        Self {
            shared: Arc::clone(shared),
            index,
            protocol,
            pending: VecDeque::new(),
            last_received: Instant::now(),
            answered: None,
            asked: Vec::new(),
            has_called: false,
        }
    }

    pub(crate) fn has_called(&self) -> bool {
        self.has_called
    }

    /// The same for a connection that comes back: its first call was measured.
    pub(crate) fn which_called(mut self, has_called: bool) -> Self {
        self.has_called |= has_called;
        self
    }

    pub(crate) fn slot(&self) -> &Slot {
        &self.shared.slots[self.index]
    }

    /// Changes what this connection's part of all measures.
    pub(crate) fn measure<T>(&self, change: impl FnOnce(&mut Measured) -> T) -> T {
        change(&mut self.shared.shard(self.index).lock())
    }

    /// Takes one message; `now` is when its bytes were read.
    pub(crate) fn take(&mut self, now: Instant, kind: u8, message: &[u8]) {
        self.last_received = now;
        match kind {
            INVOCATION => self.event(now, message),
            COMPLETION => self.completion(now, message),
            _ => {}
        }
    }

    fn event(&mut self, now: Instant, message: &[u8]) {
        let now_micros = self.shared.clock.micros(now);
        let age = match Stamp::find(message) {
            Some(stamp) => self.stamped(&stamp, now_micros),
            None => {
                self.unstamped(message, now_micros);
                None
            }
        };
        self.measure(|measured| {
            measured.received += 1;
            measured.window.received += 1;
            if let Some(age) = age {
                measured.delivery.record(age);
                measured.window.latency.record(age);
            }
        });
        if wants_result(self.protocol, message)
            && let HubMessage::Invocation { id: Some(id), .. } = message::read(self.protocol, message)
        {
            self.asked.push(id);
        }
    }

    /// The age of a message that is new to this receiver.
    fn stamped(&self, stamp: &Stamp, now_micros: u64) -> Option<u64> {
        let arrival = self.slot().seen.lock().receiver.arrived(&self.shared.plan.rules, stamp, now_micros);
        arrival.is_new().then(|| stamp.age_micros(now_micros))
    }

    fn unstamped(&self, message: &[u8], now_micros: u64) {
        match &self.shared.plan.role(self.slot().number).proof {
            Proof::Navigation => self.navigation(message, now_micros),
            Proof::Counts(event) if has_target(self.protocol, message, event) => {
                self.slot().seen.lock().counted += 1;
            }
            _ => {}
        }
    }

    fn navigation(&self, message: &[u8], now_micros: u64) {
        let is = |target: &str| has_target(self.protocol, message, target);
        type Tell = fn(&mut StateReceiver, &crate::oracle::States, u64, u64);
        let tell: Tell = if is("NavigationStateChanged") {
            |receiver, states, version, now| _ = receiver.state(states, version, now)
        } else if is("ModelMappingChanged") {
            StateReceiver::change
        } else {
            return;
        };
        let HubMessage::Invocation { arguments, .. } = message::read(self.protocol, message) else { return };
        let version = arguments.first().and_then(version);
        if let (Some(version), Some(receiver)) = (version, &mut self.slot().seen.lock().states) {
            tell(receiver, &self.shared.states, version, now_micros);
        }
    }

    fn completion(&mut self, now: Instant, message: &[u8]) {
        let Some(id) = message::completion_number(message) else { return };
        let Some(place) = self.pending.iter().position(|pending| pending.id == id) else { return };
        let Some(Pending { due, .. }) = self.pending.remove(place) else { return };
        self.shared.outstanding.fetch_sub(1, Ordering::Relaxed);
        self.answered = Some(now);
        let failed = is_error(message);
        let latency = micros(now.saturating_duration_since(due));
        let role = self.shared.plan.role(self.slot().number);
        let now_micros = self.shared.clock.micros(now);
        let delivered = match role.proof {
            Proof::Stamps(Audience::Caller) => {
                Stamp::find(message).and_then(|stamp| self.stamped(&stamp, now_micros))
            }
            Proof::Navigation if !failed => {
                self.state_answer(message, now_micros);
                None
            }
            _ => None,
        };
        let is_first = !std::mem::replace(&mut self.has_called, true);
        let is_event_timed = matches!(role.proof, Proof::Stamps(audience) if audience != Audience::Caller);
        self.measure(|measured| {
            measured.calls += 1;
            measured.window.calls += 1;
            let record = |recorder: &mut Recorder| recorder.record(latency);
            record(&mut measured.call);
            if is_first {
                record(&mut measured.phases.first_call);
            }
            if !is_event_timed {
                record(&mut measured.window.latency);
            }
            if let Some(age) = delivered {
                measured.delivery.record(age);
            }
            if failed {
                measured.calls_failed += 1;
                let text = error_text(self.protocol, message);
                measured.error(&format!("call refused: {text}"), &text);
            }
        });
    }

    fn state_answer(&self, message: &[u8], now_micros: u64) {
        let HubMessage::Completion { outcome: Ok(state), .. } = message::read(self.protocol, message) else {
            return;
        };
        if let (Some(version), Some(receiver)) = (version(&state), &mut self.slot().seen.lock().states) {
            receiver.answer(&self.shared.states, version, now_micros);
        }
    }

    /// Answers calls of the server as a client does that has no result.
    pub(crate) fn answer(&mut self, link: &mut Link) {
        for id in std::mem::take(&mut self.asked) {
            let mut answer = Vec::new();
            message::push_no_result(&mut answer, self.protocol, &id);
            link.push(COMPLETION, &answer);
        }
    }

    /// Counts the calls that have been without an answer for too long, or all of them, as failed.
    pub(crate) fn give_up(&mut self, due_before: Option<Instant>, cause: &str) {
        let is_given_up = |pending: &Pending| due_before.is_none_or(|before| pending.due < before);
        let mut count = 0_i64;
        while self.pending.front().is_some_and(is_given_up) {
            self.pending.pop_front();
            count += 1;
            self.measure(|measured| {
                measured.calls_failed += 1;
                measured.error(cause, cause);
            });
        }
        self.shared.outstanding.fetch_sub(count, Ordering::Relaxed);
    }
}

fn error_text(protocol: Protocol, message: &[u8]) -> String {
    match message::read(protocol, message) {
        HubMessage::Completion { outcome: Err(text), .. } => text,
        _ => "an error that cannot be read".to_owned(),
    }
}

/// Version of a navigation state or of a change. A server whose states have none may make each anew for who asks, so that nobody else
/// has to get it: nothing is proved of these.
fn version(state: &serde_json::Value) -> Option<u64> {
    let fields = state.as_object()?;
    let version = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("version"));
    version.and_then(|(_, version)| version.as_u64())
}

/// Whether an invocation has an id, and so wants a result. Servers write it before the arguments.
fn wants_result(protocol: Protocol, message: &[u8]) -> bool {
    match protocol {
        Protocol::Json => {
            let start = &message[..message.len().min(64)];
            memchr::memmem::find(start, b"\"invocationId\":\"").is_some()
        }
        // [1, {}, id, ...]: an id of up to 31 bytes, or a longer one.
        Protocol::MessagePack => message.get(3).is_some_and(|byte| matches!(byte, 0xa1..=0xbf | 0xd9)),
    }
}

/// Whether an invocation calls this method.
fn has_target(protocol: Protocol, message: &[u8], target: &str) -> bool {
    let mut sought = [0; 72];
    let bytes = target.as_bytes();
    match protocol {
        Protocol::Json => {
            let Some(place) = memchr::memmem::find(message, b"\"target\":\"") else { return false };
            let rest = &message[place + 10..];
            rest.get(..bytes.len()).is_some_and(|start| start.eq_ignore_ascii_case(bytes))
                && rest.get(bytes.len()) == Some(&b'"')
        }
        Protocol::MessagePack => {
            let Some(room) = sought.get_mut(..bytes.len()) else { return false };
            room.copy_from_slice(bytes);
            // The target is the fourth item; nothing before it is long.
            let start = &message[..message.len().min(128)];
            memchr::memmem::find(start, room).is_some()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn targets_and_ids_are_found_in_both_protocols() {
        let json = br#"{"type":1,"target":"OnBroadcast","arguments":["x"]}"#;
        assert!(has_target(Protocol::Json, json, "onbroadcast"));
        assert!(!has_target(Protocol::Json, json, "OnBroad"));
        assert!(!wants_result(Protocol::Json, json));
        assert!(wants_result(
            Protocol::Json,
            br#"{"type":1,"invocationId":"s1","target":"Ask","arguments":[]}"#
        ));
        let packed = b"\x96\x01\x80\xc0\xabOnBroadcast\x90\x90";
        assert!(has_target(Protocol::MessagePack, packed, "OnBroadcast"));
        assert!(!wants_result(Protocol::MessagePack, packed));
        assert!(wants_result(Protocol::MessagePack, b"\x96\x01\x80\xa2s1\xa3Ask\x90\x90"));
    }

    #[test]
    fn a_state_without_a_version_is_not_judged() {
        assert_eq!(version(&json!({"timestamp": 1.5, "version": 7})), Some(7));
        assert_eq!(version(&json!({"Version": 8})), Some(8));
        assert_eq!(version(&json!({"timestamp": 1.5})), None);
        assert_eq!(version(&json!(7)), None);
    }
}
