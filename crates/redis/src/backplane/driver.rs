//! The task behind a node: connects, restores, serves, and connects again.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff};
use hubline_backplane::Status;
use hubline_supervision::Vital;
use tokio::time::{sleep, timeout};

use super::node::{Node, Stage};
use super::outage::Outage;
use super::outgoing::QueueEnd;
use super::publishing::{FAREWELL, Patience, PublishingLink};
use super::subscribing;
use crate::RedisEndpoint;
use crate::client::link::{BACK_OFF, ConnectError, LinkLost};
use crate::client::topology::Links;

/// Most of `asyncTimeout`: whoever publishes to a frozen Redis, and this instance's own connections, wait no longer.
const LIMIT_ANSWER: Duration = Duration::from_secs(2);

/// How often it is looked whether the last refusal tells of the present.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

pub(super) async fn pause(delays: &mut ExponentialBackoff) {
    let delay = delays.next().unwrap_or(LIMIT_ANSWER);
    sleep(delay).await;
}

/// Connects a node, serves, and connects again, for as long as anybody holds the backplane.
pub(super) struct Driver {
    node: Arc<Node>,
    first: Option<Links>,
    queue: QueueEnd,
    outage: Outage,
    has_run: bool,
}

impl Driver {
    pub(super) fn new(node: Arc<Node>, first: Option<Links>, queue: QueueEnd) -> Self {
        Self { node, first, queue, outage: Outage::begin(), has_run: false }
    }
}

/// Which link has ended, when both are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    Publisher,
    Subscriber,
    /// Another server is to be used.
    Neither,
}

impl Vital for Driver {
    const NAME: &'static str = "link to Redis";

    async fn run(&mut self) {
        let Self { node, first, queue, outage, has_run } = self;
        if std::mem::replace(has_run, true) {
            node.abandoned(outage);
        }
        tokio::select! {
            () = node.keep_linked(first, queue, outage) => {}
            never = node.location.listen(&node.options, &node.client_name) => match never {},
        }
    }
}

impl Node {
    /// The first connection, in `connectRetry` attempts.
    pub(super) async fn open(&self) -> Result<Links, ConnectError> {
        let mut delays = BACK_OFF.build();
        let mut attempts = self.options.connect_retry.max(1);
        loop {
            attempts -= 1;
            match self.location.open(&self.options, &self.client_name).await {
                Err(_) if attempts > 0 => pause(&mut delays).await,
                outcome => return outcome,
            }
        }
    }

    async fn keep_linked(&self, first: &mut Option<Links>, queue: &mut QueueEnd, outage: &mut Outage) {
        loop {
            let links = match first.take() {
                Some(links) => links,
                None => tokio::select! {
                    links = self.connect(outage) => links,
                    // Published while the link went.
                    () = self.hand_back(queue) => return,
                },
            };
            *first = self.serve(links, queue, outage).await;
        }
    }

    async fn connect(&self, outage: &mut Outage) -> Links {
        let mut moves = self.location.moves();
        loop {
            tokio::select! {
                () = outage.pause() => {}
                () = moves.next() => {}
            }
            let opened = tokio::select! {
                opened = self.location.open(&self.options, &self.client_name) => opened,
                // A server that is not needed any more may take its time to answer.
                () = moves.next() => continue,
            };
            match opened {
                Ok(links) => return links,
                Err(error) => {
                    outage.attempt_failed(&error);
                    self.status.set(Status::Disconnected(error.to_string()));
                }
            }
        }
    }

