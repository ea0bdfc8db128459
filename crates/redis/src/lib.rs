//! Redis backplane, byte-compatible with ASP.NET Core SignalR.
