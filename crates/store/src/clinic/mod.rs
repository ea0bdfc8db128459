//! What a clinic answers for: who did what ([`audit`]), who is kept out ([`bans`]), between whom a consultation is open
//! ([`consultations`]), and who is to be forgotten ([`erasures`]).

pub mod audit;
pub mod bans;
mod conditions;
pub mod consultations;
pub mod erasures;
pub mod export;
pub mod leases;
mod party;
pub mod retention;

pub use party::Party;
