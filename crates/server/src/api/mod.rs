//! What every part of the HTTP API at `/api` has in common, whichever application it belongs to: answers to what fails
//! ([`Problem`]), values out of requests ([`Json`], [`Query`], [`Path`]), and who acts ([`AdminPrincipal`]).
//!
//! A part is a `utoipa_axum::router::OpenApiRouter`, whose handlers have `#[utoipa::path]`: what is not described is not served.
//! `app` joins the parts.

mod body;
mod entity_tag;
mod extract;
mod object;
mod openapi;
mod page;
mod parameters;
mod principal;
mod problem;
mod router;
mod time;
mod whole;

pub(crate) use body::body_limit;
pub(crate) use entity_tag::{IfMatch, IfNoneMatch, entity_tag};
pub(crate) use extract::{Json, Path, Query};
pub(crate) use object::Object;
pub(crate) use openapi::describe;
pub(crate) use page::{Page, PageSize};
pub(crate) use parameters::with_known_parameters;
pub(crate) use principal::AdminPrincipal;
pub(crate) use problem::Problem;
pub(crate) use router::with_problems;
pub(crate) use time::{Moment, shown};
pub(crate) use whole::Whole;
