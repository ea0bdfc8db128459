//! Payloads of the channels: MessagePack arrays without a length in front.
//!
//! Readers take *at least* the items listed and ignore further ones and whatever follows the array; names
//! are str, bodies bin, integers of any width that fits. Writers use the shortest encoding.
//!
//! Source: `RedisProtocol` of Microsoft.AspNetCore.SignalR.StackExchangeRedis; byte vectors in
//! `conformance/redis`.

mod publication_id;

use std::sync::Arc;

use hubline_backplane::Frames;
use hubline_protocol::{ConnectionId, Encoded, HubProtocol};
use rmp::{decode, encode};

pub use publication_id::PublicationId;

/// A hub message for the connections of a channel: `[excluded, {protocol: body}]`, with
/// `invocationId, returnChannel` behind if a result is expected. Hubline adds one item, the [`PublicationId`], as the third
/// or fifth; ASP.NET Core 10 and 11 skip it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation<'a> {
    /// Connections that do not get it.
    pub excluded: Arc<[ConnectionId]>,
    /// The message, framed for each protocol. Protocols unknown here are left out.
    pub messages: Messages<'a>,
    /// Where the client's answer belongs; counts on connection channels only.
    pub answer_to: Option<AnswerTo<'a>>,
    /// `None` if another server than Hubline has published it.
    pub id: Option<PublicationId>,
    /// The span that it was sent in, behind the id; `None` if that is not traced.
    pub trace_parent: Option<&'a str>,
}

/// One hub message, framed for each protocol that its sender had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Messages<'a> {
    /// With its separator.
    pub json: Option<&'a [u8]>,
    /// With its length.
    pub message_pack: Option<&'a [u8]>,
}

/// Where the result of a client's method is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerTo<'a> {
    /// Of the invocation in the message.
    pub invocation_id: &'a str,
    /// Without the channel prefix. ASP.NET Core accepts nil, read as the empty name.
    pub channel: &'a str,
}

/// Asks the server that holds a connection to change a group: `[id, server, action, group, connection]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCommand<'a> {
    /// Names the command in its [`Ack`].
    pub id: i32,
    /// The server that sends the command and receives the ack. Nil is read as the empty name here and below.
    pub server_name: &'a str,
    /// What to do.
    pub action: GroupAction,
    /// The group.
    pub group: &'a str,
    /// The connection.
    pub connection_id: &'a str,
}

/// What a [`GroupCommand`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupAction {
    /// 1
    Add,
    /// 2
    Remove,
    /// Does nothing, and is acknowledged all the same.
    Other(u8),
}

/// Says that a group command has been carried out: `[id]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Of the command.
    pub id: i32,
}

/// A client's answer: `[protocol, body]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion<'a> {
    /// Of the connection that answered.
    pub protocol: &'a str,
    /// The Completion, framed.
    pub message: &'a [u8],
}

/// Why a payload cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// It ends early, or something else stands where this belongs.
    #[error("no {0} where one belongs")]
    Missing(&'static str),
    /// An array ends before its last needed item.
    #[error("{found} of {needed} items")]
    TooShort {
        /// Items declared.
        found: u32,
        /// Items needed.
        needed: u32,
    },
}

/// A message for every instance, in both protocols, as far as its [`PublicationId`], which has to be put behind it.
pub(crate) fn publication(
    excluded: &[ConnectionId],
    frames: &Frames,
    answer_to: Option<AnswerTo<'_>>,
) -> Vec<u8> {
    let [json, message_pack] =
        HubProtocol::ALL.map(|protocol| frames.get(protocol).map(|frame| frame.payload()));
    let messages = Messages { json: json.as_deref(), message_pack: message_pack.as_deref() };
    let mut out = Vec::with_capacity(64 + 32 * excluded.len() + messages.size());
    put_array(&mut out, if answer_to.is_some() { 5 } else { 3 });
    put_invocation(&mut out, excluded, &messages, answer_to);
    out
}

