//! What clients' methods are called with.

use hubline_protocol::encode::Call;
use hubline_protocol::{Dialect, EncodeError, Encoded, encode};
use serde::Serialize;

/// The arguments of a client's method: a tuple of up to twelve values, or a `Vec` of as many as there are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the arguments of a client's method",
    label = "neither a tuple nor a `Vec` of values that can be serialized",
    note = "arguments are a tuple, also a single one: `send(\"Receive\", (text,))`; `()` is none",
    note = "each argument needs `#[derive(serde::Serialize)]`"
)]
pub trait ClientArguments: sealed::Sealed + Send + Sync {
    /// Encodes a call with these arguments.
    ///
    /// # Errors
    /// One of them cannot be written in this protocol.
    fn encode(&self, dialect: Dialect, call: Call<'_>) -> Result<Encoded, EncodeError>;

    /// A call of a client's method; with an id it asks for a result.
    ///
    /// # Errors
    /// As [`ClientArguments::encode`].
    fn invocation(&self, dialect: Dialect, id: Option<&str>, method: &str) -> Result<Encoded, EncodeError> {
        self.encode(dialect, Call { invocation_id: id, target: method, ..Call::default() })
    }
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for () {}
impl ClientArguments for () {
    fn encode(&self, dialect: Dialect, call: Call<'_>) -> Result<Encoded, EncodeError> {
        encode::call(dialect, call, &[(); 0])
    }
}

impl<T> sealed::Sealed for Vec<T> {}
impl<T: Serialize + Send + Sync> ClientArguments for Vec<T> {
    fn encode(&self, dialect: Dialect, call: Call<'_>) -> Result<Encoded, EncodeError> {
        encode::call(dialect, call, self)
    }
}

macro_rules! client_arguments {
    ($($argument:ident),+) => {
        impl<$($argument),+> sealed::Sealed for ($($argument,)+) {}
        impl<$($argument: Serialize + Send + Sync),+> ClientArguments for ($($argument,)+) {
            fn encode(&self, dialect: Dialect, call: Call<'_>) -> Result<Encoded, EncodeError> {
                encode::call(dialect, call, self)
            }
        }
    };
}

client_arguments!(A1);
client_arguments!(A1, A2);
client_arguments!(A1, A2, A3);
client_arguments!(A1, A2, A3, A4);
client_arguments!(A1, A2, A3, A4, A5);
client_arguments!(A1, A2, A3, A4, A5, A6);
client_arguments!(A1, A2, A3, A4, A5, A6, A7);
client_arguments!(A1, A2, A3, A4, A5, A6, A7, A8);
client_arguments!(A1, A2, A3, A4, A5, A6, A7, A8, A9);
client_arguments!(A1, A2, A3, A4, A5, A6, A7, A8, A9, A10);
client_arguments!(A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11);
client_arguments!(A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12);
