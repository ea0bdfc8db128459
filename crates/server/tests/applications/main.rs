//! The applications, on real parts.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

#[path = "../client/mod.rs"]
mod client;

mod admin;
mod calls;
mod chat;
mod check;
mod clinic;
mod connection_mapping;
mod console;
mod database;
mod fleet;
mod load;
mod navigation;
mod tools;
