//! Who comes to a hub: the layers in front of its routes.

use anyhow::{Context, Result};
use axum::Router;
use axum::middleware::from_fn_with_state;
use hubline_auth::{BearerAuthentication, TokenRefusals};

use super::Config;
use crate::clinic::Clinic;
use crate::development::{self, DevelopmentSignIn};
use crate::refused::Refusals;

/// What finds out who a request of a hub comes from, and keeps out who is to stay out.
pub(super) struct SignIn {
    clinic: Clinic,
    bearer: Option<BearerAuthentication>,
    development: Option<DevelopmentSignIn>,
    told: Refusals,
}

impl SignIn {
    /// By the tokens that the configuration believes, and those for development if there are any. `told` is told of who is refused.
    ///
    /// # Errors
    /// The keys of tokens cannot be fetched, because this is no thread of a Tokio runtime.
    pub(super) fn new(
        config: &Config,
        clinic: &Clinic,
        development: Option<DevelopmentSignIn>,
        told: Refusals,
    ) -> Result<Self> {
        let bearer = config.authentication.bearer.clone().map(BearerAuthentication::new).transpose();
        let bearer = bearer.context("tokens cannot be verified")?.map(|bearer| {
            let told = told.clone();
            bearer
                .on_refusal(move |refusal| told.tell(refusal.path, refusal.extensions, refusal.reason, None))
        });
        Ok(Self { clinic: clinic.clone(), bearer, development, told })
    }

    /// Counts of the tokens that were refused; `None` if there are no keys to verify them with.
    pub(super) fn refusals(&self) -> Option<TokenRefusals> {
        self.bearer.as_ref().map(|bearer| bearer.refusals().clone())
    }

    /// Puts routes behind it.
    pub(super) fn before(&self, routes: Router) -> Router {
        let mut routes = self.clinic.guard(routes, self.told.clone());
        if let Some(bearer) = &self.bearer {
            routes = routes.layer(bearer.clone());
        }
        match &self.development {
            // Outside of what verifies other tokens, which would refuse these.
            Some(development) => {
                let state = (development.clone(), self.told.clone());
                routes.layer(from_fn_with_state(state, development::authenticate))
            }
            None => routes,
        }
    }
}
