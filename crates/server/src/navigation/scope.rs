//! Which models a client may see.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use hubline::{GroupName, Principal};
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};

/// The claim that bounds what a client sees: one claim for each virtual model name. Without any the client sees all models; with an
/// empty value alone, none.
pub const MODEL_SCOPE: &str = "model_scope";

/// The group of those who see all models.
const EVERYTHING: &str = "navigation-updates";

/// The models that a client sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Scope(Option<Arc<[Box<str>]>>);

impl Scope {
    /// The one that a principal's claims name.
    pub(super) fn of(principal: Option<&Principal>) -> Self {
        let mut models: Vec<Box<str>> =
            principal.into_iter().flat_map(|who| who.claims(MODEL_SCOPE)).map(Into::into).collect();
        if models.is_empty() {
            return Self(None);
        }
        models.retain(|model| !model.is_empty());
        models.sort_unstable();
        models.dedup();
        Self(Some(models.into()))
    }

    /// Whether it is bounded at all.
    pub(super) fn is_bounded(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the model is seen.
    pub(super) fn sees(&self, model: &str) -> bool {
        self.0.as_ref().is_none_or(|models| models.binary_search_by(|own| (**own).cmp(model)).is_ok())
    }

    /// The group of all who see just these models.
    pub(super) fn group(&self) -> GroupName {
        match self.digest() {
            None => EVERYTHING.into(),
            Some(digest) => format!("{EVERYTHING}:{digest}").into(),
        }
    }

    /// 32 hexadecimal digits that are others for another scope; `None` if it is not bounded.
    pub(super) fn digest(&self) -> Option<String> {
        let models = self.0.as_ref()?;
        // No name has a control character in it.
        let digest = digest(&SHA256, models.join("\n").as_bytes());
        Some(digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The bounded scopes of the clients of this instance.
#[derive(Debug, Default)]
pub(super) struct Scopes(Mutex<HashMap<Scope, usize>>);

impl Scopes {
    /// Counts a client; each call is ended by one [`Scopes::leave`].
    pub(super) fn enter(&self, scope: &Scope) {
        if scope.is_bounded() {
            *self.0.lock().entry(scope.clone()).or_default() += 1;
        }
    }

    pub(super) fn leave(&self, scope: &Scope) {
        if let Entry::Occupied(mut clients) = self.0.lock().entry(scope.clone()) {
            *clients.get_mut() -= 1;
            if *clients.get() == 0 {
                clients.remove();
            }
        }
    }

    /// All that there are, beside the one that sees everything.
    pub(super) fn bounded(&self) -> Vec<Scope> {
        self.0.lock().keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(models: &[&str]) -> Scope {
        let mut principal = Principal::builder().user("key");
        for model in models {
            principal = principal.claim(MODEL_SCOPE, *model);
        }
        Scope::of(Some(&principal.build()))
    }

    #[test]
    fn claims_bound_what_is_seen() {
        assert!(Scope::of(None).sees("a") && scope(&[]).sees("a"));
        assert_eq!(scope(&[]).group(), "navigation-updates".into());
        let two = scope(&["b", "a", "b"]);
        assert!(two.sees("a") && two.sees("b") && !two.sees("A") && !two.sees(""));
        assert!(!scope(&[""]).sees("a") && !scope(&[""]).sees(""));
        assert_eq!(two, scope(&["a", "b"]));
        assert_ne!(two.group(), scope(&["a"]).group());
        assert_ne!(scope(&[""]).group(), scope(&[]).group());
    }

    #[test]
    fn a_scope_is_there_as_long_as_its_clients() {
        let scopes = Scopes::default();
        for scope in [scope(&[]), scope(&["a"]), scope(&["a"])] {
            scopes.enter(&scope);
        }
        assert_eq!(scopes.bounded(), [scope(&["a"])]);
        scopes.leave(&scope(&["a"]));
        assert_eq!(scopes.bounded().len(), 1);
        scopes.leave(&scope(&["a"]));
        scopes.leave(&scope(&[]));
        assert!(scopes.bounded().is_empty());
    }
}