fn put_invocation(
    out: &mut Vec<u8>,
    excluded: &[ConnectionId],
    messages: &Messages<'_>,
    answer_to: Option<AnswerTo<'_>>,
) {
    put_excluded(out, excluded);
    messages.put(out);
    if let Some(AnswerTo { invocation_id, channel }) = answer_to {
        put_name(out, invocation_id);
        put_name(out, channel);
    }
}

impl<'a> Invocation<'a> {
    /// # Errors
    /// It is no invocation.
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut excluded = Vec::new();
        let invocation = Self::read(payload, |id| excluded.push(ConnectionId::from(id)))?;
        match excluded.is_empty() {
            true => Ok(invocation),
            false => Ok(Self { excluded: excluded.into(), ..invocation }),
        }
    }

    /// Leaves the excluded ids to `exclude`.
    fn read(payload: &'a [u8], mut exclude: impl FnMut(&str)) -> Result<Self, WireError> {
        let mut rest = payload;
        let items = array(&mut rest, 2)?;
        let excluded =
            decode::read_array_len(&mut rest).map_err(|_| WireError::Missing("array of excluded ids"))?;
        for _ in 0..excluded {
            text_or_nil(&mut rest)?.into_iter().for_each(&mut exclude);
        }
        let messages = Messages::read(&mut rest)?;
        let answer_to = match items {
            ..=3 => None,
            _ => Some(AnswerTo { invocation_id: name(&mut rest)?, channel: name(&mut rest)? }),
        };
        let answer_to = answer_to.filter(|answer| !answer.invocation_id.is_empty());
        let (id, trace_parent) = match PublicationId::read(&mut rest, items) {
            Some((id, trace_parent)) => (Some(id), trace_parent),
            None => (None, None),
        };
        Ok(Self { excluded: Arc::default(), messages, answer_to, id, trace_parent })
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.messages.size());
        let items = if self.answer_to.is_some() { 4 } else { 2 };
        put_array(&mut out, items + u32::from(self.id.is_some()));
        put_invocation(&mut out, &self.excluded, &self.messages, self.answer_to);
        if let Some(id) = self.id {
            infallible(id.put(self.trace_parent, &mut out));
        }
        out
    }
}

impl<'a> Messages<'a> {
    /// Copies the bodies once for all their receivers.
    pub(crate) fn to_frames(self) -> Frames {
        let mut frames = Frames::default();
        for (protocol, body) in self.each() {
            if let Some(body) = body {
                frames.set(protocol, Encoded::copy_from(body));
            }
        }
        frames
    }

    fn read(rest: &mut &'a [u8]) -> Result<Self, WireError> {
        let entries = decode::read_map_len(rest).map_err(|_| WireError::Missing("map of messages"))?;
        let mut messages = Self::default();
        for _ in 0..entries {
            let protocol = text(rest)?;
            let body = Some(bytes(rest)?);
            match protocol {
                "json" => messages.json = messages.json.or(body),
                "messagepack" => messages.message_pack = messages.message_pack.or(body),
                _ => {}
            }
        }
        Ok(messages)
    }

    fn put(&self, out: &mut Vec<u8>) {
        let present = self.each().into_iter().filter_map(|(protocol, body)| Some((protocol, body?)));
        infallible(encode::write_map_len(out, length(present.clone().count())));
        for (protocol, body) in present {
            put_name(out, protocol.name());
            put_bytes(out, body);
        }
    }

