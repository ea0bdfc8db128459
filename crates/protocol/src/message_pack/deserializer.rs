//! Reads values as MessagePack-CSharp does: integers of any width, numbers as floats but not the other way,
//! strings from `str` alone and mended where they are not UTF-8.

use std::borrow::Cow;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::reader::{ReadError, Reader, Token};
use super::{ValueError, raw};

/// How deep a value may nest: the stack of a thread must do, whatever is read. (MessagePack-CSharp stops at 500,
/// System.Text.Json at 64.)
const MAX_DEPTH: u32 = 128;

/// Reads one value.
#[derive(Debug)]
pub(crate) struct Deserializer<'de> {
    reader: Reader<'de>,
    depth_left: u32,
}

impl<'de> Deserializer<'de> {
    pub(crate) fn new(value: &'de [u8]) -> Self {
        Self { reader: Reader::new(value), depth_left: MAX_DEPTH }
    }

    /// Nothing may follow the value.
    pub(crate) fn end(&self) -> Result<(), ValueError> {
        if self.reader.is_at_end() { Ok(()) } else { Err(Error::custom("trailing bytes")) }
    }

    fn token(&mut self) -> Result<Token<'de>, ValueError> {
        self.reader.token().map_err(ValueError::from)
    }

    fn visit<V: Visitor<'de>>(&mut self, token: Token<'de>, visitor: V) -> Result<V::Value, ValueError> {
        match token {
            Token::Nil => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::U8(value) => visitor.visit_u8(value),
            Token::U16(value) => visitor.visit_u16(value),
            Token::U32(value) => visitor.visit_u32(value),
            Token::U64(value) => visitor.visit_u64(value),
            Token::I8(value) => visitor.visit_i8(value),
            Token::I16(value) => visitor.visit_i16(value),
            Token::I32(value) => visitor.visit_i32(value),
            Token::I64(value) => visitor.visit_i64(value),
            Token::F32(value) => visitor.visit_f32(value),
            Token::F64(value) => visitor.visit_f64(value),
            Token::Str(text) => match String::from_utf8_lossy(text) {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(mended) => visitor.visit_string(mended),
            },
            Token::Bin(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Ext(..) => Err(invalid_type(token, &visitor)),
            Token::Array(count) => self.nested(count, |items| visitor.visit_seq(items)),
            Token::Map(count) => self.nested(count, |entries| visitor.visit_map(entries)),
        }
    }

    /// Reads a container, all of it.
    fn nested<T>(
        &mut self,
        count: u32,
        read: impl FnOnce(&mut Items<'_, 'de>) -> Result<T, ValueError>,
    ) -> Result<T, ValueError> {
        self.depth_left =
            self.depth_left.checked_sub(1).ok_or_else(|| ValueError::custom("nested too deep"))?;
        let mut items = Items { deserializer: self, left: count };
        let read = read(&mut items)?;
        if items.left > 0 {
            return Err(Error::custom(format_args!("{} items too many", items.left)));
        }
        self.depth_left += 1;
        Ok(read)
    }
}

impl From<ReadError> for ValueError {
    fn from(error: ReadError) -> Self {
        Error::custom(match error {
            ReadError::End => "unexpected end",
            ReadError::Reserved => "no value begins with this byte",
        })
    }
}

fn invalid_type(token: Token<'_>, expected: &dyn de::Expected) -> ValueError {
    Error::invalid_type(
        match token {
            Token::Nil => Unexpected::Unit,
            Token::Bool(value) => Unexpected::Bool(value),
            Token::F32(value) => Unexpected::Float(value.into()),
            Token::F64(value) => Unexpected::Float(value),
            Token::Str(_) => Unexpected::Other("string"),
            Token::Bin(bytes) => Unexpected::Bytes(bytes),
            Token::Ext(..) => Unexpected::Other("extension"),
            Token::Array(_) => Unexpected::Seq,
            Token::Map(_) => Unexpected::Map,
            _ => Unexpected::Other("integer"),
        },
        expected,
    )
}

/// Types that only the tokens of one kind, or nil, may stand for.
macro_rules! only {
    ($($method:ident: $token:pat,)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            match self.token()? {
                token @ $token => self.visit(token, visitor),
                token => Err(invalid_type(token, &visitor)),
            }
        })+
    };
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        let token = self.token()?;
        self.visit(token, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 unit unit_struct seq tuple tuple_struct map struct
    }

    only! {
        deserialize_str: Token::Str(_),
        deserialize_string: Token::Str(_),
        deserialize_char: Token::Str(_),
        deserialize_identifier: Token::Str(_),
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if self.reader.code() == Some(rmp::Marker::Null.to_u8()) {
            self.token()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        // Bytes were strings once, before there were strings of eight bits' length.
        let may_be_string = self.reader.code() != Some(rmp::Marker::Str8.to_u8());
        match self.token()? {
            Token::Str(bytes) if may_be_string => visitor.visit_borrowed_bytes(bytes),
            token @ Token::Str(_) => Err(invalid_type(token, &visitor)),
            token => self.visit(token, visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        if name == raw::NAME {
            return visitor.visit_borrowed_bytes(self.reader.value()?);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        match self.token()? {
            Token::Str(variant) => {
                visitor.visit_enum(StrDeserializer::new(&String::from_utf8_lossy(variant)))
            }
            Token::Map(1) => self.nested(1, |variant| visitor.visit_enum(variant)),
            token => Err(invalid_type(token, &visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.reader.value()?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// What is left of a container: items, entries, or the one entry that a variant with data is.
struct Items<'r, 'de> {
    deserializer: &'r mut Deserializer<'de>,
    left: u32,
}

impl Items<'_, '_> {
    fn next(&mut self) -> bool {
        let some = self.left > 0;
        self.left -= u32::from(some);
        some
    }

    fn left(&self) -> Option<usize> {
        usize::try_from(self.left).ok()
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = ValueError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ValueError> {
        if self.next() { seed.deserialize(&mut *self.deserializer).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        self.left()
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ValueError> {
        if self.next() { seed.deserialize(&mut *self.deserializer).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ValueError> {
        seed.deserialize(&mut *self.deserializer)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left()
    }
}

impl<'de> EnumAccess<'de> for &mut Items<'_, 'de> {
    type Error = ValueError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), ValueError> {
        self.left = 0;
        Ok((seed.deserialize(&mut *self.deserializer)?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Items<'_, 'de> {
    type Error = ValueError;

    fn unit_variant(self) -> Result<(), ValueError> {
        de::Deserialize::deserialize(&mut *self.deserializer)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ValueError> {
        seed.deserialize(&mut *self.deserializer)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, ValueError> {
        de::Deserializer::deserialize_any(&mut *self.deserializer, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        de::Deserializer::deserialize_any(&mut *self.deserializer, visitor)
    }
}
