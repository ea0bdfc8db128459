//! Everything under one hub path.

mod long_polling;
mod negotiate;
mod refresh;
mod refused;
mod send;
mod server_sent_events;
mod transport;
mod web_socket;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{Request, Response, StatusCode};
use hubline_identity::{Access, Principal};
use hubline_pipe::{Accepted, ConnectionHandler, ConnectionInfo, Resumable, resumption};
use hubline_protocol::ConnectionId;
use hubline_protocol::negotiate::TransportKind;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::long_polling::WaitingPoll;
use crate::address_limits::{Counted, OverLimit};
use crate::authentication::{Authentication, Credentials, Expiry, RefreshRules};
use crate::connection_manager::{Attachment, ConnectionManager, Found, Owner};
use crate::identity::{EndpointId, Identity, Presented};
use crate::refusal::Refusal;
use crate::relay::{Relay, RemoteConnection};
use crate::request::{RequestKind, public_query};
use crate::request_context::request_context;
use crate::requester::{Purpose, Requester};
use crate::response::{because, empty, not_stored, text};
use crate::tickets::Verified;
use crate::{Body, Connections, EndpointOptions, ExpiredPrincipals, RemoteAddress};

/// Answers the requests to one hub path and to its `/negotiate`. Cloning shares it.
///
/// Source: TransportProtocols.md, and the recorded cases `negotiate`, `transports`, `server-sent-events`,
/// `long-polling`, `authorization` and `stateful-reconnect`.
#[derive(Clone)]
pub struct Endpoint(Arc<Shared>);

struct Shared {
    id: EndpointId,
    handler: Arc<dyn ConnectionHandler>,
    connections: ConnectionManager,
    relay: Option<Arc<Relay>>,
    options: Arc<EndpointOptions>,
    /// Where clients may refresh their authentication.
    refresh_rules: Option<Arc<RefreshRules>>,
    tasks: TaskTracker,
}

/// A connection that a request has been let through to.
enum Admitted<'a> {
    Here(Found),
    /// The instance that has it judges what the token does not tell.
    Remote(&'a Relay, Box<RemoteConnection>),
}

/// Where a connection is.
enum Located<'a> {
    Here(Found),
    /// It was negotiated here, and its token is all there is of it.
    Unclaimed(Box<Verified>),
    Remote(&'a Relay, Box<RemoteConnection>),
    /// Nowhere, as far as this endpoint is concerned.
    Unknown,
}

impl Endpoint {
    /// An endpoint that gives its connections to `handler` and runs them as tasks of `tasks`. Its name is `path`, unless the
    /// options have another.
    ///
    /// # Panics
    /// `connections` has an endpoint of that name already.
    #[track_caller]
    pub fn new(
        path: &str,
        handler: Arc<dyn ConnectionHandler>,
        connections: Connections,
        options: EndpointOptions,
        tasks: TaskTracker,
    ) -> Self {
        let options = Arc::new(options);
        let refresh_rules = options
            .enable_authentication_refresh
            .then(|| Arc::new(RefreshRules { handler: Arc::clone(&handler), options: Arc::clone(&options) }));
        let Connections { manager: connections, relay } = connections;
        let id = connections.add_endpoint(options.name.as_deref().unwrap_or(path), refresh_rules.clone());
        Self(Arc::new(Shared { id, handler, connections, relay, options, refresh_rules, tasks }))
    }

