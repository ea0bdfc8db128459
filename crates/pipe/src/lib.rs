//! The seam between a SignalR transport and a hub connection.
