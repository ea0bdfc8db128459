//! What is published, and for whom.

use std::sync::Arc;

use hubline_pipe::Frame;
use hubline_protocol::{ConnectionId, Encoded, GroupName, HubProtocol, UserId};

/// The connections that a message is sent to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Every connection of the hub.
    All,
    /// The connections of a group or user, or a single one.
    Subject(Subject),
}

/// What an instance subscribes to as long as one of its connections belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Members of a group.
    Group(GroupName),
    /// Connections of a user.
    User(UserId),
    /// One connection.
    Connection(ConnectionId),
}

/// A message to connections of all instances, without a result.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Each is served, in order where the backplane has them in one place; what a target named twice means is the backplane's choice.
    pub targets: Vec<Target>,
    /// Connections that do not get it; honoured for [`Target::All`] and groups.
    pub excluded: Arc<[ConnectionId]>,
    /// The message itself.
    pub frames: Frames,
}

/// An invocation of one client that returns a result (ASP.NET Core's client results).
#[derive(Debug, Clone)]
pub struct ClientInvocation {
    /// The connection to invoke.
    pub connection: ConnectionId,
    /// Names the invocation in its Completion; unique among the instances of the fleet.
    pub invocation_id: Box<str>,
    /// The Invocation message, with `invocation_id` in it.
    pub frames: Frames,
}

/// Where the Completion of a client's invocation is sent that another instance has made. Its text means something to
/// the backplane alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnAddress(pub Box<str>);

/// A change of a group's members. Any instance may request it; the instance with the connection makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupChange {
    /// What to do.
    pub action: GroupAction,
    /// The group.
    pub group: GroupName,
    /// The connection.
    pub connection: ConnectionId,
}

/// What a [`GroupChange`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupAction {
    /// The connection becomes a member.
    Add,
    /// The connection leaves the group.
    Remove,
    /// An action that this version does not know, from another server. It changes nothing.
    Unknown,
}

/// One message, encoded once in each hub protocol. Cloning shares the bytes.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    json: Option<Frame>,
    message_pack: Option<Frame>,
    trace_parent: Option<TraceParent>,
}

/// The span that a message was sent in, as W3C's Trace Context names it in version 00.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(Arc<str>);

impl TraceParent {
    const LENGTH: usize = 55;

    /// A span by its name; `None` if this is none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex =
            |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut parts = text.split('-').zip([2, 32, 16, 2]);
        let is_name = text.len() == Self::LENGTH
            && text.starts_with("00-")
            && parts.all(|(part, length)| is_hex(part, length));
        is_name.then(|| Self(text.into()))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Frames {
    /// Encodes a message in every protocol.
    ///
    /// # Errors
    /// Whatever `encode` returns first.
    pub fn encode<E>(encode: impl Fn(HubProtocol) -> Result<Encoded, E>) -> Result<Self, E> {
        let mut frames = Self::default();
        for protocol in HubProtocol::ALL {
            frames.set(protocol, encode(protocol)?);
        }
        Ok(frames)
    }

    /// Adds the message in one more protocol.
    pub fn set(&mut self, protocol: HubProtocol, encoded: Encoded) {
        let frame = Some(Frame::new(encoded, protocol.transfer_format()));
        match protocol {
            HubProtocol::Json => self.json = frame,
            HubProtocol::MessagePack => self.message_pack = frame,
        }
    }

    /// Which span the message was sent in; `None` if nobody traces it.
    pub fn trace_parent(&self) -> Option<&TraceParent> {
        self.trace_parent.as_ref()
    }

    /// Names the span that the message is sent in, for the instances that deliver it.
    pub fn set_trace_parent(&mut self, trace_parent: Option<TraceParent>) {
        self.trace_parent = trace_parent;
    }

    /// The message for a connection of this protocol. `None` if another server published without it.
    pub fn get(&self, protocol: HubProtocol) -> Option<&Frame> {
        match protocol {
            HubProtocol::Json => self.json.as_ref(),
            HubProtocol::MessagePack => self.message_pack.as_ref(),
        }
    }
}

/// The outcome of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// How many instances listened, this one included, summed over the targets.
    pub receivers: u64,
    /// How far it got.
    pub reach: Reach,
}

/// How far a publication got, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Every instance that is subscribed to the target has the message.
    Fleet,
    /// The connections of this instance have the message. It waits in the outbox, and is sent to the others if the link is
    /// back in time.
    Queued,
    /// The connections of this instance have the message. It was sent to the others, and the link was lost before a
    /// reply: they may have received it or not.
    Unknown,
    /// The connections of this instance have the message, those of others will not receive it: the outbox is full, or
    /// the message was refused.
    ThisInstance,
}