    /// Restores the subscriptions, then publishes, until one of the links is lost, or is silent and others can
    /// be had: those are returned.
    async fn serve(&self, links: Links, queue: &mut QueueEnd, outage: &mut Outage) -> Option<Links> {
        let answer = self.options.async_timeout.min(LIMIT_ANSWER);
        let patience = Patience { keep_alive: self.options.keep_alive, answer };
        let at = links.publishing.endpoint.clone();
        self.status.reached(&at);
        let superseded = self.location.superseded(&at, &self.options, &self.client_name);
        let mut superseded = pin!(superseded);
        let mut publisher = PublishingLink::new(self, links.publishing, patience);
        self.subscriptions.link_opened();
        let mut subscriber = pin!(subscribing::run(links.subscribing, self, patience));
        let mut successors = None;
        let (lost, first_gone) = loop {
            let lost = tokio::select! {
                lost = &mut subscriber => break (lost, Gone::Subscriber),
                lost = &mut superseded => break (lost, Gone::Neither),
                lost = publisher.run(queue) => lost,
                lost = self.subscriptions.fall_silent(answer) => lost,
                never = self.make_use(&at, outage) => match never {},
            };
            if !matches!(lost, LinkLost::Silent(_)) {
                break (lost, Gone::Publisher);
            }
            // A Redis that is frozen goes on where it stopped, with what it has been sent and to whom it had
            // been subscribed, and a slow link gets there: they are kept until they have answered everything, or
            // have nothing more to say and others answer.
            self.close(&lost, outage);
            self.subscriptions.let_go();
            publisher.hand_back();
            self.set_answering(false);
            let lost = tokio::select! {
                lost = &mut subscriber => break (lost, Gone::Subscriber),
                lost = &mut superseded => break (lost, Gone::Neither),
                held = publisher.hold(queue) => held.err(),
                links = self.replace(answer, outage) => {
                    successors = Some(links);
                    Some(lost)
                }
            };
            if let Some(lost) = lost {
                break (lost, Gone::Publisher);
            }
        };
        self.close(&lost, outage);
        if first_gone != Gone::Subscriber && successors.is_none() {
            // What Redis has sent is still to be read: what others have published, and echoes.
            let rest = async {
                if first_gone == Gone::Neither && publisher.drain().await.is_err() {
                    return;
                }
                self.subscriptions.ping();
                self.subscriptions.caught_up().await;
                let all = self.echoes().late_ever();
                self.echoes().caught_up(all);
            };
            let rest = async {
                tokio::select! { _ = subscriber => {}, () = rest => {} }
            };
            let _ = timeout(FAREWELL, rest).await;
        }
        self.subscriptions.link_lost();
        publisher.give_up((first_gone == Gone::Publisher).then_some(&lost)).await;
        successors
    }

    /// Opens the node for messages once this instance and the others hear them.
    async fn make_use(&self, at: &RedisEndpoint, outage: &mut Outage) -> Infallible {
        let channels = self.subscriptions.restored().await;
        self.set_stage(Stage::Restored);
        let (waiting, _) = self.outbox.size();
        let others_expected = waiting > 0 || outage.is_after_another();
        self.listeners.assembled(others_expected, outage.leads_elsewhere(at)).await;
        if outage.ended(at, channels, self.outbox.size()) {
            self.counters.reconnects.increment();
        }
        loop {
            self.set_stage(Stage::Open);
            self.outbox.open();
            self.status.set(Status::Connected);
            self.listeners.count();
            tokio::select! {
                () = self.postponed() => {}
                never = self.forget_refusals() => match never {},
            }
            self.listeners.assembled(true, false).await;
        }
    }

    async fn forget_refusals(&self) -> Infallible {
        loop {
            sleep(BETWEEN_LOOKS).await;
            if self.refusals.are_outdated() {
                self.status.set(Status::Connected);
            }
        }
    }

    /// From now on messages reach this instance alone.
    fn close(&self, lost: &LinkLost, outage: &mut Outage) {
        self.take_down();
        outage.link_lost(&self.status.disconnected(lost));
    }

    fn take_down(&self) {
        if self.stage() == Stage::Open {
            self.listeners.forget_outdated();
        }
        self.set_stage(Stage::Down);
    }

    /// The links went with a panic.
    fn abandoned(&self, outage: &mut Outage) {
        self.take_down();
        self.set_answering(false);
        self.subscriptions.link_lost();
        outage.link_lost(&self.status.disconnected(&"the task behind the link has panicked"));
    }

    /// Other links, once those that are silent had time to answer the same Redis, and do not.
    async fn replace(&self, answer: Duration, outage: &mut Outage) -> Links {
        loop {
            let links = self.connect(outage).await;
            sleep(FAREWELL).await;
            if !self.is_answering() || self.subscriptions.is_silent(answer) {
                return links;
            }
            drop(links);
            while self.is_answering() && !self.subscriptions.is_silent(answer) {
                sleep(answer / 4).await;
            }
        }
    }
}
