//! How a connection of a run begins: it is opened, and joins its group.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::link::Link;
use crate::client::message::{self, HubMessage, push_invocation};
use crate::client::{ConnectError, ConnectOptions, ConnectPhase};
use crate::plan::filled;
use crate::plan::template::Fill;
use crate::run::inbox::Inbox;
use crate::run::shared::{Shared, Slot};
use crate::wire::connection::{COMPLETION, INVOCATION};

/// Opens a connection and joins its group. The calls that this took are counted from 1.
pub(super) async fn connect(
    shared: &Arc<Shared>,
    index: usize,
    options: &Arc<ConnectOptions>,
) -> Result<(Link, Inbox, u64), ConnectError> {
    let slot = &shared.slots[index];
    let role = shared.plan.role(slot.number);
    let opened = Link::open(&shared.network, role.url(slot.number), options).await;
    let (mut link, times) = opened?;
    shared.shard(index).lock().phases.record(&times);
    let mut inbox = Inbox::new(shared, index, link.protocol());
    link.push_ping();
    let calls = join(&mut link, &mut inbox, options.timeout).await?;
    Ok((link, inbox, calls))
}

async fn join(link: &mut Link, inbox: &mut Inbox, wait: Duration) -> Result<u64, ConnectError> {
    let shared = Arc::clone(&inbox.shared);
    let slot = &shared.slots[inbox.index];
    let role = shared.plan.role(slot.number);
    let Some((method, arguments)) = &role.join else { return Ok(0) };
    let failed = |text: String| ConnectError::new(ConnectPhase::Handshake, format!("{method}: {text}"));
    let group = group_name(&shared, slot);
    let fill = Fill { connection: slot.number, group: &group, role: &role.name, ..Fill::default() };
    let mut call = Vec::new();
    push_invocation(&mut call, link.protocol(), INVOCATION, Some("1"), method, &filled(arguments, &fill));
    link.push(INVOCATION, &call);
    let mut answer = None;
    let protocol = link.protocol();
    let deadline = Instant::now() + wait;
    while answer.is_none() {
        let mut take = |kind: u8, message: &[u8]| {
            if kind == COMPLETION {
                answer = Some(message::read(protocol, message));
            } else {
                inbox.take(Instant::now(), kind, message);
            }
        };
        tokio::time::timeout_at(deadline, link.receive(usize::MAX, &mut take))
            .await
            .map_err(|_| failed("no answer".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
    }
    match answer {
        Some(HubMessage::Completion { outcome: Err(error), .. }) => Err(failed(error)),
        _ => Ok(1),
    }
}

pub(super) fn group_name(shared: &Shared, slot: &Slot) -> String {
    format!("load-{}", shared.plan.role(slot.number).group(slot.rank))
}
