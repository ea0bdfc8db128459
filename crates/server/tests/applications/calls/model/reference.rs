//! What a call is, and what each step makes of it, as `docs/calls.md` has it.

use serde_json::Value;

/// What a device does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Accept,
    Reject,
    End,
    Candidate,
    Toggle,
    Rejoin,
}

/// A call as both sides know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Model {
    /// 0 rings, 1 goes on, 2 was rejected, 3 has ended.
    pub(super) status: u64,
    pub(super) users: [String; 2],
    /// Caller and recipient: the connection, and whether it is lost.
    pub(super) sides: [(Option<String>, bool); 2],
}

impl Model {
    /// From the entry in Redis and the state beside it.
    pub(super) fn read(data: &Value, state: &Value) -> Self {
        let user = |name: &str| data[name].as_str().unwrap().to_owned();
        let side = |name: &str| {
            let side = &state[name];
            (side["connection"].as_str().map(str::to_owned), !side["lost_until"].is_null())
        };
        Self {
            status: data["Status"].as_u64().unwrap(),
            users: [user("InitiatorId"), user("RecipientId")],
            sides: [side("caller"), side("recipient")],
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.status > 1
    }

    /// Does it. What the device is told if that is an error, by the end of its text.
    pub(super) fn act(&mut self, act: Act, user: &str, connection: &str) -> Result<(), &'static str> {
        let Some(side) = self.users.iter().position(|name| name == user) else {
            return Err("there is no such call");
        };
        if self.is_over() {
            return if act == Act::End { Ok(()) } else { Err("the call is over") };
        }
        let carrier = self.sides[side].0.clone();
        let is_elsewhere = carrier.as_deref().is_some_and(|carrier| carrier != connection);
        match act {
            Act::End => self.status = 3,
            Act::Accept | Act::Reject if side == 0 => {
                return Err("only the user who is called can accept or reject a call; EndCall takes it back");
            }
            Act::Accept | Act::Reject if self.status == 1 => {
                return Err("the call was answered by another connection of yours");
            }
            Act::Accept | Act::Reject => {
                self.status = if act == Act::Accept { 1 } else { 2 };
                self.sides[1].0 = Some(connection.to_owned());
            }
            Act::Rejoin | Act::Toggle if carrier.is_none() => {
                return Err("the call was not accepted yet: AcceptCall accepts it");
            }
            Act::Rejoin => self.sides[side] = (Some(connection.to_owned()), false),
            Act::Toggle | Act::Candidate if is_elsewhere => {
                return Err("another connection of yours has this call: RejoinCall moves it to this one");
            }
            Act::Toggle | Act::Candidate => {}
        }
        Ok(())
    }

    /// The connection has ended.
    pub(super) fn lose(&mut self, connection: &str) {
        if !self.is_over() {
            for side in self.sides.iter_mut().filter(|side| side.0.as_deref() == Some(connection)) {
                side.1 = true;
            }
        }
    }

    /// The time of ringing, or of coming back, is over.
    pub(super) fn expire(&mut self) {
        match self.status {
            0 => self.status = 2,
            1 if self.sides.iter().any(|side| side.1) => self.status = 3,
            _ => {}
        }
    }
}
