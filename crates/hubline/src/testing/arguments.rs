//! What the server sends, read and shown.

use hubline_protocol::{Arguments, ClientValue, HubProtocol, Naming};
use serde::de::DeserializeOwned;

/// The arguments of a call that a client received: a tuple of up to eight values, or a `Vec` of as many as came.
pub trait ReceivedArguments: Sized {
    /// Decodes the arguments, each from its encoded form.
    ///
    /// # Errors
    /// Their number differs, or one is not of its type; which one and why.
    fn decode(received: &Received) -> Result<Self, String>;
}

/// A call of a client's method as it came, or a value.
#[derive(Debug, Clone)]
pub struct Received {
    protocol: HubProtocol,
    naming: Naming,
    values: Vec<Vec<u8>>,
}

impl Received {
    pub(super) fn arguments(protocol: HubProtocol, naming: Naming, arguments: &Arguments<'_>) -> Self {
        Self { protocol, naming, values: arguments.iter().map(|value| value.encoded().to_vec()).collect() }
    }

    pub(super) fn value(protocol: HubProtocol, naming: Naming, value: Option<ClientValue<'_>>) -> Self {
        let null: &[u8] = match protocol {
            HubProtocol::Json => b"null",
            HubProtocol::MessagePack => &[0xc0],
        };
        let encoded = value.map_or(null, ClientValue::encoded);
        Self { protocol, naming, values: vec![encoded.to_vec()] }
    }

    /// Decodes the only value.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, String> {
        self.at(0).map_err(|error| format!("came {self}, which is no `{}`: {error}", type_name::<T>()))
    }

    fn at<T: DeserializeOwned>(&self, index: usize) -> Result<T, String> {
        let Some(value) = self.values.get(index) else { return Err("nothing came".to_owned()) };
        self.client_value(value).decode(self.naming).map_err(|error| error.to_string())
    }

    fn argument<T: DeserializeOwned>(&self, index: usize) -> Result<T, String> {
        self.at(index)
            .map_err(|error| format!("argument {} is no `{}`: {error}", index + 1, type_name::<T>()))
    }

    fn expect_count(&self, expected: usize) -> Result<(), String> {
        match self.values.len() {
            count if count == expected => Ok(()),
            count => Err(format!("{count} argument(s) came, and {expected} were expected")),
        }
    }

    fn client_value<'a>(&self, value: &'a [u8]) -> ClientValue<'a> {
        match self.protocol {
            HubProtocol::Json => ClientValue::Json(value),
            HubProtocol::MessagePack => ClientValue::MessagePack(value),
        }
    }
}

/// As JSON, with commas between.
impl std::fmt::Display for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, value) in self.values.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match self.client_value(value).decode::<serde_json::Value>(Naming::Serde) {
                Ok(value) => write!(f, "{value}")?,
                Err(_) => write!(f, "{}", value.escape_ascii())?,
            }
        }
        Ok(())
    }
}

/// `alloc::vec::Vec<my_app::Line>` becomes `Vec<Line>`.
fn type_name<T>() -> String {
    let mut short = String::new();
    for part in
        std::any::type_name::<T>().split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
    {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short
}

impl<T: DeserializeOwned> ReceivedArguments for Vec<T> {
    fn decode(received: &Received) -> Result<Self, String> {
        (0..received.values.len()).map(|index| received.argument(index)).collect()
    }
}

macro_rules! received_arguments {
    ($count:literal: $($argument:ident $index:literal),*) => {
        impl<$($argument: DeserializeOwned),*> ReceivedArguments for ($($argument,)*) {
            fn decode(received: &Received) -> Result<Self, String> {
                received.expect_count($count)?;
                Ok(($(received.argument::<$argument>($index)?,)*))
            }
        }
    };
}

received_arguments!(0:);
received_arguments!(1: A1 0);
received_arguments!(2: A1 0, A2 1);
received_arguments!(3: A1 0, A2 1, A3 2);
received_arguments!(4: A1 0, A2 1, A3 2, A4 3);
received_arguments!(5: A1 0, A2 1, A3 2, A4 3, A5 4);
received_arguments!(6: A1 0, A2 1, A3 2, A4 3, A5 4, A6 5);
received_arguments!(7: A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6);
received_arguments!(8: A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6, A8 7);
