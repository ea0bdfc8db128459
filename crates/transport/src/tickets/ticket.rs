//! The layout of a connection token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubline_backplane::InstanceId;
use hubline_protocol::ConnectionId;

use super::Tickets;
use super::keys::{Key, KeyId, KeyRing, TAG_BYTES};
use crate::ConnectionToken;
use crate::identity::{EndpointId, Identity};
use crate::requester::{Requester, UserMatch};

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
    /// Of all the rest but the tag, under the negotiator's own key: nobody else can make it or guess it.
    pub(super) const SEAL: usize = ID + 16;
    pub(super) const ENDPOINT: usize = SEAL + 16;
    pub(super) const IDENTITY: usize = ENDPOINT + 8;
    pub(super) const USER: usize = IDENTITY + 16;
    pub(super) const TAG: usize = USER + 16;
    pub(super) const END: usize = TAG + TAG_BYTES;
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Where the connection was negotiated, and is unless it has moved.
    pub(crate) negotiator: InstanceId,
    pub(crate) id: ConnectionId,
    pub(crate) is_stateful: bool,
    /// Where it was negotiated.
    pub(crate) endpoint: EndpointId,
    pub(crate) seal: Seal,
    /// Whether this process has made it.
    pub(super) is_sealed_here: bool,
    /// Seconds since 1970 by the negotiator's clock.
    pub(super) issued: u32,
    pub(super) key: KeyId,
    identity: Keyed,
    user: Option<Keyed>,
}

/// Tells a token from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Seal([u8; 16]);

/// An [`Identity`] under the key of its token, so that nobody who sees the token can try names out.
type Keyed = [u8; 16];

/// A token that looks like one of ours. Nothing of it is to be believed yet.
pub(super) struct Unverified {
    bytes: [u8; at::END],
}

