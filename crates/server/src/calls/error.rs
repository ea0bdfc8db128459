//! Why a call does not do what a client asks for.

use super::CallStatus;

/// What a client is told. Nobody but its two users learns anything of a call, not even that there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No call of this id exists, it is older than 4 hours, or it is one of others.
    #[error("there is no such call")]
    Unknown,
    /// The call was rejected or has ended.
    #[error("the call is over")]
    Over,
    /// The user has accepted it by another connection.
    #[error("the call was answered by another connection of yours")]
    AnsweredElsewhere,
    /// The call was not accepted yet.
    #[error("the call was not accepted yet: AcceptCall accepts it")]
    NotAccepted,
    /// Only the user who is called can do that.
    #[error("only the user who is called can accept or reject a call; EndCall takes it back")]
    NotTheRecipient,
    /// The call goes on by another connection.
    #[error("another connection of yours has this call: RejoinCall moves it to this one")]
    AnotherConnection,
    /// As many candidates wait for the other side as are kept.
    #[error("{0} candidates wait for the other side already, more are not kept")]
    TooManyCandidates(usize),
    /// This instance holds as many calls as it can.
    #[error("this server has {0} calls, no more can begin")]
    Full(usize),
    /// Redis cannot be asked, and the call is not known to this instance.
    #[error("calls on other servers cannot be reached now, try again in a moment")]
    Unavailable,
    /// The status does not allow it.
    #[error("the call is {0}")]
    NotPossible(CallStatus),
}
