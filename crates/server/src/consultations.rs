//! Consultations between patients and doctors: where users are connected, and their calls, in a form that other programs
//! read from Redis.

mod cache_entry;
pub mod calls;
mod connection_mapping;

pub use connection_mapping::ConnectionMapping;
