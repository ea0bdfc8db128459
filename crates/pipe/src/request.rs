//! What an endpoint keeps of the requests that open its connections.

use std::fmt;

use http::{Extensions, HeaderMap, HeaderName, header};

/// Parts of an HTTP request: those that an endpoint keeps, or those that a hub method takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestParts {
    /// The headers, cookies among them.
    pub headers: bool,
    /// The host's extensions.
    pub extensions: bool,
    /// The header `traceparent` alone, where there is one.
    pub trace_parent: bool,
}

impl RequestParts {
    /// No part.
    pub const NONE: Self = Self { headers: false, extensions: false, trace_parent: false };
    /// The headers alone.
    pub const HEADERS: Self = Self { headers: true, ..Self::NONE };
    /// The extensions alone.
    pub const EXTENSIONS: Self = Self { extensions: true, ..Self::NONE };

    /// The parts of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            headers: self.headers || other.headers,
            extensions: self.extensions || other.extensions,
            trace_parent: self.trace_parent || other.trace_parent,
        }
    }

    /// The parts of these that are not among `kept`.
    #[must_use]
    pub const fn without(self, kept: Self) -> Self {
        Self {
            headers: self.headers && !kept.headers,
            extensions: self.extensions && !kept.extensions,
            trace_parent: self.trace_parent && !kept.trace_parent && !kept.headers,
        }
    }
}

/// The parts of a request that its endpoint keeps. Parts that it does not keep are empty.
///
/// `Debug` shows the names of headers, never their values.
#[derive(Clone, Default)]
pub struct RequestContext {
    /// Which parts are kept.
    pub kept: RequestParts,
    /// The headers as the client, or the last proxy, sent them.
    pub headers: HeaderMap,
    /// What the host's middleware has put into the request.
    pub extensions: Extensions,
}

impl RequestContext {
    /// The header that names the span in which a request was made, as W3C's Trace Context has it.
    pub const TRACE_PARENT: &str = "traceparent";

    /// The first value of a header; `None` if there is none, or if it is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?.as_bytes()).ok()
    }

    /// The request's cookies, names and values, in the order in which they were sent and as they were sent: nothing is
    /// percent-decoded. Cookies that are not UTF-8 are left out.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let values = self.headers.get_all(header::COOKIE).iter();
        let values = values.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
        let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.trim(), value.trim()))
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("RequestContext")
            .field("kept", &self.kept)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_as_they_were_sent() {
        let mut request = RequestContext::default();
        for value in ["a=1; b=x=y;c = \"2\" ;", "flag; a=%20"] {
            request.headers.append(header::COOKIE, value.parse().unwrap());
        }
        let cookies: Vec<_> = request.cookies().collect();
        assert_eq!(cookies, [("a", "1"), ("b", "x=y"), ("c", "\"2\""), ("a", "%20")]);
    }

    #[test]
    fn values_of_headers_are_not_shown() {
        let mut request = RequestContext::default();
        request.headers.insert(header::COOKIE, "session=secret".parse().unwrap());
        let shown = format!("{request:?}");
        assert!(shown.contains("cookie") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn missing_parts_are_those_that_are_wanted_and_not_kept() {
        let both = RequestParts::HEADERS.and(RequestParts::EXTENSIONS);
        assert_eq!(both.without(RequestParts::HEADERS), RequestParts::EXTENSIONS);
        assert_eq!(both.without(both), RequestParts::NONE);
    }
}