    /// Answers one request. Of its path only the end counts: `/negotiate` is a negotiation, `/refresh` a refresh.
    ///
    /// Three extensions of the request are read: its principal is an `Arc<Principal>`, the principal of an expired token an
    /// [`ExpiredPrincipal`] (see [`EndpointOptions::expired_principals`]), and the address that it comes from a
    /// [`RemoteAddress`].
    ///
    /// [`ExpiredPrincipal`]: hubline_identity::ExpiredPrincipal
    ///
    /// # Cancel safety
    /// Safe: dropping the future means that the client has left. A poll loses no message then; the part of a POST's body
    /// that was read stays with the connection.
    pub fn respond<B>(&self, request: Request<B>) -> impl Future<Output = Response<Body>> + Send + use<B>
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Send,
    {
        let shared = Arc::clone(&self.0);
        async move {
            // In a box, which is gone while a poll waits.
            match Box::pin(shared.answer(request)).await {
                Ok(response) => response,
                Err(poll) => not_stored(poll.answer().await),
            }
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Shared {
    /// # Errors
    /// The request is a poll, which waits.
    async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Result<Response<Body>, WaitingPoll>
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Send,
    {
        let (mut parts, body) = request.into_parts();
        let answered = self.respond(&mut parts, body).await;
        if let Ok(response) = &answered {
            self.tell_refused(&parts, response);
        }
        answered
    }

    async fn respond<B: http_body::Body>(
        self: &Arc<Self>,
        parts: &mut Parts,
        body: B,
    ) -> Result<Response<Body>, WaitingPoll> {
        let kind = RequestKind::of(parts, self.options.enable_authentication_refresh);
        match self.access(parts, kind) {
            Access::Granted => {}
            Access::Unauthenticated => {
                let is_expired = matches!(Presented::of(parts), Presented::Expired(_));
                let reason = if is_expired { "expired" } else { "unauthenticated" };
                return Ok(because(reason, empty(StatusCode::UNAUTHORIZED)));
            }
            Access::Forbidden => return Ok(because("forbidden", empty(StatusCode::FORBIDDEN))),
        }
        Ok(match kind {
            RequestKind::Negotiate => self.negotiate(parts).await,
            RequestKind::Refresh => self.refresh(parts).await,
            RequestKind::WebSocket => self.web_socket(parts).await,
            RequestKind::ServerSentEvents => self.server_sent_events(parts).await,
            RequestKind::Poll => not_stored(self.poll(parts).await?),
            RequestKind::Send => self.send(parts, body).await,
            RequestKind::Delete => self.delete(parts).await,
            RequestKind::NotAllowed => text(StatusCode::METHOD_NOT_ALLOWED, ""),
            RequestKind::NotThere => empty(StatusCode::NOT_FOUND),
        })
    }

    /// Whether the endpoint's policy lets a request in. That comes before everything else, as in a host's middleware.
    fn access(&self, parts: &Parts, kind: RequestKind) -> Access {
        let presented = Presented::of(parts);
        let expired = self.expired(&presented);
        if expired.is_some() && !kind.may_go_on(parts) {
            return Access::Unauthenticated;
        }
        let Some(policy) = &self.options.authorization else { return Access::Granted };
        policy.evaluate(expired.or(presented.principal()).map(|principal| &**principal))
    }

    /// The principal of an expired token, where the endpoint lets it go on with its own connections.
    fn expired<'a>(&self, presented: &'a Presented) -> Option<&'a Arc<Principal>> {
        match (presented, self.options.expired_principals) {
            (Presented::Expired(principal), ExpiredPrincipals::KeepOwnConnections) => Some(principal),
            _ => None,
        }
    }

    /// Whether a request may open a connection, which an expired token may not.
    ///
    /// # Errors
    /// [`Refusal::Expired`].
    fn may_open(&self, parts: &Parts) -> Result<(), Refusal> {
        match self.expired(&Presented::of(parts)) {
            Some(_) => Err(Refusal::Expired),
            None => Ok(()),
        }
    }

    /// Finds the connection of a request and lets the request through the gate, or returns the refusal. Every request
    /// reaches its connection in this way alone, and nothing is done for it before.
    async fn admit(&self, parts: &Parts, purpose: Purpose, token: &str) -> Result<Admitted<'_>, Refusal> {
        let mut requester = self.requester(parts, purpose);
        let located = self.locate(parts, token, &mut requester).await;
        if !matches!(located, Located::Unknown) && !self.offers(purpose) {
            return Err(Refusal::NotOffered);
        }
        let admitted = match located {
            Located::Here(found) => requester.check(&found).await.map(|()| Admitted::Here(found)),
            Located::Unclaimed(verified) => {
                self.admit_unclaimed(parts, token, &verified, &requester).await.map(Admitted::Here)
            }
            Located::Remote(relay, remote) => remote.check_token().map(|()| Admitted::Remote(relay, remote)),
            Located::Unknown => Err(Refusal::Unknown),
        };
        if let (Err(Refusal::AnotherUser), Presented::Expired(who)) = (&admitted, Presented::of(parts)) {
            tracing::debug!(user = ?who.name_identifier, ?purpose, "refused: the token has expired, so it is nobody's");
        }
        admitted
    }

    /// Lets a request through to a connection that nobody had claimed, and claims it.
    async fn admit_unclaimed(
        &self,
        parts: &Parts,
        token: &str,
        verified: &Verified,
        requester: &Requester,
    ) -> Result<Found, Refusal> {
        requester.check_unclaimed(verified.user_match)?;
        let ticket = &verified.ticket;
        match requester.purpose {
            Purpose::Transport(transport) => {
                let owner =
                    self.owner(requester, || self.info(parts, ticket.id.clone(), token, transport), true);
                self.connections.claim(token, ticket, owner)?;
            }
            _ => self.connections.claim_for_refresh(token, ticket, requester)?,
        }
        let found = self.connections.find(token).ok_or(Refusal::Unknown)?;
        requester.check(&found).await?;
        Ok(found)
    }

