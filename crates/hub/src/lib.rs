//! SignalR hubs: connections, dispatch, Clients and Groups.
