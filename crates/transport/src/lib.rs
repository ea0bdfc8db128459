//! SignalR over HTTP: negotiate and WebSockets.
