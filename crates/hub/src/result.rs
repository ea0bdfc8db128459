//! What a hub method can return.

use futures_util::stream::BoxStream;
use hubline_protocol::{Dialect, encode};
use serde::Serialize;

use crate::HubError;

/// What a hub method can return: a serializable value or a `Result` of one.
///
/// `M` tells the two apart; the compiler finds it.
pub trait IntoHubResult<M>: Send {
    /// Encodes the value for the caller.
    ///
    /// # Errors
    /// The method failed, or its value cannot be encoded: that ends the connection, as in ASP.NET Core.
    fn into_hub_result(self, dialect: Dialect) -> Result<Vec<u8>, HubError>;
}

/// Marks a plain value for [`IntoHubResult`].
#[derive(Debug)]
pub enum Value {}

/// Marks a `Result` for [`IntoHubResult`].
#[derive(Debug)]
pub enum Fallible {}

impl<T: Serialize + Send> IntoHubResult<Value> for T {
    fn into_hub_result(self, dialect: Dialect) -> Result<Vec<u8>, HubError> {
        encode::value(dialect, &self).map_err(|error| HubError::unwritable(&error))
    }
}

impl<T: Serialize + Send, E: Into<HubError> + Send> IntoHubResult<Fallible> for Result<T, E> {
    fn into_hub_result(self, dialect: Dialect) -> Result<Vec<u8>, HubError> {
        let value = self.map_err(Into::into)?;
        encode::value(dialect, &value).map_err(|error| HubError::unwritable(&error))
    }
}

/// What a hub method returned, encoded for its caller.
pub struct Returned(pub(crate) Kind);

pub(crate) enum Kind {
    Value(Vec<u8>),
    Stream(ItemStream),
    /// A method that streams had no stream to return.
    NoStream,
}

/// Items, each encoded for the caller.
pub type ItemStream = BoxStream<'static, Result<Vec<u8>, HubError>>;

impl std::fmt::Debug for Returned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Value(_) => "Returned(value)",
            Kind::Stream(_) => "Returned(stream)",
            Kind::NoStream => "Returned(no stream)",
        })
    }
}
