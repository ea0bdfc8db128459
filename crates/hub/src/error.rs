//! How a hub method fails.

#[cfg(feature = "anyhow")]
use std::any::Any;
use std::any::TypeId;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use hubline_backplane::{GroupError, PublishError, Reach};
use hubline_protocol::handshake::DetailedErrors;
use hubline_protocol::{ConnectionId, EncodeError};

use crate::{Cancelled, UploadError};

/// The failure of a hub method.
///
/// What its client is told, behind ASP.NET Core's `An unexpected error occurred invoking 'X' on the server.`, depends on how it
/// was made:
///
/// | made by | the client is told | logged |
/// | --- | --- | --- |
/// | [`HubError::new`], [`HubError::named`] | the text | no |
/// | `?` or [`From`] on a `String` or `&'static str` | the text | no |
/// | [`or_hub_error`](OrHubError::or_hub_error) on a `Result` or `Option` | the text | if there was an error: at level info, with its causes |
/// | `?` or [`From`] on an error of Hubline ([`InvokeError`], [`GroupError`], [`UploadError`], [`SendError`]), or on one that has it as its source | what ASP.NET Core tells: the text where the client is at fault or has met a limit, else that an error occurred | at level info or error |
/// | `?` or [`From`] on any other error, [`HubError::internal`] | that an error occurred, unless [`Hub::map_error`](crate::Hub::map_error) has a rule for it | at level error, with its causes |
///
/// What a rule of [`Hub::map_error`](crate::Hub::map_error) has put into words is logged at level info, with its causes. With
/// [detailed errors](crate::HubOptions::detailed_errors) clients are told everything. In ASP.NET Core the first is a
/// `HubException`, the last any other exception.
///
/// ```
/// use hubline_hub::{HubError, OrHubError};
///
/// async fn rename(room: String, limit: String) -> Result<(), HubError> {
///     let limit: usize = limit.parse().or_hub_error("the limit is a number")?;
///     if room.len() > limit {
///         return Err(HubError::new(format!("a room's name has {limit} letters at most")));
///     }
///     std::fs::write("room", room)?; // the client is told nothing of the disk
///     Ok(())
/// }
/// ```
///
/// It converts from everything that converts into a `Box<dyn Error + Send + Sync>`, and like that is itself no
/// [`std::error::Error`].
pub struct HubError {
    /// What .NET clients see as the exception's type.
    type_name: &'static str,
    message: String,
    visibility: Visibility,
    source: Option<Source>,
}

type Source = Box<dyn Error + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visibility {
    Caller,
    Server,
    /// As `Server`, whatever its source says.
    Internal,
    /// Of a call that its client has cancelled: nothing went wrong.
    Cancelled,
    /// Of a value that cannot be written, which ends the connection.
    Fatal,
}

impl HubError {
    /// A failure whose text the client is told.
    pub fn new(message: impl Into<String>) -> Self {
        Self::named("HubException", message)
    }

    /// A failure whose text the client is told, under a type name of its own instead of `HubException`.
    ///
    /// ```
    /// use hubline_hub::HubError;
    ///
    /// assert_eq!(HubError::named("TeapotException", "short and stout").to_string(), "TeapotException: short and stout");
    /// ```
    pub fn named(type_name: &'static str, message: impl Into<String>) -> Self {
        Self { type_name, message: message.into(), visibility: Visibility::Caller, source: None }
    }

    /// A failure that is logged, and that clients are told nothing of unless detailed errors are on; a text too.
    pub fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = error.into();
        let hidden = Self::hidden("Error", source.to_string()).with_source(source);
        Self { visibility: Visibility::Internal, ..hidden }
    }

    /// Keeps the error that this one comes from, for filters and logs. Clients are never told of it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A failure whose text the caller sees only with detailed errors on, under a .NET type name.
    pub(crate) fn hidden(type_name: &'static str, message: impl Into<String>) -> Self {
        Self { visibility: Visibility::Server, ..Self::named(type_name, message) }
    }

    /// The text, without the name of its type.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// The error that this one comes from; of one made by `?` that error itself.
    pub fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }

    /// The first `E` among the error that this one comes from and the sources of that.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.chain().find_map(|error| error.downcast_ref())
    }

    /// Whether the client is told the text, whatever the options say.
    pub fn is_for_caller(&self) -> bool {
        self.visibility == Visibility::Caller
    }

    pub(crate) fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        std::iter::successors(self.source(), |&error| error.source())
    }

    /// `base`, and the error's type and text behind it where the client may see them.
    pub(crate) fn text_for_client(&self, base: &str, detailed_errors: DetailedErrors) -> String {
        match (self.visibility, detailed_errors) {
            (Visibility::Caller, _) | (_, DetailedErrors::Shown) => format!("{base} {self}"),
            (_, DetailedErrors::Hidden) => base.to_owned(),
        }
    }

    /// Whether it is nobody's but the server's, so that a rule may say what clients are told.
    pub(crate) fn is_hidden(&self) -> bool {
        matches!(self.visibility, Visibility::Server | Visibility::Internal)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.visibility == Visibility::Cancelled
    }

    /// Whether the connection ends with it, as in ASP.NET Core: what was promised cannot be written.
    pub(crate) fn is_fatal(&self) -> bool {
        self.visibility == Visibility::Fatal
    }

    /// A value that cannot be written in the connection's protocol.
    pub(crate) fn unwritable(error: &EncodeError) -> Self {
        Self { visibility: Visibility::Fatal, ..Self::hidden("InvalidOperationException", error.to_string()) }
    }

    /// What clients are told of the library's error that is among the sources, as if it had come by itself.
    pub(crate) fn of_wrapped(&self) -> Option<Self> {
        let may_tell = self.visibility == Visibility::Server;
        self.chain().filter(|_| may_tell).find_map(own)
    }

    /// The same failure as somebody else puts it; keeps its source.
    pub(crate) fn put_as(self, told: Self) -> Self {
        Self { source: told.source.or(self.source), ..told }
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>> + 'static> From<E> for HubError {
    fn from(error: E) -> Self {
        let source = match into_source(error) {
            Ok(source) => source,
            Err(error) => return error,
        };
        if is_text::<E>() {
            return Self::new(source.to_string());
        }
        let error = own(&*source).unwrap_or_else(|| Self::hidden(short_type_name::<E>(), source.to_string()));
        error.with_source(source)
    }
}

