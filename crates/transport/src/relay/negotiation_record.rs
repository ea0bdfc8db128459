//! The record of a connection of version 0, whose token says nothing, for other instances until it is claimed.

use hubline_backplane::InstanceId;
use serde::{Deserialize, Serialize};

use super::message::EncodedInstanceId;
use crate::identity::{EndpointId, Identity};
use crate::refusal::Refusal;
use crate::requester::Requester;

/// Who has negotiated a connection, where, and as what.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NegotiationRecord {
    by: EncodedInstanceId,
    is_stateful: bool,
    endpoint: EndpointId,
    identity: Identity,
}

impl NegotiationRecord {
    pub(super) fn of(negotiator: InstanceId, is_stateful: bool, requester: &Requester) -> Self {
        let (endpoint, identity) = (requester.endpoint, requester.identity);
        Self { by: negotiator.into(), is_stateful, endpoint, identity }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        rmp_serde::to_vec(self).unwrap_or_default()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(bytes).ok()
    }

    pub(super) fn negotiator(&self) -> InstanceId {
        self.by.into()
    }

    /// Whether the connection may be opened where its negotiator is not; then, whether stateful reconnect was granted.
    pub(super) fn may_open(&self, requester: &Requester) -> Result<bool, Refusal> {
        match () {
            () if self.endpoint != requester.endpoint => Err(Refusal::Unknown),
            () if self.identity != requester.identity => Err(Refusal::AnotherUser),
            () => Ok(self.is_stateful),
        }
    }
}
