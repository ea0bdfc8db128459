//! A SignalR server for Rust.
