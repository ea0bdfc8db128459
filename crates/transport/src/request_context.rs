//! The parts of a request that outlive it, where an endpoint keeps any.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use hubline_pipe::{RequestContext, RequestParts};
use hyper::upgrade::OnUpgrade;

use crate::BareSocket;

pub(crate) fn request_context(request: &Parts, kept: RequestParts) -> Option<Arc<RequestContext>> {
    if kept == RequestParts::NONE {
        return None;
    }
    let mut context = RequestContext { kept, ..RequestContext::default() };
    if kept.headers {
        context.headers = copied(&request.headers);
    } else if kept.trace_parent {
        context.headers = trace_parent(&request.headers);
    }
    if context.headers.is_empty() && !kept.headers && !kept.extensions {
        return None;
    }
    if kept.extensions {
        context.extensions = request.extensions.clone();
        // They belong to the HTTP connection, not to whoever reads the request.
        context.extensions.remove::<OnUpgrade>();
        context.extensions.remove::<BareSocket>();
    }
    Some(Arc::new(context))
}

/// That header alone, if it is as long as version 00 has it.
fn trace_parent(headers: &HeaderMap) -> HeaderMap {
    const LENGTH: usize = 55;
    let name = RequestContext::TRACE_PARENT;
    let sent = headers.get(name).filter(|value| value.len() == LENGTH);
    copied(&sent.map(|value| (HeaderName::from_static(name), value.clone())).into_iter().collect())
}

/// hyper's values are slices of its read buffer, which they would keep alive whole.
fn copied(headers: &HeaderMap) -> HeaderMap {
    let copy = |value: &HeaderValue| {
        let mut copy = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
        copy.set_sensitive(value.is_sensitive());
        copy
    };
    let mut copied = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        copied.append(name, copy(value));
    }
    copied
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;

    use super::*;

    #[test]
    fn kept_headers_do_not_keep_the_buffer_that_they_were_read_into() {
        let buffer = Bytes::from(b"one two".to_vec());
        let value = |range| HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap();
        let request =
            Request::builder().header("x-a", value(0..3)).header("x-a", value(4..7)).body(()).unwrap();
        let context = request_context(&request.into_parts().0, RequestParts::HEADERS).unwrap();
        let values: Vec<_> = context.headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["one", "two"]);
        assert!(buffer.is_unique(), "the request has gone, and nothing else holds the buffer");
        assert!(context.extensions.is_empty());
    }

    #[test]
    fn who_sends_no_trace_costs_nothing_where_traces_are_kept() {
        let kept = RequestParts { trace_parent: true, ..RequestParts::NONE };
        let sent = |trace: &str| {
            let request =
                Request::builder().header("x-a", "1").header("traceparent", trace).body(()).unwrap();
            request_context(&request.into_parts().0, kept)
        };
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = sent(trace).unwrap();
        assert_eq!((context.headers.len(), context.header(RequestContext::TRACE_PARENT)), (1, Some(trace)));
        assert!(sent(&"0".repeat(10_000)).is_none());
        assert!(request_context(&Request::new(()).into_parts().0, kept).is_none());
    }

    #[test]
    fn nothing_is_kept_unasked() {
        let request = Request::builder().header("x-a", "1").extension(1u8).body(()).unwrap().into_parts().0;
        assert!(request_context(&request, RequestParts::NONE).is_none());
        let context = request_context(&request, RequestParts::EXTENSIONS).unwrap();
        assert!(context.headers.is_empty());
        assert_eq!(context.extensions.get::<u8>(), Some(&1));
    }
}
