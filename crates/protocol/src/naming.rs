//! Under which names structures and enums travel.

use crate::HubProtocol;

/// How the fields of structures and the variants of enums are named on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Naming {
    /// As serde names them, in both protocols.
    #[default]
    Serde,
    /// As .NET's serializers do for one and the same type: fields camelCase in JSON and read in any case,
    /// PascalCase in MessagePack and read exactly; enums without data as their index in JSON and as their name in
    /// MessagePack; structures never as arrays; numbers that JSON cannot express are errors, not `null`.
    ///
    /// Keys of maps stay as they are. Variants with data have no counterpart in .NET and keep serde's form, as does
    /// what `#[serde(flatten)]`, `#[serde(tag)]` and `#[serde(untagged)]` buffer. Of a JSON field that is given twice the
    /// last one counts, in eight levels of structures, and only that one is looked at; in MessagePack it is an error, where
    /// .NET takes the last one too.
    DotNet,
}

/// A hub protocol, with the names that values have in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// How messages are encoded.
    pub protocol: HubProtocol,
    /// How fields and variants are named.
    pub naming: Naming,
}

/// With the names that serde gives.
impl From<HubProtocol> for Dialect {
    fn from(protocol: HubProtocol) -> Self {
        Self { protocol, naming: Naming::Serde }
    }
}