/// Whether an error of this type is nothing but the text that somebody wrote.
fn is_text<E: 'static>() -> bool {
    let texts = [TypeId::of::<String>(), TypeId::of::<&'static str>(), TypeId::of::<Cow<'static, str>>()];
    texts.contains(&TypeId::of::<E>())
}

/// The error as a source, or a [`HubError`] that it carries.
#[cfg(not(feature = "anyhow"))]
fn into_source<E: Into<Source>>(error: E) -> Result<Source, HubError> {
    Ok(error.into())
}

#[cfg(feature = "anyhow")]
fn into_source<E: Into<Source> + 'static>(error: E) -> Result<Source, HubError> {
    let mut error = Some(error);
    // What `anyhow::Error` converts into by itself cannot be downcast.
    let of_anyhow =
        (&mut error as &mut dyn Any).downcast_mut::<Option<anyhow::Error>>().and_then(Option::take);
    match (of_anyhow, error) {
        (Some(error), _) => match error.downcast::<Carried>() {
            Ok(Carried(error)) => Err(error),
            Err(error) => Ok(error.reallocate_into_boxed_dyn_error_without_backtrace()),
        },
        (None, Some(error)) => Ok(error.into()),
        (None, None) => unreachable!("an error that is not of anyhow is not taken"),
    }
}

/// A [`HubError`] on its way through functions that fail with an [`anyhow::Error`].
#[cfg(feature = "anyhow")]
#[derive(Debug)]
struct Carried(HubError);

#[cfg(feature = "anyhow")]
impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "anyhow")]
impl Error for Carried {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Keeps what the client is told: a method that returns an `anyhow::Result` fails with the same `HubError` again.
#[cfg(feature = "anyhow")]
impl From<HubError> for anyhow::Error {
    fn from(error: HubError) -> Self {
        Self::new(Carried(error))
    }
}

/// Says what the client is told where a `Result` is an error or an `Option` is empty.
///
/// ```
/// use hubline_hub::{HubError, OrHubError};
///
/// async fn seat(rooms: Vec<String>, number: String) -> Result<String, HubError> {
///     let number: usize = number.parse().or_hub_error("a seat is a number")?;
///     rooms.into_iter().nth(number).or_hub_error("there is no such seat")
/// }
/// ```
pub trait OrHubError<T> {
    /// The value, or a [`HubError::new`] with this text, and with the error as its [source](HubError::source).
    ///
    /// # Errors
    /// There is no value.
    fn or_hub_error(self, message: impl Into<String>) -> Result<T, HubError>;
}

impl<T> OrHubError<T> for Option<T> {
    fn or_hub_error(self, message: impl Into<String>) -> Result<T, HubError> {
        self.ok_or_else(|| HubError::new(message))
    }
}

impl<T, E: Into<Box<dyn Error + Send + Sync>> + 'static> OrHubError<T> for Result<T, E> {
    fn or_hub_error(self, message: impl Into<String>) -> Result<T, HubError> {
        self.map_err(|error| HubError::from(error).put_as(HubError::new(message)))
    }
}

/// The library's own errors, under the names and with the visibility that ASP.NET Core gives them.
fn own(error: &(dyn Error + 'static)) -> Option<HubError> {
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
    /// Only with [`BackplaneFailureMode::Fail`](crate::BackplaneFailureMode::Fail).
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
    /// The invocation could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// `Type: message`; with `{:#}` the causes behind it, if it has any.
impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.type_name, self.message)?;
        if f.alternate() {
            let causes = self.chain().map(ToString::to_string).skip_while(|cause| *cause == self.message);
            causes.into_iter().try_for_each(|cause| write!(f, ": {cause}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

/// `std::io::error::Error` becomes `Error`; type parameters are left out, and so is that an error is boxed.
fn short_type_name<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    let path = path.split('<').next().unwrap_or(path);
    match path.rsplit("::").next().unwrap_or(path) {
        "Box" => "Error",
        name => name,
    }
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
