//! What a hub method can return.

use std::any::type_name;

use futures_util::stream::BoxStream;
use hubline_protocol::{Dialect, encode};
use serde::Serialize;

use crate::HubError;

/// What a hub method can return: a value that serde can serialize, or a `Result` of one whose error converts into a
/// [`HubError`].
///
/// `M` tells the two apart; the compiler finds it. A `Result` is never sent as a value: where its error can be serialized
/// and does not convert into a `HubError`, [`Hub::method`](crate::Hub::method) panics. Where it can be serialized and does,
/// as a `String` or an error that derives `Serialize`, the compiler cannot find `M` ("type annotations needed"):
/// `#[hubline::method]` decides for the `Result`, and a method that returns a `Result<_, HubError>` needs no decision.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be what a hub method returns",
    label = "neither serializable nor a `Result` of a serializable value and an error",
    note = "a value needs `#[derive(serde::Serialize)]`",
    note = "the error of a `Result` is a `HubError`, or an `Error + Send + Sync + 'static` that converts into one",
    note = "a method that returns a stream is registered with `Hub::stream`"
)]
pub trait IntoHubResult<M>: Send {
    /// Encodes the value for the caller.
    ///
    /// # Errors
    /// The method failed, or its value cannot be encoded: that ends the connection, as in ASP.NET Core.
    fn into_hub_result(self, dialect: Dialect) -> Result<Vec<u8>, HubError>;

    /// Its type, if it is a `Result` that would be sent as a value, which registration refuses.
    #[doc(hidden)]
    fn result_as_value() -> Option<&'static str> {
        None
    }
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

    fn result_as_value() -> Option<&'static str> {
        let name = type_name::<T>();
        is_result(name).then_some(name)
    }
}

/// Compiles if a method can return this `Result`.
pub fn is_hub_result<T: Serialize + Send, E: IsHubError>(_: Result<T, E>) {}

/// An error that a method can fail with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a hub method",
    label = "no `HubError` can be made of `{Self}`",
    note = "return a `HubError`, or implement `std::error::Error` for `{Self}`, which has to be `Send + Sync + 'static`",
    note = "clients are told nothing of such an error unless `Hub::map_error` says so; `HubError::new(text)` is what they are told"
)]
pub trait IsHubError {}

#[diagnostic::do_not_recommend]
impl<E: Into<HubError> + Send> IsHubError for E {}

/// Whether this is the name of a [`Result`] of any types.
fn is_result(type_name_of: &str) -> bool {
    let any_result = type_name::<Result<(), ()>>();
    let end = any_result.find('<').map_or(any_result.len(), |end| end + 1);
    type_name_of.starts_with(&any_result[..end])
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