    fn each(&self) -> [(HubProtocol, Option<&'a [u8]>); 2] {
        [(HubProtocol::Json, self.json), (HubProtocol::MessagePack, self.message_pack)]
    }

    fn size(&self) -> usize {
        self.each().iter().filter_map(|(_, body)| *body).map(<[u8]>::len).sum()
    }
}

impl<'a> GroupCommand<'a> {
    /// # Errors
    /// It is no group command.
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut rest = payload;
        array(&mut rest, 5)?;
        Ok(Self {
            id: id(&mut rest)?,
            server_name: name(&mut rest)?,
            action: GroupAction::from(
                decode::read_int::<u8, _>(&mut rest).map_err(|_| WireError::Missing("action"))?,
            ),
            group: name(&mut rest)?,
            connection_id: name(&mut rest)?,
        })
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        put_array(&mut out, 5);
        put_int(&mut out, self.id.into());
        put_name(&mut out, self.server_name);
        put_int(&mut out, u8::from(self.action).into());
        put_name(&mut out, self.group);
        put_name(&mut out, self.connection_id);
        out
    }
}

impl From<u8> for GroupAction {
    fn from(action: u8) -> Self {
        match action {
            1 => Self::Add,
            2 => Self::Remove,
            other => Self::Other(other),
        }
    }
}

impl From<GroupAction> for u8 {
    fn from(action: GroupAction) -> Self {
        match action {
            GroupAction::Add => 1,
            GroupAction::Remove => 2,
            GroupAction::Other(other) => other,
        }
    }
}

impl Ack {
    /// # Errors
    /// It is no ack.
    pub fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let mut rest = payload;
        array(&mut rest, 1)?;
        Ok(Self { id: id(&mut rest)? })
    }

    /// The payload.
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::new();
        put_array(&mut out, 1);
        put_int(&mut out, self.id.into());
        out
    }
}

impl<'a> Completion<'a> {
    /// # Errors
    /// It is no completion.
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut rest = payload;
        array(&mut rest, 2)?;
        Ok(Self { protocol: text(&mut rest)?, message: bytes(&mut rest)? })
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.message.len());
        put_array(&mut out, 2);
        put_name(&mut out, self.protocol);
        put_bytes(&mut out, self.message);
        out
    }
}

/// Nothing here reserves memory for a declared length: a short payload may declare billions.
fn array(rest: &mut &[u8], needed: u32) -> Result<u32, WireError> {
    match decode::read_array_len(rest) {
        Ok(found) if found >= needed => Ok(found),
        Ok(found) => Err(WireError::TooShort { found, needed }),
        Err(_) => Err(WireError::Missing("array")),
    }
}

fn name<'a>(rest: &mut &'a [u8]) -> Result<&'a str, WireError> {
    Ok(text_or_nil(rest)?.unwrap_or_default())
}

fn text_or_nil<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a str>, WireError> {
    let mut after_nil = *rest;
    match decode::read_nil(&mut after_nil) {
        Ok(()) => {
            *rest = after_nil;
            Ok(None)
        }
        Err(_) => text(rest).map(Some),
    }
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, WireError> {
    let missing = WireError::Missing("text");
    let length = decode::read_str_len(rest).map_err(|_| missing)?;
    str::from_utf8(take(rest, length).ok_or(missing)?).map_err(|_| missing)
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
    let missing = WireError::Missing("bytes");
    let length = decode::read_bin_len(rest).map_err(|_| missing)?;
    take(rest, length).ok_or(missing)
}

fn take<'a>(rest: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = left;
    Some(taken)
}

fn id(rest: &mut &[u8]) -> Result<i32, WireError> {
    decode::read_int(rest).map_err(|_| WireError::Missing("id"))
}

fn put_excluded(out: &mut Vec<u8>, excluded: &[ConnectionId]) {
    put_array(out, length(excluded.len()));
    for id in excluded {
        put_name(out, id.as_str());
    }
}

fn put_array(out: &mut Vec<u8>, items: u32) {
    infallible(encode::write_array_len(out, items));
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    infallible(encode::write_str(out, name));
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    infallible(encode::write_bin(out, bytes));
}

fn put_int(out: &mut Vec<u8>, int: i64) {
    infallible(encode::write_sint(out, int));
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Writing to a `Vec` has no way to fail; rmp's signatures cannot say so.
fn infallible<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok());
}

#[cfg(test)]
mod tests;
