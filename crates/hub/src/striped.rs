//! Counters that several threads raise at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// More threads than this share stripes.
const STRIPES: usize = 8;

/// The same for each of a few threads, each in cache lines of its own, so that threads that count do not wait for one another.
#[derive(Debug, Default)]
pub(crate) struct Striped<T>([Stripe<T>; STRIPES]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe<T>(T);

impl<T> Striped<T> {
    /// The one that this thread counts on.
    pub(crate) fn mine(&self) -> &T {
        thread_local! {
            static STRIPE: usize = {
                static NEXT: AtomicUsize = AtomicUsize::new(0);
                NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
            };
        }
        &self.0[STRIPE.with(|stripe| *stripe)].0
    }

    /// All of them, to be added up.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|stripe| &stripe.0)
    }
}
