//! What the store keeps, on each database.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod basics;
mod calls;
mod chat;
mod clinic;
mod clinic_data;
mod databases;
mod keys;
mod navigation;

use databases::each;
