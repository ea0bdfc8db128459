//! What .NET calls things, where users and tests know its texts.

use hubline_protocol::{BindError, ClientValue};

/// The name of a type.
pub(crate) fn type_name<T>() -> &'static str {
    let name = of_optional(std::any::type_name::<T>());
    primitive(name).unwrap_or_else(|| {
        let name = name.split('<').next().unwrap_or(name);
        name.rsplit("::").next().unwrap_or(name)
    })
}

/// Why a client's value is not a `T`.
pub(crate) fn mismatch<T>(value: ClientValue<'_>, error: &BindError) -> String {
    let expected = type_name::<T>();
    let is_primitive = primitive(of_optional(std::any::type_name::<T>())).is_some();
    match value {
        ClientValue::Json(json) if is_primitive && !json.starts_with(b"[") && !json.starts_with(b"{") => {
            let position = json.len();
            format!(
                "The JSON value could not be converted to System.{expected}. Path: $ | LineNumber: 0 | BytePositionInLine: {position}."
            )
        }
        ClientValue::Json(_) => error.to_string(),
        ClientValue::MessagePack(_) => {
            format!("Deserializing object of the `{expected}` type for 'argument' failed.")
        }
    }
}

fn of_optional(name: &str) -> &str {
    let optional = name.strip_prefix("core::option::Option<").and_then(|name| name.strip_suffix('>'));
    optional.unwrap_or(name)
}

fn primitive(name: &str) -> Option<&'static str> {
    Some(match name {
        "bool" => "Boolean",
        "i8" => "SByte",
        "i16" => "Int16",
        "i32" => "Int32",
        "i64" => "Int64",
        "i128" => "Int128",
        "u8" => "Byte",
        "u16" => "UInt16",
        "u32" => "UInt32",
        "u64" => "UInt64",
        "u128" => "UInt128",
        "f32" => "Single",
        "f64" => "Double",
        "alloc::string::String" => "String",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primitives_have_their_names_and_other_types_their_own() {
        assert_eq!(type_name::<Option<i32>>(), "Int32");
        assert_eq!(type_name::<String>(), "String");
        assert_eq!(type_name::<Vec<BindError>>(), "Vec");
        assert_eq!(type_name::<Option<BindError>>(), "BindError");
    }

    #[test]
    fn a_mismatch_is_told_as_each_protocol_tells_it() {
        let error = BindError::new("no");
        let position = "The JSON value could not be converted to System.Int32. Path: $ | LineNumber: 0 | BytePositionInLine: 3.";
        assert_eq!(mismatch::<i32>(ClientValue::Json(b"\"x\""), &error), position);
        assert_eq!(mismatch::<i32>(ClientValue::Json(b"[1]"), &error), "no");
        let object = "Deserializing object of the `Int32` type for 'argument' failed.";
        assert_eq!(mismatch::<i32>(ClientValue::MessagePack(&[0xc0]), &error), object);
    }
}
