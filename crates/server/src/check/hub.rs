//! The hub that messages of `hubline check` go through.

use hubline::{Caller, Clients, GroupName, Groups, Hub, HubError};

/// What it is called on Redis.
pub(crate) const NAME: &str = "HublineCheck";
/// From clients: `Join(run)` takes part in a run, `Send(run, from)` sends to all that do.
pub(crate) const JOIN: &str = "Join";
pub(crate) const SEND: &str = "Send";
/// To clients: `Received(from)`.
pub(crate) const RECEIVED: &str = "Received";

/// What a run and a sender may be called: letters and digits, so many.
const LONGEST_NAME: usize = 32;

pub(super) fn hub() -> Hub {
    Hub::new(NAME).method(JOIN, join).method(SEND, send)
}

/// The channel that the messages of a run go through, behind the prefix.
pub(crate) fn group_channel(run: &str) -> String {
    format!("{NAME}:group:{run}")
}

async fn join(groups: Groups, caller: Caller, run: String) -> Result<(), HubError> {
    groups.add(caller.connection_id(), group(&run)?).await?;
    Ok(())
}

async fn send(clients: Clients, run: String, from: String) -> Result<(), HubError> {
    checked(&from)?;
    clients.group(group(&run)?).send(RECEIVED, (from,)).await?;
    Ok(())
}

fn group(run: &str) -> Result<GroupName, HubError> {
    checked(run)?;
    Ok(run.to_owned().into())
}

fn checked(name: &str) -> Result<(), HubError> {
    let is_name =
        (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match is_name {
        true => Ok(()),
        false => Err(HubError::new(format!("Expected 1 to {LONGEST_NAME} letters and digits."))),
    }
}
