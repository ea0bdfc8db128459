//! What the store keeps, on each database.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod access;
mod basics;
mod calls;
mod chat;
mod chat_rights;
mod clinic;
mod clinic_data;
mod databases;
mod files;
mod keys;
mod measure;
mod navigation;
mod notes;
mod outages;
mod pages;
mod plans;
mod schema;
mod writes;

use databases::each;
