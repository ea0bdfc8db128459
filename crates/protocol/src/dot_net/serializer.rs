use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::names::WireName;
use super::{DotNet, is_raw};

impl<T: Serialize + ?Sized> Serialize for DotNet<&T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(DotNet(serializer))
    }
}

/// Hands values without parts on as they are.
macro_rules! forward {
    ($($method:ident($type:ty))+) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.0.$method(value)
        })+
    };
}

/// JSON has no word for what is not finite; .NET refuses to write it.
macro_rules! finite {
    ($($method:ident($type:ty))+) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            if self.0.is_human_readable() && !value.is_finite() {
                return Err(S::Error::custom(format_args!("{value} is not a number of JSON")));
            }
            self.0.$method(value)
        })+
    };
}

impl<S: Serializer> Serializer for DotNet<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = DotNet<S::SerializeSeq>;
    type SerializeTuple = DotNet<S::SerializeTuple>;
    type SerializeTupleStruct = DotNet<S::SerializeTupleStruct>;
    type SerializeTupleVariant = DotNet<S::SerializeTupleVariant>;
    type SerializeMap = DotNet<S::SerializeMap>;
    type SerializeStruct = Structure<S>;
    type SerializeStructVariant = DotNet<S::SerializeStructVariant>;

    forward! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_char(char) serialize_str(&str) serialize_bytes(&[u8]) serialize_unit_struct(&'static str)
    }

    finite! { serialize_f32(f32) serialize_f64(f64) }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&DotNet(value))
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        if self.0.is_human_readable() {
            self.0.serialize_u32(index)
        } else {
            self.0.serialize_unit_variant(name, index, variant)
        }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        if is_raw(name) {
            self.0.serialize_newtype_struct(name, value)
        } else {
            self.0.serialize_newtype_struct(name, &DotNet(value))
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_variant(name, index, variant, &DotNet(value))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.0.serialize_seq(length).map(DotNet)
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.0.serialize_tuple(length).map(DotNet)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.0.serialize_tuple_struct(name, length).map(DotNet)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.0.serialize_tuple_variant(name, index, variant, length).map(DotNet)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.0.serialize_map(length).map(DotNet)
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        if is_raw(name) {
            return self.0.serialize_struct(name, length).map(Structure::Raw);
        }
        let wire_name = if self.0.is_human_readable() { WireName::property } else { WireName::member };
        Ok(Structure::Named { fields: self.0.serialize_map(Some(length))?, wire_name })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.0.serialize_struct_variant(name, index, variant, length).map(DotNet)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// A structure goes as a map, because only a map takes names that are made while writing.
pub(crate) enum Structure<S: Serializer> {
    Raw(S::SerializeStruct),
    Named { fields: S::SerializeMap, wire_name: fn(&str) -> WireName },
}

impl<S: Serializer> SerializeStruct for Structure<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), S::Error> {
        match self {
            Self::Raw(raw) => raw.serialize_field(name, value),
            Self::Named { fields, wire_name } => {
                fields.serialize_entry(wire_name(name).as_str(), &DotNet(value))
            }
        }
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        match self {
            Self::Raw(raw) => raw.end(),
            Self::Named { fields, .. } => fields.end(),
        }
    }
}

macro_rules! items {
    ($($trait:ident::$method:ident)+) => {
        $(impl<C: $trait> $trait for DotNet<C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                self.0.$method(&DotNet(value))
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.0.end()
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

impl<C: SerializeMap> SerializeMap for DotNet<C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.0.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.0.serialize_value(&DotNet(value))
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.0.end()
    }
}

impl<C: SerializeStructVariant> SerializeStructVariant for DotNet<C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), C::Error> {
        self.0.serialize_field(name, &DotNet(value))
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.0.end()
    }
}
