//! Which WebSocket sub-protocol is spoken with a client.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderValue};

use crate::request::items;

type Select = dyn Fn(&[&str]) -> Option<String> + Send + Sync;

/// Chooses among the sub-protocols that a client offers.
#[derive(Clone)]
pub(crate) struct SubProtocolSelector(Arc<Shared>);

struct Shared {
    select: Box<Select>,
    has_failed: AtomicBool,
}

impl SubProtocolSelector {
    pub(super) fn new(select: impl Fn(&[&str]) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared { select: Box::new(select), has_failed: AtomicBool::new(false) }))
    }

    /// The sub-protocol of a WebSocket that is asked for with these headers; `None` if the client offers none, or if none
    /// of them is chosen.
    pub(crate) fn select(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let offered: Vec<_> =
            items(headers, SEC_WEBSOCKET_PROTOCOL).filter(|offer| !offer.is_empty()).collect();
        if offered.is_empty() {
            return None;
        }
        let chosen = catch_unwind(AssertUnwindSafe(|| (self.0.select)(&offered)));
        match chosen {
            Ok(None) => None,
            Ok(Some(chosen)) if offered.contains(&&*chosen) => HeaderValue::try_from(chosen).ok(),
            Ok(Some(chosen)) => {
                self.complain(&format!("it chose {chosen:?}, and the client offers {offered:?}"));
                None
            }
            Err(_) => {
                self.complain("it panicked");
                None
            }
        }
    }

    /// Says it once, because each client may make it happen.
    fn complain(&self, what: &str) {
        if self.0.has_failed.swap(true, Ordering::Relaxed) {
            tracing::debug!("EndpointOptions::sub_protocol_selector: {what}");
        } else {
            tracing::warn!(
                "EndpointOptions::sub_protocol_selector has to choose one of the sub-protocols that it is given, or none, but {what}. \
                 The WebSocket is opened without a sub-protocol; further cases are logged at Debug"
            );
        }
    }
}

impl fmt::Debug for SubProtocolSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubProtocolSelector")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn one_of_the_offers_is_chosen_or_none() {
        let last = SubProtocolSelector::new(|offered| offered.last().map(|last| (*last).to_owned()));
        for (lines, chosen) in [
            (&[][..], None),
            (&[""], None),
            (&[" , "], None),
            (&["chat"], Some("chat")),
            (&["a, b ,c"], Some("c")),
            (&["a,b", "ocpp1.6"], Some("ocpp1.6")),
        ] {
            let expected = chosen.map(HeaderValue::from_static);
            assert_eq!(last.select(&offers(lines)), expected, "{lines:?}");
        }
        let none = SubProtocolSelector::new(|_| None);
        assert_eq!(none.select(&offers(&["chat"])), None);
    }

    #[test]
    fn a_bad_choice_is_none() {
        for chosen in ["other", "CHAT", "", "chat, b", "chat\r\nX: y"] {
            let bad = SubProtocolSelector::new(move |_| Some(chosen.to_owned()));
            assert_eq!(bad.select(&offers(&["chat, b"])), None, "{chosen:?}");
        }
        let panicking = SubProtocolSelector::new(|_| panic!("on purpose"));
        assert_eq!(panicking.select(&offers(&["chat"])), None);
        assert_eq!(panicking.select(&offers(&["chat"])), None, "again");
    }
}
