//! Writes values as MessagePack-CSharp does: integers in their shortest form and unsigned where they can be,
//! floats as wide as their type, structures as maps.

use rmp::encode;
use serde::ser::{
    self, Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
};

use super::reader::{Reader, Token};
use super::{ValueError, raw};

/// The name under which serde_json hides a value that is JSON text already.
const RAW_JSON: &str = "$serde_json::private::RawValue";

/// Writes one value.
#[derive(Debug)]
pub(crate) struct Serializer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Serializer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// A variant with data is a map of one entry.
    fn variant(&mut self, name: &str) -> Result<(), ValueError> {
        written(encode::write_map_len(self.out, 1))?;
        written(encode::write_str(self.out, name))
    }

    fn array(self, length: Option<usize>) -> Result<Compound<'a>, ValueError> {
        Compound::begin(self.out, length, false)
    }

    fn map(self, length: Option<usize>) -> Result<Compound<'a>, ValueError> {
        Compound::begin(self.out, length, true)
    }
}

/// Writing to a `Vec` has no way to fail; rmp's signatures cannot say so.
fn written<T, E>(result: Result<T, E>) -> Result<(), ValueError> {
    result.map(drop).map_err(|_| Error::custom("no memory left"))
}

macro_rules! scalars {
    ($($method:ident($type:ty) => $write:ident,)+) => {
        $(fn $method(self, value: $type) -> Result<(), ValueError> {
            written(encode::$write(self.out, value.into()))
        })+
    };
}

impl<'a> ser::Serializer for Serializer<'a> {
    type Ok = ();
    type Error = ValueError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Structure<'a>;
    type SerializeStructVariant = Compound<'a>;

    scalars! {
        serialize_i8(i8) => write_sint,
        serialize_i16(i16) => write_sint,
        serialize_i32(i32) => write_sint,
        serialize_i64(i64) => write_sint,
        serialize_u8(u8) => write_uint,
        serialize_u16(u16) => write_uint,
        serialize_u32(u32) => write_uint,
        serialize_u64(u64) => write_uint,
        serialize_f32(f32) => write_f32,
        serialize_f64(f64) => write_f64,
    }

    fn serialize_bool(self, value: bool) -> Result<(), ValueError> {
        written(encode::write_bool(self.out, value))
    }

    fn serialize_char(self, value: char) -> Result<(), ValueError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), ValueError> {
        length(value.len())?;
        written(encode::write_str(self.out, value))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), ValueError> {
        length(value.len())?;
        written(encode::write_bin(self.out, value))
    }

    fn serialize_none(self) -> Result<(), ValueError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ValueError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), ValueError> {
        written(encode::write_nil(self.out))
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), ValueError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), ValueError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        if name != raw::NAME {
            return value.serialize(self);
        }
        let mut bin = Vec::new();
        value.serialize(Serializer::new(&mut bin))?;
        match Reader::new(&bin).token() {
            Ok(Token::Bin(bytes)) => self.out.extend_from_slice(bytes),
            _ => return Err(Error::custom("a raw value is not bytes")),
        }
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.variant(variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Compound<'a>, ValueError> {
        self.array(length)
    }

    fn serialize_tuple(self, length: usize) -> Result<Compound<'a>, ValueError> {
        self.array(Some(length))
    }

    fn serialize_tuple_struct(self, _name: &'static str, length: usize) -> Result<Compound<'a>, ValueError> {
        self.array(Some(length))
    }

    fn serialize_tuple_variant(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'a>, ValueError> {
        self.variant(variant)?;
        self.array(Some(length))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Compound<'a>, ValueError> {
        self.map(length)
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Structure<'a>, ValueError> {
        if name == RAW_JSON {
            return Ok(Structure::Json(self));
        }
        self.map(Some(length)).map(Structure::Map)
    }

    fn serialize_struct_variant(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'a>, ValueError> {
        self.variant(variant)?;
        self.map(Some(length))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A length as MessagePack can tell it.
fn length(length: usize) -> Result<u32, ValueError> {
    u32::try_from(length).map_err(|_| Error::custom("too long for MessagePack"))
}

/// An array or a map that is being written. Where its length is not known before, its head is put in last.
#[derive(Debug)]
pub(crate) struct Compound<'a> {
    out: &'a mut Vec<u8>,
    is_map: bool,
    headless: Option<Headless>,
}

#[derive(Debug)]
struct Headless {
    start: usize,
    count: usize,
}

impl<'a> Compound<'a> {
    fn begin(out: &'a mut Vec<u8>, length: Option<usize>, is_map: bool) -> Result<Self, ValueError> {
        let headless = match length {
            Some(length) => {
                head(out, length, is_map)?;
                None
            }
            None => Some(Headless { start: out.len(), count: 0 }),
        };
        Ok(Self { out, is_map, headless })
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        if let Some(headless) = &mut self.headless {
            headless.count += 1;
        }
        value.serialize(Serializer::new(self.out))
    }

    fn entry<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), ValueError> {
        written(encode::write_str(self.out, name))?;
        self.item(value)
    }

    fn finish(self) -> Result<(), ValueError> {
        if let Some(Headless { start, count }) = self.headless {
            let mut bytes = Vec::new();
            head(&mut bytes, count, self.is_map)?;
            self.out.splice(start..start, bytes);
        }
        Ok(())
    }
}

fn head(out: &mut Vec<u8>, count: usize, is_map: bool) -> Result<(), ValueError> {
    let count = length(count)?;
    if is_map {
        written(encode::write_map_len(out, count))
    } else {
        written(encode::write_array_len(out, count))
    }
}

macro_rules! items {
    ($($trait:ident::$method:ident)+) => {
        $(impl $trait for Compound<'_> {
            type Ok = ();
            type Error = ValueError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
                self.item(value)
            }

            fn end(self) -> Result<(), ValueError> {
                self.finish()
            }
        })+
    };
}

items! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        key.serialize(Serializer::new(self.out))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.item(value)
    }

    fn end(self) -> Result<(), ValueError> {
        self.finish()
    }
}

impl SerializeStructVariant for Compound<'_> {
    type Ok = ();
    type Error = ValueError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.entry(name, value)
    }

    fn end(self) -> Result<(), ValueError> {
        self.finish()
    }
}

/// A structure that is being written.
#[derive(Debug)]
pub(crate) enum Structure<'a> {
    Map(Compound<'a>),
    /// Its one field is JSON text, which becomes what it says.
    Json(Serializer<'a>),
}

impl SerializeStruct for Structure<'_> {
    type Ok = ();
    type Error = ValueError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        match self {
            Self::Map(fields) => fields.entry(name, value),
            Self::Json(serializer) => {
                let mut text = Vec::new();
                value.serialize(Serializer::new(&mut text))?;
                match Reader::new(&text).token() {
                    Ok(Token::Str(json)) => transcode(json, serializer.out),
                    _ => Err(Error::custom("raw JSON is not text")),
                }
            }
        }
    }

    fn end(self) -> Result<(), ValueError> {
        match self {
            Self::Map(fields) => fields.finish(),
            Self::Json(_) => Ok(()),
        }
    }
}

fn transcode(json: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut json = serde_json::Deserializer::from_slice(json);
    serde_transcode::transcode(&mut json, Serializer::new(out))
}
