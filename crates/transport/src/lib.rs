//! SignalR over HTTP: negotiate and WebSockets.
//!
//! An [`Endpoint`] answers everything under one hub path and hands each connection, as a
//! [`hubline_pipe::Pipe`], to the handler it was made with. It is a plain function from request to response;
//! the `hubline` crate makes an axum route and a tower service of it. Server-sent events and long polling
//! are not here yet: their requests get the answers of an endpoint on which they are switched off.

mod connections;
mod endpoint;
mod options;
mod request;
mod response;
mod token;
mod upgrade;
mod web_socket;

pub use connections::Connections;
pub use endpoint::Endpoint;
pub use options::EndpointOptions;
pub use token::ConnectionToken;
