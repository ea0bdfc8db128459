//! Devices that connect while their user is called.

use std::collections::HashMap;

use hubline::{ConnectionId, UserId};
use parking_lot::Mutex;

use super::Shared;
use super::call::CallStatus;
use super::error::CallError;

/// Devices that are remembered while Redis cannot be asked.
const LIMIT: usize = 10_000;

/// The devices of which it is not known yet whether somebody calls.
#[derive(Debug, Default)]
pub(super) struct Late(Mutex<HashMap<ConnectionId, UserId>>);

impl Late {
    fn remember(&self, device: &ConnectionId, user: &UserId) {
        let mut late = self.0.lock();
        if late.len() < LIMIT {
            late.insert(device.clone(), user.clone());
        }
    }

    pub(super) fn forget(&self, device: &ConnectionId) {
        self.0.lock().remove(device);
    }

    fn any(&self) -> Option<(ConnectionId, UserId)> {
        self.0.lock().iter().next().map(|(device, user)| (device.clone(), user.clone()))
    }
}

impl Shared {
    /// A call that rings while one of the recipient's devices connects rings there too: at once, or when Redis can be asked.
    pub(super) async fn ring_late(&self, user: &UserId, device: &ConnectionId) {
        if self.try_ring_late(user, device).await.is_err() {
            self.late.remember(device, user);
            self.sessions.is_unwritten.notify_one();
        }
    }

    /// Asks for the devices that are remembered.
    ///
    /// # Errors
    /// Redis cannot be asked still.
    pub(super) async fn ring_all_late(&self) -> Result<(), CallError> {
        while let Some((device, user)) = self.late.any() {
            self.try_ring_late(&user, &device).await?;
            self.late.forget(&device);
        }
        Ok(())
    }

    async fn try_ring_late(&self, user: &UserId, device: &ConnectionId) -> Result<(), CallError> {
        let Some(id) = self.sessions.slot(user).await? else { return Ok(()) };
        let Some(session) = self.sessions.get(&id).await? else { return Ok(()) };
        let rings = session.call.status == CallStatus::Ringing && self.now() < session.state.ring_until;
        if !rings || session.call.recipient != *user {
            return Ok(());
        }
        let [offer, _] = self.sessions.descriptions(&id).await;
        if let Some(offer) = offer
            && let Err(error) = self.ring(&session, &offer, Some(device)).await
        {
            tracing::warn!(call = %id, %error, "A device that has connected could not be told that it is called");
        }
        Ok(())
    }
}
