//! Serde adapters that give one and the same Rust type the form that .NET's serializers give its counterpart:
//! System.Text.Json under SignalR's settings where the format is human readable, MessagePack-CSharp where not.
//!
//! | Rust | JSON | MessagePack |
//! |---|---|---|
//! | field `user_name` | `userName`, read in any case | `UserName`, read exactly |
//! | variant without data | its index | its name |
//! | structure | an object, never an array; of a member that is given twice the last one counts | a map, never an array |
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

pub(crate) use enumeration::parse as parse_enum;

/// Wraps a serde serializer, and everything it hands on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DotNet<T>(pub(crate) T);

/// Wraps a serde deserializer, and everything it hands on: visitors, seeds and accesses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromDotNet<T>(pub(crate) T, pub(crate) Repeats);

/// In how many more levels of JSON structures a member may be given twice; the last one counts, as in .NET.
///
/// Serde's visitors take each field once, so the structure is looked through before it is read. Each level costs
/// another look at everything in it, hence the bound, and hence two readings: [`Repeats::NONE`] is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeats(u8);

impl Repeats {
    /// A member that is given twice is an error.
    pub(crate) const NONE: Self = Self(0);
    /// Enough for what people write by hand.
    pub(crate) const SOME: Self = Self(8);

    /// What is left one level further in; `None` if members may not be given twice here.
    fn further_in(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

/// Whether the name stands for a raw value, which the format must see as it is.
///
/// serde_json's and this crate's own names of that kind begin so; no Rust type's does.
fn is_raw(name: &str) -> bool {
    name.starts_with('$')
}
