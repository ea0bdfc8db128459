//! Values of .NET that have no counterpart in Rust's standard library, in the form that ASP.NET Core gives them
//! in either hub protocol.
//!
//! Each converts with `From` or `TryFrom` to and from what Rust has for it.
//!
//! | C# | here | feature | JSON | MessagePack |
//! |---|---|---|---|---|
//! | `object` | [`Any`] | | any value | any value |
//! | `byte[]` | `Bytes` | `bytes` | base64 | bin |
//! | `char` | [`Char`] | | a string of one UTF-16 unit | its code |
//! | `DateTime` | `DateTime` | `time` | ISO 8601 | timestamp |
//! | `DateTimeOffset` | `DateTimeOffset` | `time` | ISO 8601 with an offset | `[timestamp, minutes]` |
//! | `DateOnly` | `DateOnly` | `time` | `2026-01-02` | days since 0001-01-01 |
//! | `TimeOnly` | `TimeOnly` | `time` | `03:04:05` | ticks |
//! | `TimeSpan` | [`TimeSpan`] | `time` for its crate's `Duration` | `1.02:03:04.0050000` | ticks |
//! | `decimal` | `Decimal` | `rust_decimal` | a number that keeps its scale | a string |
//! | `Guid` | `Guid` | `uuid` | 36 characters | 36 characters |
//! | `Uri` | [`Uri`] | | a string | a string |
//! | an enum that takes undefined numbers | [`Enum`] | | a number | a name |
//! | `KeyValuePair<K, V>` | [`KeyValuePair`] | | `{"key":…,"value":…}` | `[key, value]` |
//! | `ValueTuple<…>` | [`ValueTuple`] | | `{}` | an array |
//!
//! A tick is 100 ns; what is finer is cut off. Numbers, strings, lists, maps and `null` (an `Option`) are Rust's
//! own, and enums and structures what serde makes of them under [`Naming`](crate::Naming).
//!
//! Source: recorded cases in `conformance/cases/json-values.json` and `messagepack-values.json`.

mod any;
mod char;
mod enumeration;
mod key_value_pair;
mod text;
mod time_span;
mod uri;
mod value_tuple;

#[cfg(feature = "bytes")]
mod bytes;
#[cfg(feature = "rust_decimal")]
mod decimal;
#[cfg(feature = "uuid")]
mod guid;

#[cfg(feature = "time")]
mod date_only;
#[cfg(feature = "time")]
mod date_time;
#[cfg(feature = "time")]
mod date_time_offset;
#[cfg(feature = "time")]
mod iso8601;
#[cfg(feature = "time")]
mod time_only;
#[cfg(feature = "time")]
mod timestamp;

pub use any::Any;
pub use char::Char;
pub use enumeration::Enum;
pub use key_value_pair::KeyValuePair;
pub use time_span::TimeSpan;
pub use uri::Uri;
pub use value_tuple::ValueTuple;

#[cfg(feature = "bytes")]
pub use bytes::Bytes;
#[cfg(feature = "time")]
pub use date_only::DateOnly;
#[cfg(feature = "time")]
pub use date_time::DateTime;
#[cfg(feature = "time")]
pub use date_time_offset::DateTimeOffset;
#[cfg(feature = "rust_decimal")]
pub use decimal::Decimal;
#[cfg(feature = "uuid")]
pub use guid::Guid;
#[cfg(feature = "time")]
pub use time_only::TimeOnly;