    /// Finds the connection of a token.
    async fn locate(&self, parts: &Parts, token: &str, requester: &mut Requester) -> Located<'_> {
        if let Some(found) = self.connections.find(token) {
            let is_own = found.owner.endpoint == self.id;
            return if is_own { Located::Here(found) } else { Located::Unknown };
        }
        requester.user = self.user(parts);
        let verified = self.connections.read(token, requester).await;
        match verified {
            Some(verified) if self.connections.is_unclaimed(&verified.ticket) => {
                Located::Unclaimed(Box::new(verified))
            }
            verified => {
                let Some(relay) = self.relay.as_deref() else { return Located::Unknown };
                match relay.remote_connection(token, verified, requester) {
                    Some(remote) => Located::Remote(relay, Box::new(remote)),
                    None => Located::Unknown,
                }
            }
        }
    }

    /// Counts a connection that is about to be opened for the address that it comes from.
    fn count(&self, parts: &Parts) -> Result<Option<Box<Counted>>, OverLimit> {
        self.connections.limiter().map_or(Ok(None), |limiter| limiter.open(&parts.extensions))
    }

    /// Counts a negotiation for the address that it comes from.
    fn count_negotiation(&self, parts: &Parts) -> Result<(), OverLimit> {
        self.connections.limiter().map_or(Ok(()), |limiter| limiter.negotiate(&parts.extensions))
    }

    fn offers(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Transport(transport) => self.options.offers(transport),
            Purpose::Send | Purpose::Delete | Purpose::Refresh => true,
        }
    }

    /// Who makes a request, and the credentials that it may refresh a connection with.
    fn requester(&self, parts: &Parts, purpose: Purpose) -> Requester {
        let presented = Presented::of(parts);
        let principal = presented.principal();
        let expired = self.expired(&presented);
        let identity = Identity::of(expired.or(principal).map(|principal| &**principal));
        let may_refresh = self.refresh_rules.is_some()
            && expired.is_none()
            && !matches!(purpose, Purpose::Send | Purpose::Delete);
        let credentials = may_refresh.then(|| {
            let query = public_query(parts.uri.query().unwrap_or_default());
            Box::new(Credentials { principal: principal.cloned(), query })
        });
        let is_expired = expired.is_some();
        Requester { purpose, endpoint: self.id, identity, user: None, credentials, is_expired }
    }

    /// The user id that the hub would give the request's principal, where authentication refresh is on.
    fn user(&self, parts: &Parts) -> Option<Identity> {
        let rules = self.refresh_rules.as_ref()?;
        let transport = self.options.transports.first().copied().unwrap_or(TransportKind::WebSockets);
        // Whom the connection belongs to is not a matter of its id.
        let user =
            rules.handler.user_id(&self.info(parts, ConnectionId::from(""), "of another", transport))?;
        Some(Identity::of_user(&user))
    }

    /// What is known from this request of the connection with this id and token.
    fn info(&self, parts: &Parts, id: ConnectionId, token: &str, transport: TransportKind) -> ConnectionInfo {
        ConnectionInfo {
            is_id_secret: id.as_str() == token,
            id,
            transport,
            principal: Presented::of(parts).principal().cloned(),
            path: parts.uri.path().into(),
            query: public_query(parts.uri.query().unwrap_or_default()),
            remote_address: parts.extensions.get::<RemoteAddress>().map(|address| address.0),
            request: request_context(parts, self.options.kept_request_parts),
        }
    }

    /// The owner of a connection that this request negotiates or opens.
    fn owner(&self, requester: &Requester, info: impl FnOnce() -> ConnectionInfo, has_secret: bool) -> Owner {
        let authentication = self
            .refresh_rules
            .as_ref()
            .map(|rules| Authentication::new(Arc::clone(rules), info(), has_secret));
        Owner { endpoint: self.id, identity: requester.identity, authentication }
    }

    /// Gives a connection to the handler, for its whole life.
    fn start(&self, accepted: Accepted, place: Attachment) {
        let connection = self.handler.run(accepted);
        self.tasks.spawn(async move {
            connection.await;
            drop(place);
        });
    }

    /// When the connection's authentication ends after this request.
    fn expiry(&self, parts: &Parts) -> Expiry {
        match self.expired(&Presented::of(parts)) {
            Some(_) => Expiry::Unchanged,
            None => Expiry::At(self.expires(parts)),
        }
    }

    /// When the authentication of this request ends, if connections end with it.
    fn expires(&self, parts: &Parts) -> Option<Instant> {
        self.options.closes_at(self.authentication_end(parts))
    }

    fn authentication_end(&self, parts: &Parts) -> Option<SystemTime> {
        self.options.authentication_end(Presented::of(parts).principal().map(|principal| &**principal))
    }
}

/// For a connection with stateful reconnect on a transport that cannot be resumed: its messages are counted, but no new
/// pipe ever comes.
fn never_resumed() -> Resumable {
    let (_, resumable) = resumption();
    resumable
}
