//! Host filtering.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use super::AllowedHost;
use crate::authority::{self, host_and_port};
use crate::refusals::{Hook, LayerRefusal, Refusals};

/// A [`Layer`] that answers 400 to requests for other hosts, as ASP.NET Core's host filtering does.
///
/// It belongs in front of everything. A server that is reached under any name also is under an attacker's: a page
/// there whose name suddenly means this server (DNS rebinding) counts as the server's own page, and can read what only
/// this machine or this network should.
///
/// - Only names count, not ports. A request for an IP address passes only if that address is listed, so list what
///   probes and load balancers name.
/// - A request without `Host`, which HTTP/1.0 allows, or with an empty one passes: browsers send neither.
/// - One that names several hosts, in several lines or in its target too, passes if all are allowed.
/// - Each of the first ten hosts that are refused is logged once, at Information; all are
///   [counted](HostFilter::refused).
///
/// ```
/// use hubline_auth::HostFilter;
///
/// # fn main() -> Result<(), hubline_auth::InvalidHost> {
/// let filter = HostFilter::new(vec!["chat.example.org".parse()?, "*.chat.example.org".parse()?]);
/// # let app: axum::Router = axum::Router::new();
/// let app = app.layer(filter);
/// # drop(app);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HostFilter(Arc<Shared>, Hook);

#[derive(Debug)]
struct Shared {
    allowed: Vec<AllowedHost>,
    refusals: Refusals,
}

impl HostFilter {
    /// A layer that passes on requests for these hosts, and those without a host.
    pub fn new(allowed: Vec<AllowedHost>) -> Self {
        Self(Arc::new(Shared { allowed, refusals: Refusals::default() }), Hook::default())
    }

    /// Has something told of each request for another host, with the reason `host`. It is called on the thread of the request and has to be
    /// quick.
    #[must_use]
    pub fn on_refusal(self, told: impl Fn(&LayerRefusal<'_>) + Send + Sync + 'static) -> Self {
        Self(self.0, Hook::new(told))
    }

    /// How many requests were for other hosts, through this layer and its clones.
    pub fn refused(&self) -> u64 {
        self.0.refusals.total()
    }
}

impl<S> Layer<S> for HostFilter {
    type Service = HostFilterService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HostFilterService { inner, shared: Arc::clone(&self.0), hook: self.1.clone() }
    }
}

/// The service that [`HostFilter`] makes of another one.
#[derive(Debug, Clone)]
pub struct HostFilterService<S> {
    inner: S,
    shared: Arc<Shared>,
    hook: Hook,
}

impl<S, B, R> Service<Request<B>> for HostFilterService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: From<&'static str> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.shared.refused_host(&request) {
            None => Box::pin(self.inner.call(request)),
            Some(host) => {
                self.shared.refuse(host);
                self.hook.tell(&request, "host");
                Box::pin(std::future::ready(Ok(refusal())))
            }
        }
    }
}

impl Shared {
    /// The first host that is not allowed.
    fn refused_host<'a, B>(&self, request: &'a Request<B>) -> Option<&'a [u8]> {
        authority::named(request).find(|host| !host.is_empty() && !self.allows(host))
    }

    fn allows(&self, host: &[u8]) -> bool {
        let host = std::str::from_utf8(host).ok().and_then(host_and_port);
        host.is_some_and(|(host, _)| self.allowed.iter().any(|allowed| allowed.matches(host)))
    }

    fn refuse(&self, host: &[u8]) {
        if let Some(host) = self.refusals.count(&String::from_utf8_lossy(host)) {
            tracing::info!(
                %host,
                "Requests for this host are answered 400: it is not one of AllowedHosts. Further ones are only counted"
            );
        }
    }
}

fn refusal<R: From<&'static str>>() -> Response<R> {
    let mut response = Response::new(R::from("Bad Request - Invalid Hostname\n"));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::header::HOST;
    use tower::{ServiceExt, service_fn};

    use super::*;

    async fn answer(filter: &HostFilter, uri: &str, hosts: &[&str]) -> (u16, String) {
        let inner =
            service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new("inner".to_owned())) });
        let mut request = Request::get(uri).body(()).unwrap();
        for host in hosts {
            request.headers_mut().append(HOST, HeaderValue::from_str(host).unwrap());
        }
        let response = filter.layer(inner).oneshot(request).await.unwrap();
        (response.status().as_u16(), response.into_body())
    }

    #[tokio::test]
    async fn requests_for_other_hosts_are_refused_and_counted() {
        let filter =
            HostFilter::new(vec!["example.org".parse().unwrap(), "*.sub.example.org".parse().unwrap()]);
        for hosts in [
            &["example.org"][..],
            &["EXAMPLE.org:8080"],
            &["a.sub.example.org"],
            &[""],
            &[],
            &["example.org", "a.sub.example.org"],
        ] {
            assert_eq!(answer(&filter, "/", hosts).await, (200, "inner".to_owned()), "{hosts:?}");
        }
        let refused = (400, "Bad Request - Invalid Hostname\n".to_owned());
        for hosts in [
            &["evil.org"][..],
            &["example.org:abc"],
            &["evil.org@example.org"],
            &["example.org@evil.org"],
            &["example.org, evil.org"],
            &["example.org", "evil.org"],
            &["127.0.0.1:5000"],
            &["\u{e9}"],
        ] {
            assert_eq!(answer(&filter, "/", hosts).await, refused, "{hosts:?}");
        }
        assert_eq!(answer(&filter, "http://example.org/", &["example.org"]).await.0, 200);
        assert_eq!(answer(&filter, "http://evil.org/", &["example.org"]).await, refused);
        assert_eq!(answer(&filter, "http://evil.org/", &[]).await, refused);
        assert_eq!(filter.refused(), 10);
    }

    #[tokio::test]
    async fn whoever_wants_is_told_of_each_request_that_is_refused() {
        let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let into = Arc::clone(&told);
        let filter = HostFilter::new(vec!["chat.example.org".parse().unwrap()])
            .on_refusal(move |refusal| into.lock().push(format!("{} {}", refusal.path, refusal.reason)));
        assert_eq!(answer(&filter, "/hub?id=secret", &["evil.example"]).await.0, 400);
        assert_eq!(answer(&filter, "/hub", &["chat.example.org"]).await.0, 200);
        assert_eq!(*told.lock(), ["/hub host"], "nothing of the query");
    }
}
