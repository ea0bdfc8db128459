//! Connection tokens that every instance of a fleet can read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubline_backplane::InstanceId;
use hubline_protocol::ConnectionId;

use super::keys::{Key, KeyId, KeyRing, TAG_BYTES};
use crate::ConnectionToken;
use crate::gate::{Requester, Resemblance};
use crate::identity::{EndpointId, Identity};

/// First byte of a token; another layout gets another.
const LAYOUT: u8 = 2;
const IS_STATEFUL: u8 = 1;
/// Besides the identity, the hub's user id can tell who somebody is.
const HAS_USER: u8 = 2;

/// Where the parts of a token begin. The tag covers all that is before it.
mod at {
    use super::TAG_BYTES;

    pub(super) const KEY: usize = 1;
    pub(super) const NEGOTIATOR: usize = KEY + 4;
    /// Seconds since 1970.
    pub(super) const ISSUED: usize = NEGOTIATOR + 8;
    pub(super) const FLAGS: usize = ISSUED + 4;
    pub(super) const ID: usize = FLAGS + 1;
    /// Random, so that whoever has the key still cannot make the token of a connection that is there.
    pub(super) const NONCE: usize = ID + 16;
    pub(super) const ENDPOINT: usize = NONCE + 16;
    pub(super) const IDENTITY: usize = ENDPOINT + 8;
    pub(super) const USER: usize = IDENTITY + 16;
    pub(super) const TAG: usize = USER + 16;
    pub(super) const END: usize = TAG + TAG_BYTES;
}

/// What a token of a fleet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Where the connection was negotiated, and is unless it has moved.
    pub(crate) negotiator: InstanceId,
    pub(crate) id: ConnectionId,
    pub(crate) is_stateful: bool,
    /// Where it was negotiated.
    pub(crate) endpoint: EndpointId,
    issued: u32,
    identity: Keyed,
    user: Option<Keyed>,
    key: KeyId,
}

/// An [`Identity`] under the key of its token, so that nobody who sees the token can try names out.
type Keyed = [u8; 16];

/// A token that looks like one of a fleet. Nothing of it is to be believed yet.
pub(super) struct Unverified {
    bytes: [u8; at::END],
}

/// A new token for a connection that is negotiated now. `None` if the id is not one of ours.
pub(super) fn issue(
    negotiator: InstanceId,
    id: &ConnectionId,
    is_stateful: bool,
    requester: &Requester,
    key: &Key,
) -> Option<ConnectionToken> {
    let mut bytes = [0; at::END];
    bytes[0] = LAYOUT;
    bytes[at::KEY..at::NEGOTIATOR].copy_from_slice(&key.id().0);
    bytes[at::NEGOTIATOR..at::ISSUED].copy_from_slice(&negotiator.to_bytes());
    bytes[at::ISSUED..at::FLAGS].copy_from_slice(&seconds(SystemTime::now()).to_be_bytes());
    bytes[at::FLAGS] = if is_stateful { IS_STATEFUL } else { 0 };
    let id = URL_SAFE_NO_PAD.decode(id.as_str()).ok().filter(|id| id.len() == 16)?;
    bytes[at::ID..at::NONCE].copy_from_slice(&id);
    getrandom::fill(&mut bytes[at::NONCE..at::ENDPOINT]).ok()?;
    bytes[at::ENDPOINT..at::IDENTITY].copy_from_slice(&requester.endpoint.0);
    bytes[at::IDENTITY..at::USER].copy_from_slice(&keyed(key, &id, requester.identity));
    if let Some(user) = requester.user {
        bytes[at::FLAGS] |= HAS_USER;
        bytes[at::USER..at::TAG].copy_from_slice(&keyed(key, &id, user));
    }
    let tag = key.tag(&bytes[..at::TAG]);
    bytes[at::TAG..].copy_from_slice(&tag);
    Some(ConnectionToken::from_text(&URL_SAFE_NO_PAD.encode(bytes)))
}

fn keyed(key: &Key, id: &[u8], Identity(identity): Identity) -> Keyed {
    key.tag(&[id, &identity].concat())
}

impl Ticket {
    /// Whether it may still wait for its transport, with some allowance for clocks that differ.
    pub(super) fn is_fresh(&self, lifetime: Duration) -> bool {
        u64::from(seconds(SystemTime::now()).abs_diff(self.issued)) <= lifetime.as_secs() + 5
    }

    /// What of who has negotiated the connection is what asks now; `None` if the key has gone.
    pub(super) fn resemblance(&self, keys: &KeyRing, requester: &Requester) -> Option<Resemblance> {
        let key = keys.find(self.key)?;
        let id = URL_SAFE_NO_PAD.decode(self.id.as_str()).ok()?;
        let is = |own: Keyed, asks: Identity| own == keyed(&key, &id, asks);
        Some(if is(self.identity, requester.identity) {
            Resemblance::Same
        } else if self.user.zip(requester.user).is_some_and(|(own, asks)| is(own, asks)) {
            Resemblance::SameUserId
        } else {
            Resemblance::Another
        })
    }
}

