//! Extractors for the request that opened a connection.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use http::HeaderMap;
use hubline_pipe::{RequestContext, RequestParts};
use hubline_protocol::BindError;

use crate::request_parts::{Options, Parts};
use crate::{Binding, FromInvocation};

/// The headers of the request that opened the connection: of its WebSocket, its event stream or its first poll. A
/// WebSocket that takes the place of a lost one (stateful reconnect) brings newer ones.
///
/// The endpoint has to keep them (`EndpointOptions::keep_headers`): mapping the hub on one that does not panics.
///
/// ```
/// use hubline_hub::{Headers, Hub};
///
/// async fn language(headers: Headers) -> Option<String> {
///     headers.text("accept-language").map(str::to_owned)
/// }
/// let hub: Hub = Hub::new("Example").method("Language", language);
/// ```
#[derive(Debug, Clone)]
pub struct Headers(Arc<RequestContext>);

impl Headers {
    /// The first value of a header; `None` if there is none, or if it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.header(name)
    }
}

impl Deref for Headers {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        &self.0.headers
    }
}

/// The cookies of the request that opened the connection, from its [`Headers`], which the endpoint has to keep
/// (`EndpointOptions::keep_headers`).
///
/// ```
/// use hubline_hub::{Cookies, Hub};
///
/// async fn theme(cookies: Cookies) -> String {
///     cookies.get("theme").unwrap_or("light").to_owned()
/// }
/// let hub: Hub = Hub::new("Example").method("Theme", theme);
/// ```
#[derive(Debug, Clone)]
pub struct Cookies(Arc<RequestContext>);

impl Cookies {
    /// The value of the first cookie of this name, as it was sent: nothing is percent-decoded.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Names and values, in the order in which they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.cookies()
    }
}

/// A value that the host's middleware has put into the request that opened the connection, like that of axum's
/// `Extension` layer.
///
/// The endpoint has to keep extensions (`EndpointOptions::keep_extensions`): mapping the hub on one that does not
/// panics. A call fails if the request brought no value of this type.
///
/// ```
/// use hubline_hub::{Extension, Hub};
///
/// #[derive(Clone)]
/// struct Tenant(String);
///
/// async fn tenant(Extension(Tenant(name)): Extension<Tenant>) -> String {
///     name
/// }
/// let hub: Hub = Hub::new("Example").method("Tenant", tenant);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Extension<T>(pub T);

/// The IP address that the connection's request came from: the client's, or that of the last proxy which the host does not
/// look behind (`ForwardedHeaders`). Each endpoint keeps it. A call fails if the host does not tell it.
///
/// ```
/// use hubline_hub::{Hub, PeerAddress};
///
/// async fn is_local(PeerAddress(address): PeerAddress) -> bool {
///     address.is_loopback()
/// }
/// let hub: Hub = Hub::new("Example").method("IsLocal", is_local);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

impl<S> FromInvocation<S> for Headers {
    const REQUEST_PARTS: RequestParts = RequestParts::HEADERS;

    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        kept(binding, RequestParts::HEADERS).map(Self)
    }
}

impl<S> FromInvocation<S> for Cookies {
    const REQUEST_PARTS: RequestParts = RequestParts::HEADERS;

    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        kept(binding, RequestParts::HEADERS).map(Self)
    }
}

impl<S, T: Clone + Send + Sync + 'static> FromInvocation<S> for Extension<T> {
    const REQUEST_PARTS: RequestParts = RequestParts::EXTENSIONS;

    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        let request = kept(binding, RequestParts::EXTENSIONS)?;
        request.extensions.get::<T>().cloned().map(Self).ok_or_else(|| {
            BindError::new(format!(
                "the request that opened the connection has no extension of the type {}: add one in a middleware in \
                 front of the hub's path, like axum's `Extension` layer",
                std::any::type_name::<T>()
            ))
        })
    }
}

impl<S> FromInvocation<S> for PeerAddress {
    fn from_invocation(binding: &mut Binding<'_, S>) -> Result<Self, BindError> {
        binding.caller().info().remote_address.map(Self).ok_or_else(|| {
            BindError::new(
                "the address that the connection comes from is not known: serve with `hubline::serve`, or with axum's \
                 `into_make_service_with_connect_info::<SocketAddr>()`",
            )
        })
    }
}

/// The kept parts of the connection's request, these among them.
fn kept<S>(binding: &Binding<'_, S>, wanted: RequestParts) -> Result<Arc<RequestContext>, BindError> {
    let request = binding.caller().info().request.clone();
    let kept = request.as_ref().map_or(RequestParts::NONE, |request| request.kept);
    let missing = wanted.without(kept);
    request.filter(|_| missing == RequestParts::NONE).ok_or_else(|| {
        BindError::new(format!("the connection's endpoint keeps no {}: {}", Parts(missing), Options(missing)))
    })
}
