//! What is published, and for whom.

use std::sync::Arc;

use hubline_pipe::Frame;
use hubline_protocol::{ConnectionId, Encoded, GroupName, HubProtocol, UserId};

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Every connection of the hub.
    All,
    /// Every connection with this interest.
    Subject(Subject),
}

/// What an instance can have an interest in, because one of its connections belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Members of a group.
    Group(GroupName),
    /// Connections of a user.
    User(UserId),
    /// One connection.
    Connection(ConnectionId),
}

/// A message on its way to every instance.
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

/// A change of a group that any instance may ask for; the one with the connection makes it.
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
    /// It is none any more.
    Remove,
    /// Something that is not known here: nothing.
    Unknown,
}

/// One message, encoded once in each hub protocol. Cloning shares the bytes.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    json: Option<Frame>,
    message_pack: Option<Frame>,
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

    /// The message for a connection of this protocol. `None` if another server published without it.
    pub fn get(&self, protocol: HubProtocol) -> Option<&Frame> {
        match protocol {
            HubProtocol::Json => self.json.as_ref(),
            HubProtocol::MessagePack => self.message_pack.as_ref(),
        }
    }
}

/// What became of a publication.
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
    /// Every instance that listens.
    Fleet,
    /// The connections here have it. It waits for the link to the others, and is sent when that is back in time.
    Queued,
    /// The connections here have it. It was sent to the others, and nothing confirmed that before the link was
    /// lost: they may get it or not.
    Unknown,
    /// The connections here have it, the others will not: the link is down, or refuses it.
    ThisInstance,
}
