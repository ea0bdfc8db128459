//! Replays what a real ASP.NET Core server was sent and answered, as far as bytes and values go.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod cases;
mod errors;
mod messages;
mod values;
