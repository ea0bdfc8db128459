use std::fmt::{Display, Formatter, Result};

use serde::Serialize;

use crate::measure::Percentiles;
use crate::probes::elsewhere::Request;
use crate::probes::tally::Counts;
use crate::wire::connection::Transport;

/// What [`idle`](crate::idle()) saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IdleReport {
    /// How messages travelled.
    pub transport: Transport,
    /// Connections that were open at once.
    pub connections: usize,
    /// Seconds until the last of them was open.
    pub connect_seconds: f64,
    /// Time from connecting to the handshake's answer.
    pub connect_latency: Percentiles,
    /// Seconds they were held after that.
    pub seconds: u64,
    /// Pings that the server sent them.
    pub pings: u64,
    /// Connections that ended before they should.
    pub lost: usize,
    /// Why one of them did.
    pub lost_reason: Option<String>,
}

impl Display for IdleReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "connections   {} in {:.2} s, {:?}",
            self.connections, self.connect_seconds, self.transport
        )?;
        writeln!(f, "connecting    {}", self.connect_latency)?;
        writeln!(f, "held          {} s, {} pings received", self.seconds, self.pings)?;
        write!(f, "lost          {}", Lost(self.lost, self.lost_reason.as_deref()))
    }
}

/// What [`chat`](crate::chat()) saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ChatReport {
    /// Users, each with one connection at a time.
    pub users: u32,
    /// Messages that were confirmed.
    pub confirmed: u64,
    /// Time from the first attempt to send a message to its confirmation; outages count.
    pub confirmed_in: Percentiles,
    /// Events of messages that somebody else had sent.
    pub delivered: u64,
    /// Time from the first attempt to send a message to its event at another user; outages count.
    pub delivered_in: Percentiles,
    /// Connections that were made after a user's first.
    pub reconnects: u32,
    /// Calls that were refused or not answered, and made again.
    pub repeated: u32,
    /// Users who did not get everything confirmed and fetched in time.
    pub unfinished: u32,
    /// What one of them was told last.
    pub last_error: Option<String>,
}

impl Display for ChatReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { users, confirmed, confirmed_in, delivered, delivered_in, .. } = self;
        let Self { reconnects, repeated, unfinished, last_error, .. } = self;
        writeln!(f, "users         {users}, {reconnects} reconnects, {repeated} calls repeated")?;
        writeln!(f, "confirmed     {confirmed}, in {confirmed_in}")?;
        writeln!(f, "delivered     {delivered}, in {delivered_in}")?;
        write!(f, "unfinished    {unfinished}; last error: {}", last_error.as_deref().unwrap_or("none"))
    }
}

/// What [`navigation`](crate::navigation()) saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NavigationReport {
    /// Instances that connections went to.
    pub instances: usize,
    /// Connections of all instances.
    pub connections: usize,
    /// How often the state was to be sent. Triggers within 25 ms may become one state.
    pub triggers: u32,
    /// States received, of all connections.
    pub received: u64,
    /// States whose version was lower than one before on the same connection.
    pub went_back: u64,
    /// Connections that did not get the last state.
    pub without_the_last: usize,
    /// Connections that ended before they should.
    pub lost: usize,
    /// How old states were when they arrived.
    pub age: Percentiles,
}

impl Display for NavigationReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { instances, connections, triggers, received, went_back, without_the_last, lost, age } =
            self;
        writeln!(f, "connections   {connections} to {instances} instances, {lost} lost")?;
        writeln!(f, "states        {triggers} triggered, {received} received, {went_back} went back")?;
        writeln!(f, "last state    missing on {without_the_last} connections")?;
        write!(f, "age           {age}")
    }
}

/// What [`broadcast`](crate::broadcast()) saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BroadcastReport {
    /// Connections each broadcast goes to: the receivers and the sender.
    pub connections: usize,
    /// Broadcasts sent, without the warm-up.
    pub broadcasts: u32,
    /// Seconds from the first being due to the last message received.
    pub seconds: f64,
    /// Broadcasts a second over that time; less than asked for if sender or server fell behind.
    pub broadcasts_per_second: f64,
    /// Messages received.
    pub deliveries: u64,
    /// Messages that never came.
    pub missing: u64,
    /// Messages that came once more.
    pub doubled: u64,
    /// Messages that came after a later one.
    pub out_of_order: u64,
    /// Time from sending to receiving.
    pub latency: Percentiles,
    /// The most that the sender was behind its pace.
    pub sender_late_max_micros: u64,
    /// Connections that ended before they should.
    pub lost: usize,
    /// Why one of them did.
    pub lost_reason: Option<String>,
}

impl Display for BroadcastReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { broadcasts, connections, seconds, broadcasts_per_second, .. } = self;
        writeln!(f, "broadcasts    {broadcasts} to {connections} connections in {seconds:.2} s")?;
        writeln!(f, "broadcasts/s  {broadcasts_per_second:.0}")?;
        writeln!(
            f,
            "deliveries    {}: {} missing, {} doubled, {} out of order",
            self.deliveries, self.missing, self.doubled, self.out_of_order
        )?;
        writeln!(f, "latency       {}", self.latency)?;
        writeln!(f, "sender late   {} µs at most", self.sender_late_max_micros)?;
        write!(f, "lost          {}", Lost(self.lost, self.lost_reason.as_deref()))
    }
}

