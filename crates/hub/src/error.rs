//! How a hub method fails.

use std::any::Any;
use std::fmt;

use hubline_backplane::{GroupError, PublishError, Reach};
use hubline_protocol::handshake::DetailedErrors;
use hubline_protocol::{ConnectionId, EncodeError};

use crate::{Cancelled, UploadError};

/// The failure of a hub method.
///
/// One made with [`HubError::new`] is meant for the caller, who sees its text, as a `HubException`'s is seen
/// in ASP.NET Core. One that comes from another error by `?` or [`From`] is logged, and its text hidden
/// unless detailed errors are on.
pub struct HubError {
    /// What .NET clients see as the exception's type.
    type_name: &'static str,
    message: String,
    visibility: Visibility,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visibility {
    Caller,
    Server,
    /// Of a call that its client has cancelled: nothing went wrong.
    Cancelled,
    /// Of a value that cannot be written, which ends the connection.
    Fatal,
}

impl HubError {
    /// A failure whose text the caller may see.
    pub fn new(message: impl Into<String>) -> Self {
        Self::named("HubException", message)
    }

    /// A failure whose text the caller may see, under a type name of its own.
    ///
    /// ```
    /// use hubline_hub::HubError;
    ///
    /// assert_eq!(HubError::named("TeapotException", "short and stout").to_string(), "TeapotException: short and stout");
    /// ```
    pub fn named(type_name: &'static str, message: impl Into<String>) -> Self {
        Self { type_name, message: message.into(), visibility: Visibility::Caller }
    }

    /// A failure whose text the caller sees only with detailed errors on, under a .NET type name.
    pub(crate) fn hidden(type_name: &'static str, message: impl Into<String>) -> Self {
        Self { type_name, message: message.into(), visibility: Visibility::Server }
    }

    /// `base`, and the error's type and text behind it where the client may see them.
    pub(crate) fn text_for_client(&self, base: &str, detailed_errors: DetailedErrors) -> String {
        match (self.visibility, detailed_errors) {
            (Visibility::Caller, _) | (_, DetailedErrors::Shown) => format!("{base} {self}"),
            (_, DetailedErrors::Hidden) => base.to_owned(),
        }
    }

    pub(crate) fn is_for_caller(&self) -> bool {
        self.visibility == Visibility::Caller
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.visibility == Visibility::Cancelled
    }

    /// Whether the connection ends with it, as in ASP.NET Core: what was promised cannot be written.
    pub(crate) fn is_fatal(&self) -> bool {
        self.visibility == Visibility::Fatal
    }

    /// The failure to encode what a method returned.
    pub(crate) fn unwritable(error: &EncodeError) -> Self {
        Self { visibility: Visibility::Fatal, ..Self::hidden("InvalidOperationException", error.to_string()) }
    }
}

impl<E: std::error::Error + 'static> From<E> for HubError {
    fn from(error: E) -> Self {
        own(&error).unwrap_or_else(|| Self::hidden(short_type_name::<E>(), error.to_string()))
    }
}

/// The library's own errors, under the names and with the visibility that ASP.NET Core gives them.
fn own(error: &dyn Any) -> Option<HubError> {
    if let Some(error) = error.downcast_ref::<SendError>() {
        return of_send(error);
    }
    if let Some(error @ (GroupError::TooManyGroups(_) | GroupError::NameTooLong(_))) = error.downcast_ref() {
        return Some(HubError::new(error.to_string()));
    }
    if let Some(error) = error.downcast_ref::<Cancelled>() {
        let hidden = HubError::hidden("TaskCanceledException", error.to_string());
        return Some(HubError { visibility: Visibility::Cancelled, ..hidden });
    }
    if let Some(error) = error.downcast_ref::<UploadError>() {
        return Some(match error {
            UploadError::Client(_) | UploadError::Bind { .. } => HubError::new(error.to_string()),
            UploadError::ConnectionClosed => {
                HubError::hidden("OperationCanceledException", error.to_string())
            }
        });
    }
    let error = error.downcast_ref::<InvokeError>()?;
    match error {
        InvokeError::NoSuchConnection(_) | InvokeError::Disconnected(_) => {
            Some(HubError::hidden("IOException", error.to_string()))
        }
        InvokeError::Client(_)
        | InvokeError::NoResult
        | InvokeError::WrongType { .. }
        | InvokeError::Canceled => Some(HubError::new(error.to_string())),
        InvokeError::Connecting => Some(HubError::hidden("InvalidOperationException", error.to_string())),
        InvokeError::Send(error) => of_send(error),
        InvokeError::Unreachable(_) => None,
    }
}

fn of_send(error: &SendError) -> Option<HubError> {
    match error {
        SendError::EmptyGroupName => Some(HubError::hidden("InvalidOperationException", error.to_string())),
        SendError::NotEverywhere(_) => Some(HubError::new(error.to_string())),
        SendError::Encode(_) | SendError::Publish(_) => None,
    }
}

/// Why a message was not sent.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// One of several groups has an empty name.
    #[error("Cannot send to an empty group name.")]
    EmptyGroupName,
    /// An argument cannot be written in one of the hub protocols.
    #[error("an argument {0}")]
    Encode(#[from] EncodeError),
    /// See [`PublishError`].
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The clients of this instance have it; those of others not yet, perhaps or never, as the reach says.
    /// Only with [`BackplaneFailureMode::Fail`].
    #[error("the message has reached the clients of this instance only: {}", why(*.0))]
    NotEverywhere(Reach),
}

fn why(reach: Reach) -> &'static str {
    match reach {
        Reach::Fleet => "the others have it too",
        Reach::Queued => "it waits until the other instances can be reached",
        Reach::Unknown => "whether the other instances have got it is not known",
        Reach::ThisInstance => "the other instances cannot be reached, and will not get it",
    }
}

/// Why a client's result did not come.
///
/// The texts are ASP.NET Core's.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// There is no connection of that id.
    #[error("Connection '{0}' does not exist.")]
    NoSuchConnection(ConnectionId),
    /// The connection is not on this instance, and the link to the others is down.
    #[error("connection '{0}' is not on this instance, and the others cannot be reached")]
    Unreachable(ConnectionId),
    /// The connection ended before it answered.
    #[error("Connection '{0}' disconnected.")]
    Disconnected(ConnectionId),
    /// The client answered with an error.
    #[error("{0}")]
    Client(String),
    /// The client answered without a value.
    #[error("Client didn't provide a result.")]
    NoResult,
    /// The client's value is not of the type that was asked for.
    #[error("Error trying to deserialize result to {expected}. {cause}")]
    WrongType {
        /// The type's name.
        expected: &'static str,
        /// What did not fit.
        cause: String,
    },
    /// No answer came in time.
    #[error("Invocation canceled by the server.")]
    Canceled,
    /// A client cannot be asked before it is connected, nor while the hub is told of its refreshed authentication.
    #[error("Client results inside OnConnectedAsync Hub methods are not allowed.")]
    Connecting,
    /// The question could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.type_name, self.message)
    }
}

impl fmt::Debug for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `std::io::error::Error` becomes `Error`; type parameters are left out.
fn short_type_name<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_for_the_caller_is_shown() {
        let base = "An unexpected error occurred invoking 'X' on the server.";
        let own = HubError::new("no");
        let foreign = HubError::from(std::io::Error::other("disk full"));
        let text = |error: &HubError, shown| error.text_for_client(base, DetailedErrors::from(shown));
        assert_eq!(text(&own, false), format!("{base} HubException: no"));
        assert_eq!(text(&foreign, false), base);
        assert_eq!(text(&foreign, true), format!("{base} Error: disk full"));
    }
}
