use std::fmt::Display;

/// Why a MessagePack value is not the type it is read as, or a type cannot be written as one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ValueError(Box<str>);

impl serde::de::Error for ValueError {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

impl serde::ser::Error for ValueError {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}
