//! Which parts of the request that opened a connection the methods of a hub take.

use std::fmt;

use hubline_pipe::RequestParts;

/// Which methods and callbacks of a hub take parts of their connection's request.
#[derive(Debug, Clone, Default)]
pub(crate) struct TakenParts(Vec<(Box<str>, RequestParts)>);

impl TakenParts {
    pub(crate) fn add(&mut self, method: &str, taken: RequestParts) {
        if taken != RequestParts::NONE {
            self.0.push((method.into(), taken));
        }
    }

    /// The first method that takes what is not kept.
    pub(crate) fn check(&self, hub: &str, kept: RequestParts) -> Result<(), MissingRequestParts> {
        let missing = self.0.iter().map(|(method, taken)| (method, taken.without(kept)));
        let mut missing = missing.filter(|(_, missing)| *missing != RequestParts::NONE);
        let Some((method, first)) = missing.next() else { return Ok(()) };
        let of_hub = missing.fold(first, |all, (_, missing)| all.and(missing));
        Err(MissingRequestParts {
            hub: hub.into(),
            method: method.clone(),
            missing: first,
            missing_of_hub: of_hub,
        })
    }
}

/// A hub method takes a part of its connection's request that the endpoint does not keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{method}` of the hub `{hub}` takes {}, which the endpoint does not keep: {}", Parts(*.missing), Options(*.missing_of_hub))]
pub struct MissingRequestParts {
    /// Name of the hub.
    pub hub: Box<str>,
    /// Name of the method or callback.
    pub method: Box<str>,
    /// What it takes and the endpoint does not keep.
    pub missing: RequestParts,
    /// What all methods and callbacks of the hub take and the endpoint does not keep.
    pub missing_of_hub: RequestParts,
}

/// Names parts of a request.
pub(crate) struct Parts(pub(crate) RequestParts);

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.0.headers, self.0.extensions) {
            (true, true) => "headers and extensions of the request",
            (true, false) => "headers of the request",
            (false, _) => "extensions of the request",
        })
    }
}

/// How an endpoint comes to keep them.
pub(crate) struct Options(pub(crate) RequestParts);

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = match (self.0.headers, self.0.extensions) {
            (true, true) => ".keep_headers().keep_extensions()",
            (true, false) => ".keep_headers()",
            (false, _) => ".keep_extensions()",
        };
        write!(f, "map the hub with `map_with(path, EndpointOptions::default(){calls})`")
    }
}
