//! Serde adapters that give one and the same Rust type the form that .NET's serializers give its counterpart:
//! System.Text.Json under SignalR's settings where the format is human readable, MessagePack-CSharp where not.
//!
//! | Rust | JSON | MessagePack |
//! |---|---|---|
//! | field `user_name` | `userName`, read in any case | `UserName`, read exactly |
//! | variant without data | its index | its name |
//! | structure | an object, never an array | a map, never an array |
//! | number that is not finite | an error | as it is |
//!
//! Keys of maps stay as they are. Variants with data have no counterpart and keep serde's form, as does what
//! `#[serde(flatten)]`, `#[serde(tag)]` and `#[serde(untagged)]` buffer.

mod access;
mod deserializer;
mod enumeration;
mod names;
mod serializer;
mod structure;

/// Wraps a serde (de)serializer, and everything it hands on: visitors, seeds, accesses and values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DotNet<T>(pub(crate) T);

/// Whether the name stands for a raw value, which the format must see as it is.
///
/// serde_json's and this crate's own names of that kind begin so; no Rust type's does.
fn is_raw(name: &str) -> bool {
    name.starts_with('$')
}
