//! What clients are told of an application's own errors.

use std::error::Error;

use crate::HubError;

type Rule = Box<dyn Fn(&(dyn Error + 'static)) -> Option<HubError> + Send + Sync>;

/// The rules of a hub, by the type of the error. The first one that has something to say counts.
#[derive(Default)]
pub(crate) struct ErrorRules(Vec<Rule>);

impl ErrorRules {
    pub(crate) fn add<E, R>(&mut self, rule: impl Fn(&E) -> R + Send + Sync + 'static)
    where
        E: Error + 'static,
        R: Into<Option<HubError>>,
    {
        self.0.push(Box::new(move |error| rule(error.downcast_ref()?).into()));
    }

    /// What clients are told of this error: what the first rule says that knows it or one of its causes, from the
    /// outermost on; without one what the library says of an error of its own among them. A text that was meant for the
    /// client stays.
    pub(crate) fn apply(&self, error: HubError) -> HubError {
        if !error.is_hidden() {
            return error;
        }
        let told = error.chain().find_map(|cause| self.0.iter().find_map(|rule| rule(cause)));
        match told.or_else(|| error.of_wrapped()) {
            Some(told) => error.put_as(told),
            None => error,
        }
    }
}