/// What [`flood`](crate::flood()) saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FloodReport {
    /// Connections that read.
    pub readers: u32,
    /// Broadcasts.
    pub messages: u32,
    /// Readers that did not get all of them.
    pub cut_off: u32,
    /// What the one got that got least.
    pub fewest: u32,
    /// Seconds until the sender had sent, and got, all.
    pub sent_seconds: f64,
    /// Seconds until every reader had all, or nothing more.
    pub seconds: f64,
}

impl Display for FloodReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "messages      {} in {:.2} s", self.messages, self.sent_seconds)?;
        writeln!(f, "read          {:.2} s, {} messages at least", self.seconds, self.fewest)?;
        write!(f, "cut off       {} of {}", self.cut_off, self.readers)
    }
}

/// What [`fleet`](crate::fleet()) saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetReport {
    /// Servers.
    pub instances: usize,
    /// Connections that sent.
    pub senders: u32,
    /// Connections each broadcast goes to, those that sent among them.
    pub connections: u32,
    /// Broadcasts sent, without the warm-up.
    pub broadcasts: u32,
    /// Seconds from the first being due to the last message received.
    pub seconds: f64,
    /// Broadcasts a second over that time; less than asked for if senders or servers fell behind.
    pub broadcasts_per_second: f64,
    /// At connections to the instance where the message was sent.
    pub here: Counts,
    /// At connections to the other instances.
    pub elsewhere: Counts,
    /// Time from sending to receiving on another instance.
    pub latency: Percentiles,
    /// The most that a sender was behind its pace.
    pub sender_late_max_micros: u64,
    /// Connections that ended before they should.
    pub lost: usize,
    /// Why one of them did.
    pub lost_reason: Option<String>,
}

impl Display for FleetReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { broadcasts, senders, connections, instances, seconds, .. } = self;
        writeln!(
            f,
            "broadcasts    {broadcasts} of {senders} senders to {connections} connections of {instances} instances in {seconds:.2} s"
        )?;
        writeln!(f, "broadcasts/s  {:.0}", self.broadcasts_per_second)?;
        for (place, counts) in [("here", self.here), ("elsewhere", self.elsewhere)] {
            let Counts { deliveries, missing, doubled, out_of_order, gap_max_micros } = counts;
            writeln!(
                f,
                "{place:<14}{deliveries}: {missing} missing, {doubled} doubled, {out_of_order} out of order, none for {gap_max_micros} µs at most"
            )?;
        }
        writeln!(f, "latency       {}", self.latency)?;
        writeln!(f, "sender late   {} µs at most", self.sender_late_max_micros)?;
        write!(f, "lost          {}", Lost(self.lost, self.lost_reason.as_deref()))
    }
}

/// What [`groups`](crate::groups()) saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupsReport {
    /// Joined and left.
    pub groups: u32,
    /// Seconds that joining took.
    pub join_seconds: f64,
    /// Seconds that leaving took.
    pub leave_seconds: f64,
}

impl Display for GroupsReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { groups, join_seconds, leave_seconds } = self;
        write!(f, "groups        {groups} joined in {join_seconds:.2} s, left in {leave_seconds:.2} s")
    }
}

/// What [`elsewhere`](crate::elsewhere()) saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ElsewhereReport {
    /// What was sent.
    pub request: Request,
    /// Whether it went to another instance than negotiated the connection.
    pub is_elsewhere: bool,
    /// How many.
    pub count: u32,
    /// Seconds that all of it took, with what is not timed.
    pub seconds: f64,
    /// Time from sending the request to its answer.
    pub latency: Percentiles,
}

impl Display for ElsewhereReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { request, is_elsewhere, count, seconds, latency } = self;
        let place = if *is_elsewhere { "elsewhere" } else { "here" };
        writeln!(f, "requests      {count} {request:?} {place} in {seconds:.2} s")?;
        write!(f, "latency       {latency}")
    }
}

/// What [`echo`](crate::echo()) saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EchoReport {
    /// Calls that were open at once.
    pub in_flight: u32,
    /// Seconds from the first call to the last completion.
    pub seconds: f64,
    /// Calls completed, errors included.
    pub calls: u64,
    /// Completions with an error, or without the value that was sent.
    pub errors: u64,
    /// Calls completed a second.
    pub calls_per_second: f64,
    /// Time from call to completion.
    pub latency: Percentiles,
}

impl Display for EchoReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "calls         {} in {:.2} s, {} in flight", self.calls, self.seconds, self.in_flight)?;
        writeln!(f, "calls/s       {:.0}", self.calls_per_second)?;
        writeln!(f, "errors        {}", self.errors)?;
        write!(f, "latency       {}", self.latency)
    }
}

struct Lost<'a>(usize, Option<&'a str>);

impl Display for Lost<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self(count, Some(reason)) => write!(f, "{count} ({reason})"),
            Self(count, None) => write!(f, "{count}"),
        }
    }
}
