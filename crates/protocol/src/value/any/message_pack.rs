use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rmp::encode;
use serde::ser::{Error, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::message_pack::{Reader, Token};

/// How deep a value may nest that is written as JSON.
const MAX_DEPTH: u32 = 64;

/// `value` as MessagePack-CSharp writes an `object` that it has read.
pub(super) fn rewritten(value: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(value);
    let mut out = Vec::with_capacity(value.len());
    let mut inside = false;
    while let Ok(token) = reader.token() {
        // Writing to a `Vec` has no way to fail.
        _ = write(&mut out, token, inside);
        inside = true;
    }
    out
}

fn write(out: &mut Vec<u8>, token: Token<'_>, inside: bool) -> Result<(), encode::ValueWriteError> {
    match token {
        Token::U8(value) if inside => encode::write_u8(out, value)?,
        Token::U16(value) if inside => encode::write_u16(out, value)?,
        Token::U32(value) if inside => encode::write_u32(out, value)?,
        Token::U64(value) if inside => encode::write_u64(out, value)?,
        Token::I8(value) if inside => encode::write_i8(out, value)?,
        Token::I16(value) if inside => encode::write_i16(out, value)?,
        Token::I32(value) if inside => encode::write_i32(out, value)?,
        Token::I64(value) if inside => encode::write_i64(out, value)?,
        Token::U8(value) => drop(encode::write_uint(out, value.into())?),
        Token::U16(value) => drop(encode::write_uint(out, value.into())?),
        Token::U32(value) => drop(encode::write_uint(out, value.into())?),
        Token::U64(value) => drop(encode::write_uint(out, value)?),
        Token::I8(value) => drop(encode::write_sint(out, value.into())?),
        Token::I16(value) => drop(encode::write_sint(out, value.into())?),
        Token::I32(value) => drop(encode::write_sint(out, value.into())?),
        Token::I64(value) => drop(encode::write_sint(out, value)?),
        Token::Nil => _ = encode::write_nil(out),
        Token::Bool(value) => _ = encode::write_bool(out, value),
        Token::F32(value) => encode::write_f32(out, value)?,
        Token::F64(value) => encode::write_f64(out, value)?,
        Token::Str(text) => encode::write_str(out, &String::from_utf8_lossy(text))?,
        Token::Bin(bytes) => encode::write_bin(out, bytes)?,
        Token::Array(count) => drop(encode::write_array_len(out, count)?),
        Token::Map(count) => drop(encode::write_map_len(out, count)?),
        Token::Ext(kind, content) => {
            let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
            encode::write_ext_meta(out, length, kind)?;
            out.extend_from_slice(content);
        }
    }
    Ok(())
}

/// One value of MessagePack as JSON has it.
pub(super) struct Item<'a> {
    value: &'a [u8],
    depth_left: u32,
}

impl<'a> Item<'a> {
    pub(super) fn new(value: &'a [u8]) -> Self {
        Self { value, depth_left: MAX_DEPTH }
    }

    fn child<E: Error>(&self, reader: &mut Reader<'a>) -> Result<Self, E> {
        let depth_left = self.depth_left.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        let value = reader.value().map_err(|_| E::custom("cut short"))?;
        Ok(Self { value, depth_left })
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut reader = Reader::new(self.value);
        let cut = || S::Error::custom("cut short");
        match reader.token().map_err(|_| cut())? {
            Token::Array(count) => {
                let mut items = serializer.serialize_seq(usize::try_from(count).ok())?;
                for _ in 0..count {
                    items.serialize_element(&self.child(&mut reader)?)?;
                }
                items.end()
            }
            Token::Map(count) => {
                let mut entries = serializer.serialize_map(usize::try_from(count).ok())?;
                for _ in 0..count {
                    let key = reader
                        .token()
                        .ok()
                        .and_then(key)
                        .ok_or_else(|| S::Error::custom("a key that is neither a text nor an integer"))?;
                    entries.serialize_entry(&key, &self.child(&mut reader)?)?;
                }
                entries.end()
            }
            Token::Str(text) => serializer.serialize_str(&String::from_utf8_lossy(text)),
            Token::Bin(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            Token::Bool(value) => serializer.serialize_bool(value),
            Token::F32(value) if value.is_finite() => serializer.serialize_f32(value),
            Token::F64(value) if value.is_finite() => serializer.serialize_f64(value),
            Token::U64(value) => serializer.serialize_u64(value),
            token => match (token.integer().map(i64::try_from), moment(token)) {
                (Some(Ok(integer)), _) => serializer.serialize_i64(integer),
                (_, Some(moment)) => serializer.serialize_str(&moment),
                _ => serializer.serialize_unit(),
            },
        }
    }
}

/// A key of an object; keys that are not texts are made texts.
fn key(token: Token<'_>) -> Option<String> {
    match token {
        Token::Str(text) => Some(String::from_utf8_lossy(text).into_owned()),
        token => token.integer().map(|integer| integer.to_string()),
    }
}

/// A timestamp as JSON has it.
#[cfg(feature = "time")]
fn moment(token: Token<'_>) -> Option<String> {
    crate::value::timestamp::decode(token).map(|moment| crate::value::DateTime::Utc(moment).to_string())
}

/// Without the crate that knows the calendar, a timestamp is an extension type like others.
#[cfg(not(feature = "time"))]
fn moment(_: Token<'_>) -> Option<String> {
    None
}
