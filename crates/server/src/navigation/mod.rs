//! Navigation state: which models there are, who serves them and how these are, told to every client of every instance.
//!
//! The truth is in the database ([`hubline_store::navigation`]), with its version. Each instance follows the version and tells its
//! own clients, from one task ([`follower`]), so a client sees one order whichever instance took a change. An instance that takes a
//! change says so on Redis ([`announcements`]); and each looks at the version every `Navigation:VersionCheckInterval`, so that
//! nobody stays behind when an instance dies between storing and telling, or while Redis is away.

mod announcements;
mod config;
mod event;
mod follower;
pub(crate) mod http;
mod scope;
mod shared;
mod view;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use hubline::{
    Caller, Clients, GroupError, GroupName, Groups, Hub, HubError, HubHandle, OrHubError, Server, State,
};
use hubline_redis::{RawChannels, RawPublishError};
use hubline_store::navigation::{LONGEST_NAME, NavigationStore};
use hubline_supervision::spawn;
use tokio_util::task::AbortOnDropHandle;

use self::announcements::{Announcements, Announcer, Listener};
pub use self::config::NavigationConfig;
use self::follower::Follower;
pub use self::scope::MODEL_SCOPE;
use self::scope::Scope;
pub use self::shared::NavigationCounters;
use self::shared::Shared;
use self::view::{NavigationState, UnixSeconds};

/// What the hub is called on Redis unless configured otherwise.
pub const NAME: &str = "NavigationStateHub";

/// What the hub's methods work with.
#[derive(Debug, Clone)]
pub struct HubState(Arc<Shared>);

/// The models that a connection has subscribed to.
#[derive(Debug, Clone, Default)]
struct Subscribed(BTreeSet<String>);

/// The running application. Cloning shares it; it ends when all clones are dropped.
#[derive(Clone)]
pub struct Navigation {
    shared: Arc<Shared>,
    hub: HubHandle,
    announcements: Option<Announcements>,
    _tasks: Arc<[AbortOnDropHandle<()>]>,
}

impl Navigation {
    /// Adds the hub to the server, as `adapt` makes it, and follows the database. `channels` are those of the backplane, if there is
    /// one: without them there are no other instances to tell.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(
        server: &Server,
        adapt: impl FnOnce(Hub<HubState>) -> Hub<HubState>,
        config: NavigationConfig,
        store: NavigationStore,
        channels: Option<RawChannels>,
    ) -> Self {
        let shared = Arc::new(Shared::new(config, store));
        let hub = server.add_hub(adapt(hub(HubState(Arc::clone(&shared)))));
        let mut tasks = vec![spawn(Follower::new(Arc::clone(&shared), hub.context().clone()))];
        let announcements = channels.map(Announcements::new);
        if let Some(announcements) = &announcements {
            let (shared, announcements) = (Arc::clone(&shared), announcements.clone());
            let taken = shared.taken();
            tasks.push(spawn(Listener { shared: Arc::clone(&shared), announcements: announcements.clone() }));
            tasks.push(spawn(Announcer { shared, announcements, taken }));
        }
        Self { shared, hub, announcements, _tasks: tasks.into() }
    }

    /// The hub.
    pub fn hub(&self) -> &HubHandle {
        &self.hub
    }

    /// What it has counted.
    pub fn counters(&self) -> Arc<NavigationCounters> {
        Arc::clone(&self.shared.counters)
    }

    /// Has every instance send `NavigationStateChanged` to its clients, whether the state has changed or not. Returns how many
    /// instances do.
    ///
    /// # Errors
    /// The other instances may not have been told.
    ///
    /// # Cancel safety
    /// Dropped early, some instances may send it and others not.
    pub async fn trigger(&self) -> Result<u64, RawPublishError> {
        self.trigger_at(UnixSeconds::now()).await
    }

    async fn trigger_at(&self, at: UnixSeconds) -> Result<u64, RawPublishError> {
        self.shared.trigger(at);
        match &self.announcements {
            Some(announcements) => announcements.trigger(at).await.map(|instances| instances.max(1)),
            None => Ok(1),
        }
    }
}

impl fmt::Debug for Navigation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Navigation").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// The hub `/hubs/navigation-state`.
///
/// From clients: `RequestCurrentState()`, which returns the state and sends it too; `SubscribeToModel(alias)`,
/// `UnsubscribeFromModel(alias)`. To clients: `NavigationStateChanged(state)`, `ModelMappingChanged(mapping)`, `ModelUpdate(mapping)`
/// for those subscribed to the model, `ProviderHealthChanged(provider)`.
fn hub(state: HubState) -> Hub<HubState> {
    Hub::with_state(NAME, state)
        .method("RequestCurrentState", request_current_state)
        .method("SubscribeToModel", subscribe_to_model)
        .method("UnsubscribeFromModel", unsubscribe_from_model)
        .on_connected(connected)
        .on_authentication_refreshed(refreshed)
        .on_disconnected(disconnected)
}

