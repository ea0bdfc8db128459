//! SignalR hub protocols: bytes to hub messages and back.
