//! What a clinic answers for: who did what ([`audit`]), who is kept out ([`bans`]), and between whom a consultation is open
//! ([`consultations`]).

pub mod audit;
pub mod bans;
mod conditions;
pub mod consultations;
mod party;

pub use party::Party;
