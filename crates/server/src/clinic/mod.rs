//! What a clinic answers for: who is kept out, the audit of sign-ins, how long what is stored is kept, and the admin API for these and
//! for consultations.
//!
//! It has no hub. Every hub has its [`Clinic::admission`] as a filter, and the routes of all hubs stand behind [`Clinic::guard`].

mod announcements;
mod api;
mod config;
mod gate;
mod known_bans;
mod maintenance;
mod sign_ins;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use hubline::{HubFilter, Server};
use hubline_redis::RawChannels;
use hubline_store::{Store, Timestamp};
use hubline_supervision::spawn;
use tokio_util::task::AbortOnDropHandle;
use utoipa_axum::router::OpenApiRouter;

use crate::refused::Refusals;
use announcements::{Announcement, Listening};
pub use config::RetentionConfig;
use gate::{Admission, Gate, Reloading, refuse};
use maintenance::{Maintenance, Work};
use sign_ins::{SignIns, Writing};

/// How long sign-ins that wait for the audit may take when the process ends.
const CLOSING: Duration = Duration::from_secs(2);

/// What a clinic answers for. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Clinic {
    store: Store,
    gate: Gate,
    sign_ins: Arc<SignIns>,
    work: Arc<Work>,
    channels: Option<RawChannels>,
    _tasks: Arc<[AbortOnDropHandle<()>]>,
}

/// What has been counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClinicStatistics {
    /// Users who are kept out now, as far as this instance knows.
    pub banned_users: usize,
    /// Requests of users who are kept out, which were answered 403.
    pub banned_requests_refused: u64,
    /// Requests of users whose id is too long for the database or has control characters in it.
    pub unusable_user_ids_refused: u64,
    /// Connections of this instance that were closed because their user was to be.
    pub connections_closed: u64,
    /// Sign-ins that this instance has written into the audit.
    pub sign_ins_written: u64,
    /// Sign-ins that are missing in the audit.
    pub sign_ins_lost: u64,
    /// Rows that this instance has deleted by age.
    pub rows_deleted_by_age: u64,
}

/// What became of an announcement.
struct Told {
    /// Connections of this instance that it closed.
    closed_here: usize,
    /// How many instances were told; 0 if they could not be.
    instances: u64,
}

impl Clinic {
    /// Begins to keep users out, on the connections of `server`. Without `channels` there are no other instances to tell, or to hear
    /// from. While the database is away, it begins with nobody, and learns of bans when the database is back.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start(
        retention: RetentionConfig,
        store: Store,
        server: &Server,
        channels: Option<RawChannels>,
    ) -> Self {
        let gate = Gate::new(server.clone(), store.clone());
        let (sign_ins, work) = (Arc::<SignIns>::default(), Arc::<Work>::default());
        let mut tasks = Vec::new();
        if let Some(channels) = &channels {
            tasks.push(spawn(Listening::start(channels, gate.clone()).await));
        }
        // Who is out is known before anybody can come.
        let has_failed = gate.reload().await.is_err();
        tasks.push(spawn(Reloading { gate: gate.clone(), has_failed }));
        tasks.push(spawn(Writing::new(Arc::clone(&sign_ins), store.clone())));
        tasks.push(spawn(Maintenance::new(Arc::clone(&work), retention, store.clone())));
        Self { store, gate, sign_ins, work, channels, _tasks: tasks.into() }
    }

    /// A filter for the hub at `path`, which refuses who was banned while connecting, and notes who has signed in. It costs calls
    /// nothing.
    pub fn admission(&self, path: &'static str) -> impl HubFilter {
        Admission { gate: self.gate.clone(), sign_ins: Arc::clone(&self.sign_ins), hub: path }
    }

    /// Puts the routes of hubs behind the gate, which tells `told` of whom it refuses. The layer that authenticates comes before it.
    pub(crate) fn guard(&self, routes: Router, told: Refusals) -> Router {
        routes.layer(from_fn_with_state((self.gate.clone(), told), refuse))
    }

    /// The routes of the admin API.
    pub fn routes(&self) -> OpenApiRouter {
        api::routes().with_state(self.clone())
    }

    /// Closes a user's connections on every instance, and lets the user in on none before a time, which is in the database already.
    pub async fn keep_out(&self, user: &str, until: Timestamp) {
        self.tell(&Announcement::ban(user, until)).await;
    }

    /// Does what is announced on this instance, and tells the others.
    async fn tell(&self, announcement: &Announcement) -> Told {
        let closed_here = self.gate.act(announcement);
        let Some(channels) = &self.channels else { return Told { closed_here, instances: 1 } };
        let told = announcement.publish(channels).await;
        let instances = told.unwrap_or_else(|error| {
            tracing::warn!(%error, "The other instances were not told about a user who is to stay out or may come again; they ask the database each 10 s");
            0
        });
        Told { closed_here, instances }
    }

    /// What there is to count.
    pub fn statistics(&self) -> ClinicStatistics {
        let (banned_users, banned_requests_refused, connections_closed, unusable_user_ids_refused) =
            self.gate.counts();
        let (sign_ins_written, sign_ins_lost) = self.sign_ins.counts();
        ClinicStatistics {
            banned_users,
            banned_requests_refused,
            unusable_user_ids_refused,
            connections_closed,
            sign_ins_written,
            sign_ins_lost,
            rows_deleted_by_age: self.work.deleted(),
        }
    }

    /// Writes what waits for the audit, in 2 s at most. Called when the process ends and nobody is connected any more.
    pub async fn close(&self) {
        if !self.sign_ins.settled(CLOSING).await {
            tracing::error!(
                "The last sign-ins are missing in the audit: the database did not take them in time"
            );
        }
    }
}