impl Tickets {
    /// `None` if the id is not one of ours.
    pub(super) fn try_issue(
        &self,
        id: &ConnectionId,
        is_stateful: bool,
        requester: &Requester,
    ) -> Option<ConnectionToken> {
        let key = self.keys.signing();
        let mut bytes = [0; at::END];
        bytes[0] = LAYOUT;
        bytes[at::KEY..at::NEGOTIATOR].copy_from_slice(&key.id().0);
        bytes[at::NEGOTIATOR..at::ISSUED].copy_from_slice(&self.issuer.to_bytes());
        bytes[at::ISSUED..at::FLAGS].copy_from_slice(&self.clock.seconds().to_be_bytes());
        bytes[at::FLAGS] = if is_stateful { IS_STATEFUL } else { 0 };
        let id = URL_SAFE_NO_PAD.decode(id.as_str()).ok().filter(|id| id.len() == 16)?;
        bytes[at::ID..at::SEAL].copy_from_slice(&id);
        bytes[at::ENDPOINT..at::IDENTITY].copy_from_slice(&requester.endpoint.0);
        bytes[at::IDENTITY..at::USER].copy_from_slice(&keyed(&key, &id, requester.identity));
        if let Some(user) = requester.user {
            bytes[at::FLAGS] |= HAS_USER;
            bytes[at::USER..at::TAG].copy_from_slice(&keyed(&key, &id, user));
        }
        let seal = self.seal_key.tag(&sealed(&bytes));
        bytes[at::SEAL..at::ENDPOINT].copy_from_slice(&seal);
        let tag = key.tag(&bytes[..at::TAG]);
        bytes[at::TAG..].copy_from_slice(&tag);
        Some(ConnectionToken::from_text(&URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// `None` if the tag is wrong, or its key unknown.
    pub(super) fn verify(&self, unverified: &Unverified) -> Option<Ticket> {
        let bytes = &unverified.bytes;
        let (signed, tag) = bytes.split_at(at::TAG);
        if !self.keys.find(unverified.key())?.verifies(signed, tag) {
            return None;
        }
        let flags = bytes[at::FLAGS];
        let negotiator = InstanceId::from_bytes(unverified.array(at::NEGOTIATOR));
        let seal: [u8; 16] = unverified.array(at::SEAL);
        Some(Ticket {
            negotiator,
            id: URL_SAFE_NO_PAD.encode(&signed[at::ID..at::SEAL]).into(),
            is_stateful: flags & IS_STATEFUL != 0,
            endpoint: EndpointId(unverified.array(at::ENDPOINT)),
            seal: Seal(seal),
            is_sealed_here: negotiator == self.issuer && self.seal_key.verifies(&sealed(bytes), &seal),
            issued: u32::from_be_bytes(unverified.array(at::ISSUED)),
            key: unverified.key(),
            identity: unverified.array(at::IDENTITY),
            user: (flags & HAS_USER != 0).then(|| unverified.array(at::USER)),
        })
    }
}

fn keyed(key: &Key, id: &[u8], Identity(identity): Identity) -> Keyed {
    key.tag(&[id, &identity].concat())
}

/// What the seal covers.
fn sealed(bytes: &[u8; at::END]) -> Vec<u8> {
    [&bytes[..at::SEAL], &bytes[at::ENDPOINT..at::TAG]].concat()
}

impl Ticket {
    /// What of who has negotiated the connection is what asks now; `None` if the key has gone.
    pub(super) fn user_match(&self, keys: &KeyRing, requester: &Requester) -> Option<UserMatch> {
        let key = keys.find(self.key)?;
        let id = URL_SAFE_NO_PAD.decode(self.id.as_str()).ok()?;
        let is = |own: Keyed, asks: Identity| own == keyed(&key, &id, asks);
        Some(if is(self.identity, requester.identity) {
            UserMatch::Same
        } else if self.user.zip(requester.user).is_some_and(|(own, asks)| is(own, asks)) {
            UserMatch::SameUserId
        } else {
            UserMatch::Other
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

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[at..at + N]);
        array
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hubline_identity::Principal;
    use hubline_protocol::negotiate::TransportKind;
    use tokio::time::advance;

    use super::*;
    use crate::requester::Purpose;
    use crate::tickets::TokenKey;
    use crate::token::random_id;

    fn somebody(id: &str) -> Requester {
        Requester {
            purpose: Purpose::Transport(TransportKind::WebSockets),
            endpoint: EndpointId::named("/hub"),
            identity: Identity::of(Some(&Principal::of_user(id))),
            user: None,
            credentials: None,
            is_expired: false,
        }
    }

    /// Two instances with a key in common.
    fn fleet() -> [Tickets; 2] {
        let key = TokenKey::random();
        [(); 2].map(|()| Tickets::of_fleet(InstanceId::random(), vec![key.clone()]))
    }

    fn read(token: &str, tickets: &Tickets) -> Option<Ticket> {
        tickets.verify(&Unverified::read(token)?)
    }

    #[test]
    fn a_ticket_is_read_back_and_nothing_of_it_can_be_changed() {
        let ([here, there], id, ada) = (fleet(), random_id(), somebody("ada"));
        let token = here.issue(&id, true, &ada);
        let ticket = read(token.as_str(), &here).unwrap();
        assert_eq!((&ticket.id, ticket.is_stateful, ticket.endpoint), (&id, true, ada.endpoint));
        assert_eq!(read(token.as_str(), &there), Some(Ticket { is_sealed_here: false, ..ticket }));

        let bytes = URL_SAFE_NO_PAD.decode(token.as_str()).unwrap();
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            assert_eq!(read(&URL_SAFE_NO_PAD.encode(forged), &here), None, "byte {at}");
        }
    }

    #[test]
    fn whoever_has_the_key_of_the_fleet_still_makes_no_token_that_its_negotiator_believes() {
        let key = TokenKey::random();
        let negotiator = Tickets::of_fleet(InstanceId::random(), vec![key.clone()]);
        let forger = Tickets::of_fleet(negotiator.issuer, vec![key.clone()]);
        let (id, ada) = (random_id(), somebody("ada"));
        let real = negotiator.issue(&id, false, &ada);
        let forged = forger.issue(&id, false, &ada);
        assert!(negotiator.is_own_and_fresh(&read(real.as_str(), &negotiator).unwrap()));
        assert!(!negotiator.is_own_and_fresh(&read(forged.as_str(), &negotiator).unwrap()));

        // A real one that is changed and signed anew.
        let bytes = URL_SAFE_NO_PAD.decode(real.as_str()).unwrap();
        for at in 0..super::at::TAG {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let tag = key.tag(&changed[..super::at::TAG]);
            changed[super::at::TAG..].copy_from_slice(&tag);
            let ticket = read(&URL_SAFE_NO_PAD.encode(changed), &negotiator);
            assert!(ticket.is_none_or(|ticket| !negotiator.is_own_and_fresh(&ticket)), "byte {at}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_ages_by_the_clock_of_its_negotiator() {
        let ([here, there], ada) = (fleet(), somebody("ada"));
        let ticket = read(here.issue(&random_id(), false, &ada).as_str(), &here).unwrap();
        assert!(!there.is_own_and_fresh(&ticket) || ticket.is_sealed_here);
        advance(Duration::from_secs(15)).await;
        assert!(here.is_own_and_fresh(&ticket));
        advance(Duration::from_secs(2)).await;
        assert!(!here.is_own_and_fresh(&ticket));
    }

    #[tokio::test]
    async fn it_tells_its_user_from_others_and_shows_neither() {
        let ([tickets, _], ada) = (fleet(), somebody("ada"));
        let of_ada =
            [(); 2].map(|()| read(tickets.issue(&random_id(), true, &ada).as_str(), &tickets).unwrap());
        assert_ne!(of_ada[0].identity, of_ada[1].identity, "nobody sees that two tokens are of one user");
        let user_match = |asks: &Requester| of_ada[0].user_match(&tickets.keys, asks).unwrap();
        assert_eq!(user_match(&ada), UserMatch::Same);
        assert_eq!(user_match(&somebody("bob")), UserMatch::Other);
        assert_eq!(user_match(&Requester { identity: Identity::NOBODY, ..ada }), UserMatch::Other);
    }

    #[test]
    fn the_user_id_of_the_hub_counts_where_it_is_in_the_token() {
        let [tickets, _] = fleet();
        let known = |id: &str, issuer: &str| {
            let mut principal = Principal::of_user(id);
            principal.issuer = Some(issuer.into());
            let user = Some(Identity::of_user(&id.into()));
            Requester { identity: Identity::of(Some(&principal)), user, ..somebody(id) }
        };
        let token = tickets.issue(&random_id(), true, &known("ada", "one"));
        let ticket = read(token.as_str(), &tickets).unwrap();
        let user_match = |asks: Requester| ticket.user_match(&tickets.keys, &asks).unwrap();
        assert_eq!(user_match(known("ada", "one")), UserMatch::Same);
        assert_eq!(user_match(known("ada", "two")), UserMatch::SameUserId);
        assert_eq!(user_match(known("bob", "one")), UserMatch::Other);
        assert_eq!(user_match(Requester { user: None, ..known("ada", "two") }), UserMatch::Other);
    }

    #[test]
    fn what_is_no_token_is_none() {
        for token in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", &"A".repeat(142), &"A".repeat(10_000), "\u{1f600}"] {
            assert!(Unverified::read(token).is_none(), "{token}");
        }
    }

    #[test]
    fn a_token_of_another_key_says_nothing() {
        let token = Tickets::of_process().issue(&random_id(), true, &somebody("ada"));
        assert_eq!(read(token.as_str(), &Tickets::of_process()), None);
    }
}
