//! The clocks of a connection, in one timer.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::HubOptions;

/// How long one message may take to be sent once it is its turn (ASP.NET Core's `TransportSendTimeout`). A
/// client that reads slowly, but reads, is a matter of the outbox.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Pings, the client's silence, writes that hang, and what else is due at some time.
///
/// The server pings every `keep_alive_interval`, whatever else it sends: clients schedule their own pings by
/// it. The client's timeout is armed by its first ping and restarted by every whole message.
pub(super) struct KeepAlive {
    interval: Option<Duration>,
    client_timeout: Duration,
    next_ping: Option<Instant>,
    heard: Instant,
    client_timeout_armed: bool,
    /// The message under way, by the number sent before it, and when its turn came.
    sending: Option<(u64, Instant)>,
    timer: Pin<Box<Sleep>>,
    /// Whom the timer wakes.
    wakes: Option<Waker>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Ping,
    ClientTimeout,
    SendTimeout,
    /// What [`State::other`] named.
    Other,
}

/// What the clocks depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    /// While messages are under way that must not take long: how many were sent before them.
    pub(super) progress: Option<u64>,
    /// While nothing is read the client's silence does not count.
    pub(super) reading: bool,
    /// Something else that is due then.
    pub(super) other: Option<Instant>,
}

/// Whether the server pings the client. A long poll is a sign of life by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pings {
    Sent,
    NotSent,
}

impl KeepAlive {
    pub(super) fn new(options: &HubOptions, pings: Pings) -> Self {
        let now = Instant::now();
        Self {
            interval: (pings == Pings::Sent).then_some(options.keep_alive_interval),
            client_timeout: options.client_timeout_interval,
            next_ping: None,
            heard: now,
            client_timeout_armed: false,
            sending: None,
            timer: Box::pin(sleep_until(now)),
            wakes: None,
        }
    }

    /// Starts pinging.
    pub(super) fn start(&mut self) {
        self.next_ping = self.interval.map(|interval| Instant::now() + interval);
    }

    /// A whole message came, or reading goes on after it had to stop.
    pub(super) fn heard(&mut self) {
        if self.client_timeout_armed {
            self.heard = Instant::now();
        }
    }

    pub(super) fn arm_client_timeout(&mut self) {
        self.client_timeout_armed = true;
        self.heard = Instant::now();
    }

    /// Deliveries poll this far more often than anything is due, so a timer that is set and will wake this
    /// task is only looked at.
    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let is_set = self.timer.deadline() == deadline;
        if is_set
            && self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
            && !self.timer.is_elapsed()
        {
            return Poll::Pending;
        }
        if !is_set {
            self.timer.as_mut().reset(deadline);
        }
        self.wakes = Some(cx.waker().clone());
        self.timer.as_mut().poll(cx)
    }

    /// Ready when something is due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, state: State) -> Poll<Due> {
        let State { progress, reading, other } = state;
        loop {
            if progress != self.sending.map(|(message, _)| message) {
                self.sending = progress.map(|message| (message, Instant::now()));
            }
            let client_timeout =
                (self.client_timeout_armed && reading).then(|| self.heard + self.client_timeout);
            let send_timeout = self.sending.map(|(_, since)| since + SEND_TIMEOUT);
            let due = [self.next_ping, client_timeout, send_timeout, other].into_iter().flatten().min();
            let Some(deadline) = due else { return Poll::Pending };
            if self.poll_timer(cx, deadline).is_pending() {
                return Poll::Pending;
            }
            if Some(deadline) == client_timeout {
                return Poll::Ready(Due::ClientTimeout);
            }
            if Some(deadline) == send_timeout {
                return Poll::Ready(Due::SendTimeout);
            }
            if Some(deadline) == other {
                return Poll::Ready(Due::Other);
            }
            self.next_ping = self.interval.map(|interval| deadline + interval);
            // A ping behind unsent messages would tell the client nothing new.
            if progress.is_none() {
                return Poll::Ready(Due::Ping);
            }
        }
    }
}