async fn request_current_state(
    State(HubState(shared)): State<HubState>,
    clients: Clients,
    caller: Caller,
) -> Result<NavigationState, HubError> {
    shared.refresh().await.map_err(|error| HubError::new(error.to_string()))?;
    send_state(&shared, &clients, &caller).await
}

async fn subscribe_to_model(groups: Groups, caller: Caller, alias: String) -> Result<(), HubError> {
    if alias.is_empty() || alias.chars().nth(LONGEST_NAME).is_some() {
        return Err(HubError::new(format!("A model's name has 1 to {LONGEST_NAME} characters.")));
    }
    if !scope_of(&caller).sees(&alias) {
        return Err(HubError::new("The model is not among those that may be seen with this key."));
    }
    groups.add(caller.connection_id(), model_group(&alias)).await?;
    caller.items().update(|subscribed: &mut Subscribed| subscribed.0.insert(alias));
    Ok(())
}

async fn unsubscribe_from_model(groups: Groups, caller: Caller, alias: String) -> Result<(), GroupError> {
    caller.items().update(|subscribed: &mut Subscribed| subscribed.0.remove(&alias));
    groups.remove(caller.connection_id(), model_group(&alias)).await
}

async fn connected(
    State(HubState(shared)): State<HubState>,
    clients: Clients,
    groups: Groups,
    caller: Caller,
) -> Result<(), HubError> {
    let scope = scope_of(&caller);
    shared.scopes.enter(&scope);
    if let Err(error) = groups.add(caller.connection_id(), scope.group()).await {
        shared.scopes.leave(&scope);
        return Err(error.into());
    }
    if scope.is_bounded() {
        caller.items().insert(scope);
    }
    // Without a state there is nothing to send, and the client may stay.
    if shared.config.send_state_on_connect && shared.refresh().await.is_ok() {
        send_state(&shared, &clients, &caller).await?;
    }
    Ok(())
}

/// A client whose new token names other models sees those from now on, and is sent the state with them. A connection that
/// would be told of those it had, or not of the new ones, is closed.
async fn refreshed(
    State(HubState(shared)): State<HubState>,
    clients: Clients,
    groups: Groups,
    caller: Caller,
) -> Result<(), HubError> {
    let scope = scope_of(&caller);
    let before: Scope = caller.items().get().unwrap_or_default();
    if scope == before {
        return Ok(());
    }
    shared.scopes.enter(&scope);
    caller.items().insert(scope.clone());
    shared.scopes.leave(&before);
    change_groups(&groups, &caller, &before, &scope).await.inspect_err(|_| caller.abort())?;
    // Behind the groups, so that no change falls between them. Without a state there is nothing to send, and the client may stay.
    if shared.refresh().await.is_ok() {
        send_state(&shared, &clients, &caller).await?;
    }
    Ok(())
}

async fn change_groups(
    groups: &Groups,
    caller: &Caller,
    before: &Scope,
    scope: &Scope,
) -> Result<(), GroupError> {
    let subscribed: Subscribed = caller.items().get().unwrap_or_default();
    for alias in subscribed.0.into_iter().filter(|alias| !scope.sees(alias)) {
        unsubscribe_from_model(groups.clone(), caller.clone(), alias).await?;
    }
    groups.remove(caller.connection_id(), before.group()).await?;
    groups.add(caller.connection_id(), scope.group()).await
}

async fn disconnected(State(HubState(shared)): State<HubState>, caller: Caller) {
    if let Some(scope) = caller.items().get::<Scope>() {
        shared.scopes.leave(&scope);
    }
}

/// Sends a client the state that was read last, in one order with what all clients are sent, and returns it.
async fn send_state(
    shared: &Shared,
    clients: &Clients,
    caller: &Caller,
) -> Result<NavigationState, HubError> {
    let _in_order = shared.order.read().await;
    let state = shared.state(&scope_of(caller)).or_hub_error("The navigation state cannot be read.")?;
    clients.caller().send("NavigationStateChanged", (&state,)).await?;
    Ok(state)
}

fn scope_of(caller: &Caller) -> Scope {
    Scope::of(caller.principal().as_deref())
}

/// The group of those who are told of this model.
fn model_group(alias: &str) -> GroupName {
    format!("model-{alias}").into()
}
