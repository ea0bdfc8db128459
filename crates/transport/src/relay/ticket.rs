//! Connection tokens that every instance of a fleet can read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubline_backplane::InstanceId;
use hubline_protocol::ConnectionId;

use super::keys::{Key, KeyId, KeyRing, TAG_BYTES};
use crate::ConnectionToken;

/// First byte of a token; another layout gets another.
const LAYOUT: u8 = 1;
/// Bytes before the tag: layout, key, instance, seconds since 1970, flags, id.
const SIGNED_BYTES: usize = 1 + 4 + 8 + 4 + 1 + 16;
const IS_STATEFUL: u8 = 1;

/// What a token of a fleet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Where the connection was negotiated, and is unless it has moved.
    pub(crate) negotiator: InstanceId,
    pub(crate) id: ConnectionId,
    pub(crate) is_stateful: bool,
    issued: u32,
}

/// A token that looks like one of a fleet. Nothing of it is to be believed yet.
pub(super) struct Unverified {
    bytes: [u8; SIGNED_BYTES + TAG_BYTES],
}

impl Ticket {
    /// For a connection that is negotiated now.
    pub(super) fn now(negotiator: InstanceId, id: ConnectionId, is_stateful: bool) -> Self {
        Self { negotiator, id, is_stateful, issued: seconds(SystemTime::now()) }
    }

    /// Its token. `None` if the id is not one of ours.
    pub(super) fn sign(&self, key: &Key) -> Option<ConnectionToken> {
        let mut bytes = Vec::with_capacity(SIGNED_BYTES + TAG_BYTES);
        bytes.push(LAYOUT);
        bytes.extend_from_slice(&key.id().0);
        bytes.extend_from_slice(&self.negotiator.to_bytes());
        bytes.extend_from_slice(&self.issued.to_be_bytes());
        bytes.push(if self.is_stateful { IS_STATEFUL } else { 0 });
        bytes.extend_from_slice(&URL_SAFE_NO_PAD.decode(self.id.as_str()).ok().filter(|id| id.len() == 16)?);
        bytes.extend_from_slice(&key.tag(&bytes));
        Some(ConnectionToken::from_text(&URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Whether it may still wait for its transport, with some allowance for clocks that differ.
    pub(super) fn is_fresh(&self, lifetime: Duration) -> bool {
        u64::from(seconds(SystemTime::now()).abs_diff(self.issued)) <= lifetime.as_secs() + 5
    }
}

impl Unverified {
    pub(super) fn read(token: &str) -> Option<Self> {
        let mut bytes = [0; SIGNED_BYTES + TAG_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
        (length == bytes.len() && bytes[0] == LAYOUT).then_some(Self { bytes })
    }

    pub(super) fn key(&self) -> KeyId {
        KeyId(self.array(1))
    }

    /// `None` if the tag is wrong, or its key unknown.
    pub(super) fn verify(&self, keys: &KeyRing) -> Option<Ticket> {
        let (signed, tag) = self.bytes.split_at(SIGNED_BYTES);
        keys.find(self.key())?.verifies(signed, tag).then(|| Ticket {
            negotiator: InstanceId::from_bytes(self.array(5)),
            issued: u32::from_be_bytes(self.array(13)),
            is_stateful: self.bytes[17] & IS_STATEFUL != 0,
            id: URL_SAFE_NO_PAD.encode(&signed[18..]).into(),
        })
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[at..at + N]);
        array
    }
}

fn seconds(time: SystemTime) -> u32 {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::random_id;

    #[test]
    fn a_ticket_is_read_back_and_nothing_of_it_can_be_changed() {
        let keys = KeyRing::of(vec![Key::random()]);
        let ticket = Ticket::now(InstanceId::random(), random_id(), true);
        let token = ticket.sign(&keys.signing()).unwrap();
        assert_eq!(Unverified::read(token.as_str()).unwrap().verify(&keys), Some(ticket.clone()));
        assert!(ticket.is_fresh(Duration::from_secs(15)));

        let bytes = URL_SAFE_NO_PAD.decode(token.as_str()).unwrap();
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            let forged = Unverified::read(&URL_SAFE_NO_PAD.encode(forged));
            assert_eq!(forged.and_then(|forged| forged.verify(&keys)), None, "byte {at}");
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        for token in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", &"A".repeat(67), &"A".repeat(10_000), "\u{1f600}"] {
            assert!(Unverified::read(token).is_none(), "{token}");
        }
    }

    #[test]
    fn a_token_of_another_key_says_nothing() {
        let token = Ticket::now(InstanceId::random(), random_id(), false).sign(&Key::random()).unwrap();
        let others = KeyRing::of(vec![Key::random()]);
        assert_eq!(Unverified::read(token.as_str()).unwrap().verify(&others), None);
    }
}