impl Unverified {
    pub(super) fn read(token: &str) -> Option<Self> {
        let mut bytes = [0; at::END];
        let length = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
        (length == bytes.len() && bytes[0] == LAYOUT).then_some(Self { bytes })
    }

    pub(super) fn key(&self) -> KeyId {
        KeyId(self.array(at::KEY))
    }

    /// `None` if the tag is wrong, or its key unknown.
    pub(super) fn verify(&self, keys: &KeyRing) -> Option<Ticket> {
        let (signed, tag) = self.bytes.split_at(at::TAG);
        let flags = self.bytes[at::FLAGS];
        keys.find(self.key())?.verifies(signed, tag).then(|| Ticket {
            negotiator: InstanceId::from_bytes(self.array(at::NEGOTIATOR)),
            issued: u32::from_be_bytes(self.array(at::ISSUED)),
            is_stateful: flags & IS_STATEFUL != 0,
            id: URL_SAFE_NO_PAD.encode(&signed[at::ID..at::NONCE]).into(),
            endpoint: EndpointId(self.array(at::ENDPOINT)),
            identity: self.array(at::IDENTITY),
            user: (flags & HAS_USER != 0).then(|| self.array(at::USER)),
            key: self.key(),
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
    use hubline_pipe::Principal;
    use hubline_protocol::negotiate::TransportKind;

    use super::*;
    use crate::gate::Purpose;
    use crate::token::random_id;

    fn somebody(id: &str) -> Requester {
        Requester {
            purpose: Purpose::Transport(TransportKind::WebSockets),
            endpoint: EndpointId::named("/hub"),
            identity: Identity::of(Some(&Principal::of_user(id))),
            user: None,
            credentials: None,
        }
    }

    fn ring() -> KeyRing {
        KeyRing::of(vec![Key::random()])
    }

    fn token(keys: &KeyRing, id: &ConnectionId, requester: &Requester) -> ConnectionToken {
        issue(InstanceId::random(), id, true, requester, &keys.signing()).unwrap()
    }

    fn read(token: &str, keys: &KeyRing) -> Option<Ticket> {
        Unverified::read(token)?.verify(keys)
    }

    #[test]
    fn a_ticket_is_read_back_and_nothing_of_it_can_be_changed() {
        let (keys, id, ada) = (ring(), random_id(), somebody("ada"));
        let token = token(&keys, &id, &ada);
        let ticket = read(token.as_str(), &keys).unwrap();
        assert_eq!((&ticket.id, ticket.is_stateful, ticket.endpoint), (&id, true, ada.endpoint));
        assert!(ticket.is_fresh(Duration::from_secs(15)));

        let bytes = URL_SAFE_NO_PAD.decode(token.as_str()).unwrap();
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            assert_eq!(read(&URL_SAFE_NO_PAD.encode(forged), &keys), None, "byte {at}");
        }
    }

    #[test]
    fn it_tells_its_user_from_others_and_shows_neither() {
        let (keys, ada) = (ring(), somebody("ada"));
        let tokens = [(); 2].map(|()| read(token(&keys, &random_id(), &ada).as_str(), &keys).unwrap());
        assert_ne!(tokens[0].identity, tokens[1].identity, "nobody sees that two tokens are of one user");
        let resemblance = |asks: &Requester| tokens[0].resemblance(&keys, asks).unwrap();
        assert_eq!(resemblance(&ada), Resemblance::Same);
        assert_eq!(resemblance(&somebody("bob")), Resemblance::Another);
        assert_eq!(resemblance(&Requester { identity: Identity::NOBODY, ..ada }), Resemblance::Another);
    }

    #[test]
    fn the_user_id_of_the_hub_counts_where_it_is_in_the_token() {
        let keys = ring();
        let known = |id: &str, issuer: &str| {
            let mut principal = Principal::of_user(id);
            principal.issuer = Some(issuer.into());
            let user = Some(Identity::of_user(&id.into()));
            Requester { identity: Identity::of(Some(&principal)), user, ..somebody(id) }
        };
        let ticket = read(token(&keys, &random_id(), &known("ada", "one")).as_str(), &keys).unwrap();
        let resemblance = |asks: Requester| ticket.resemblance(&keys, &asks).unwrap();
        assert_eq!(resemblance(known("ada", "one")), Resemblance::Same);
        assert_eq!(resemblance(known("ada", "two")), Resemblance::SameUserId);
        assert_eq!(resemblance(known("bob", "one")), Resemblance::Another);
        assert_eq!(resemblance(Requester { user: None, ..known("ada", "two") }), Resemblance::Another);
    }

    #[test]
    fn tokens_differ_in_what_nobody_can_guess() {
        let (keys, id, ada) = (ring(), random_id(), somebody("ada"));
        assert_ne!(token(&keys, &id, &ada), token(&keys, &id, &ada));
    }

    #[test]
    fn what_is_no_token_is_none() {
        for token in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", &"A".repeat(142), &"A".repeat(10_000), "\u{1f600}"] {
            assert!(Unverified::read(token).is_none(), "{token}");
        }
    }

    #[test]
    fn a_token_of_another_key_says_nothing() {
        let token = token(&ring(), &random_id(), &somebody("ada"));
        assert_eq!(read(token.as_str(), &ring()), None);
    }
}
