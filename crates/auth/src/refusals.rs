//! Counts of what a layer refused, the first of which are logged, and who is told of each.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Extensions, Request};
use parking_lot::Mutex;

/// How many different causes are logged. Clients can make up causes, so there is a bound.
const TOLD: usize = 10;

/// Longest part of a cause that is logged, in bytes.
const TOLD_BYTES: usize = 200;

/// A request that a layer has refused, as it came.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LayerRefusal<'a> {
    /// The path of the request, which is anything that the client has made up.
    pub path: &'a str,
    /// What middleware outside of the layer has put there, such as the address of the client.
    pub extensions: &'a Extensions,
    /// Why, in one of a fixed number of words.
    pub reason: &'static str,
}

type Told = dyn Fn(&LayerRefusal<'_>) + Send + Sync;

/// Who is told of each request that a layer refuses.
#[derive(Clone, Default)]
pub(crate) struct Hook(Option<Arc<Told>>);

impl Hook {
    pub(crate) fn new(told: impl Fn(&LayerRefusal<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(crate) fn tell<B>(&self, request: &Request<B>, reason: &'static str) {
        if let Some(told) = &self.0 {
            told(&LayerRefusal { path: request.uri().path(), extensions: request.extensions(), reason });
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hook").field(&self.0.is_some()).finish()
    }
}

/// Counts refusals, and remembers the first causes to log each once.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    count: AtomicU64,
    told: Mutex<Vec<String>>,
}

impl Refusals {
    /// Counts a refusal; returns its cause, shortened, if it is to be logged.
    pub(crate) fn count(&self, cause: &str) -> Option<String> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let cause: String = cause.chars().take(TOLD_BYTES).filter(|c| !c.is_control()).collect();
        let mut told = self.told.lock();
        if told.len() == TOLD || told.contains(&cause) {
            return None;
        }
        told.push(cause.clone());
        Some(cause)
    }

    /// The number of refusals.
    pub(crate) fn total(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_once_and_no_more_than_ten() {
        let refusals = Refusals::default();
        assert_eq!(refusals.count("a\u{1b}[2J").as_deref(), Some("a[2J"));
        assert_eq!(refusals.count("a\u{1b}[2J"), None);
        assert_eq!(refusals.count(&"long".repeat(1000)).map(|cause| cause.len()), Some(TOLD_BYTES));
        let told = (0..100).filter(|n| refusals.count(&n.to_string()).is_some()).count();
        assert_eq!((told, refusals.total()), (8, 103));
    }
}
