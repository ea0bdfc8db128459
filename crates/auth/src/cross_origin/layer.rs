//! CORS, and the same for WebSockets, to which browsers do not apply CORS.
//!
//! tower-http's `CorsLayer` could answer the preflights alone, and other than ASP.NET Core: with 200 instead of 204, and with `Vary` on
//! every response. Refusing WebSockets, telling the server's own pages, logging and counting would be a second layer around it,
//! which would have to judge each origin again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue,
    ORIGIN, UPGRADE, VARY,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use super::{AllowedOrigins, Origin};
use crate::authority;
use crate::refusals::{Hook, LayerRefusal, Refusals};

/// A [`Layer`] that lets pages of some origins use a server, with credentials, and keeps those of others out.
///
/// - Pages of allowed origins get what they ask for: any method, any header, and their cookies.
/// - Pages of other origins cannot read the responses to their requests, and cannot open WebSockets: these
///   get 403. A browser lets any page open one, with the cookies of the server, and only the server can
///   tell by `Origin` (RFC 6455, section 10.2).
/// - Requests without `Origin` pass, as they come from no page. So do those of the server's own pages, whose
///   origin has the host of the `Host` header. Ports are compared only if both name one, since many proxies pass on
///   the host alone; schemes are not, since TLS usually ends at the proxy.
/// - Each of the first ten origins that are refused is logged once, as a warning; all are
///   [counted](CrossOrigin::refused).
///
/// The answers are those of ASP.NET Core's `AllowCredentials().AllowAnyHeader().AllowAnyMethod()`, which
/// does not guard WebSockets.
///
/// ```
/// use hubline_auth::{AllowedOrigins, CrossOrigin};
///
/// # fn main() -> Result<(), hubline_auth::InvalidOrigin> {
/// let layer = CrossOrigin::new(AllowedOrigins::List(vec!["https://chat.example.org".parse()?]));
/// # let app: axum::Router = axum::Router::new();
/// let app = app.layer(layer);
/// # drop(app);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CrossOrigin(Arc<Shared>, Hook);

#[derive(Debug)]
struct Shared {
    allowed: AllowedOrigins,
    refusals: Refusals,
}

impl CrossOrigin {
    /// A layer that allows these origins.
    pub fn new(allowed: AllowedOrigins) -> Self {
        Self(Arc::new(Shared { allowed, refusals: Refusals::default() }), Hook::default())
    }

    /// Has something told of each request of a page that is not let in, with the reason `origin`. It is called on the thread of the request
    /// and has to be quick.
    #[must_use]
    pub fn on_refusal(self, told: impl Fn(&LayerRefusal<'_>) + Send + Sync + 'static) -> Self {
        Self(self.0, Hook::new(told))
    }

    /// How many requests came from pages of other origins, through this layer and its clones.
    pub fn refused(&self) -> u64 {
        self.0.refusals.total()
    }
}

impl<S> Layer<S> for CrossOrigin {
    type Service = CrossOriginService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CrossOriginService { inner, shared: Arc::clone(&self.0), hook: self.1.clone() }
    }
}

/// The service that [`CrossOrigin`] makes of another one.
#[derive(Debug, Clone)]
pub struct CrossOriginService<S> {
    inner: S,
    shared: Arc<Shared>,
    hook: Hook,
}

/// The origin of a request, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Caller {
    /// No `Origin`, or the server's own.
    Own,
    /// A page that is allowed, of this origin.
    Allowed(HeaderValue),
    /// A page that is not.
    Foreign,
}

impl<S, B, R> Service<Request<B>> for CrossOriginService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Default + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let caller = self.shared.caller(&request);
        if caller == Caller::Foreign {
            self.shared.refuse(&request);
            self.hook.tell(&request, "origin");
        }
        let response = match caller {
            Caller::Own => return Box::pin(self.inner.call(request)),
            Caller::Allowed(origin) if preflight => preflight_response(request.headers(), origin),
            Caller::Allowed(origin) => {
                let response = self.inner.call(request);
                return Box::pin(async move {
                    let mut response = response.await?;
                    allow(&mut response, origin);
                    Ok(response)
                });
            }
            Caller::Foreign if preflight => bare(StatusCode::NO_CONTENT),
            Caller::Foreign if is_web_socket(&request) => bare(StatusCode::FORBIDDEN),
            Caller::Foreign => return Box::pin(self.inner.call(request)),
        };
        Box::pin(std::future::ready(Ok(response)))
    }
}

impl Shared {
    fn caller<B>(&self, request: &Request<B>) -> Caller {
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let (header, origin) = match (origins.next(), origins.next()) {
            (None, _) => return Caller::Own,
            (Some(header), _) if header.is_empty() => return Caller::Own,
            (Some(header), None) => (header, header.to_str().unwrap_or_default()),
            (Some(_), Some(_)) => return Caller::Foreign,
        };
        if self.allowed.contains(origin) {
            return Caller::Allowed(header.clone());
        }
        let at_host = |origin: Origin| host_of(request).is_some_and(|host| origin.is_at(host));
        match origin.parse().is_ok_and(at_host) {
            true => Caller::Own,
            false => Caller::Foreign,
        }
    }

    fn refuse<B>(&self, request: &Request<B>) {
        let origins = request.headers().get_all(ORIGIN).iter();
        let origins: Vec<_> = origins.map(|origin| String::from_utf8_lossy(origin.as_bytes())).collect();
        if let Some(origin) = self.refusals.count(&origins.join(", ")) {
            let host = host_of(request).unwrap_or_default();
            tracing::warn!(
                %origin,
                host,
                "Pages of this origin are refused: it is not the server's own, which has the host of the Host header, \
                 and is not allowed. Cors:AllowedOrigins of the hubline program, AllowedOrigins in code, lets it in. \
                 Further requests of it are only counted"
            );
        }
    }
}

/// The host a request is for: `Host`, or `:authority` in HTTP/2. `None` if it names several.
fn host_of<B>(request: &Request<B>) -> Option<&str> {
    let mut named = authority::named(request);
    let host = std::str::from_utf8(named.next()?).ok()?;
    named.all(|other| other.eq_ignore_ascii_case(host.as_bytes())).then_some(host)
}

/// Whether a WebSocket is asked for: RFC 6455, section 4.1, or by CONNECT in RFC 8441.
fn is_web_socket<B>(request: &Request<B>) -> bool {
    request.method() == Method::CONNECT || names_web_socket(request.headers())
}

fn names_web_socket(headers: &HeaderMap) -> bool {
    let protocols = headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    protocols
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// Tells the browser that its page may see this response.
fn allow<R>(response: &mut Response<R>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// Allows whatever the browser asks for.
fn preflight_response<R: Default>(request: &HeaderMap, origin: HeaderValue) -> Response<R> {
    let mut response = bare(StatusCode::NO_CONTENT);
    allow(&mut response, origin);
    let asked = [
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
    ];
    for (asked, allowed) in asked {
        if let Some(value) = request.get(asked) {
            response.headers_mut().insert(allowed, value.clone());
        }
    }
    response
}

fn bare<R: Default>(status: StatusCode) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
