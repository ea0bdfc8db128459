//! The Hubline server: chat and navigation state over SignalR.

fn main() {}
