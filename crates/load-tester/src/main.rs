//! A small raw WebSocket load client for SignalR servers.

fn main() {}
