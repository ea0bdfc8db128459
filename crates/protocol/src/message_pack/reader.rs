//! MessagePack from front to back, one token at a time.

use rmp::Marker;

/// A value, or the head of a container whose items follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    Nil,
    Bool(bool),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    F32(f32),
    F64(f64),
    /// Meant to be UTF-8, and not always is.
    Str(&'a [u8]),
    Bin(&'a [u8]),
    Ext(i8, &'a [u8]),
    /// That many values follow.
    Array(u32),
    /// Twice as many values follow.
    Map(u32),
}

impl Token<'_> {
    /// The integer, however wide it was written.
    pub(crate) fn integer(self) -> Option<i128> {
        Some(match self {
            Self::U8(value) => value.into(),
            Self::U16(value) => value.into(),
            Self::U32(value) => value.into(),
            Self::U64(value) => value.into(),
            Self::I8(value) => value.into(),
            Self::I16(value) => value.into(),
            Self::I32(value) => value.into(),
            Self::I64(value) => value.into(),
            _ => return None,
        })
    }
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// The bytes end before the value does.
    End,
    /// The byte that no value begins with.
    Reserved,
}

/// A place in MessagePack bytes.
///
/// A container cannot announce more values than bytes are left, since each takes one at least: so nothing here
/// or above can be made to reserve memory for what never comes. MessagePack-CSharp refuses them as well.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The byte that the next value begins with.
    pub(crate) fn code(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next token. After an error the place is anywhere.
    pub(crate) fn token(&mut self) -> Result<Token<'a>, ReadError> {
        let [code] = self.array()?;
        Ok(match Marker::from_u8(code) {
            Marker::FixPos(value) => Token::U8(value),
            Marker::FixNeg(value) => Token::I8(value),
            Marker::Null => Token::Nil,
            Marker::Reserved => return Err(ReadError::Reserved),
            Marker::True => Token::Bool(true),
            Marker::False => Token::Bool(false),
            Marker::U8 => Token::U8(u8::from_be_bytes(self.array()?)),
            Marker::U16 => Token::U16(u16::from_be_bytes(self.array()?)),
            Marker::U32 => Token::U32(u32::from_be_bytes(self.array()?)),
            Marker::U64 => Token::U64(u64::from_be_bytes(self.array()?)),
            Marker::I8 => Token::I8(i8::from_be_bytes(self.array()?)),
            Marker::I16 => Token::I16(i16::from_be_bytes(self.array()?)),
            Marker::I32 => Token::I32(i32::from_be_bytes(self.array()?)),
            Marker::I64 => Token::I64(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Token::F32(f32::from_be_bytes(self.array()?)),
            Marker::F64 => Token::F64(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(length) => Token::Str(self.take(length.into())?),
            Marker::Str8 => Token::Str(self.length8().and_then(|length| self.take(length))?),
            Marker::Str16 => Token::Str(self.length16().and_then(|length| self.take(length))?),
            Marker::Str32 => Token::Str(self.length32().and_then(|length| self.take(length))?),
            Marker::Bin8 => Token::Bin(self.length8().and_then(|length| self.take(length))?),
            Marker::Bin16 => Token::Bin(self.length16().and_then(|length| self.take(length))?),
            Marker::Bin32 => Token::Bin(self.length32().and_then(|length| self.take(length))?),
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => self.length8().and_then(|length| self.extension(length))?,
            Marker::Ext16 => self.length16().and_then(|length| self.extension(length))?,
            Marker::Ext32 => self.length32().and_then(|length| self.extension(length))?,
            Marker::FixArray(length) => Token::Array(self.count(length.into(), 1)?),
            Marker::Array16 => Token::Array(self.length16().and_then(|length| self.count(length, 1))?),
            Marker::Array32 => Token::Array(self.length32().and_then(|length| self.count(length, 1))?),
            Marker::FixMap(length) => Token::Map(self.count(length.into(), 2)?),
            Marker::Map16 => Token::Map(self.length16().and_then(|length| self.count(length, 2))?),
            Marker::Map32 => Token::Map(self.length32().and_then(|length| self.count(length, 2))?),
        })
    }

    /// Passes over the next value, whatever is in it, and gives its bytes. However deep it nests, the stack does
    /// not grow.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], ReadError> {
        let begin = self.rest;
        let mut values = 1u64;
        while values > 0 {
            values -= 1;
            match self.token()? {
                Token::Array(length) => values += u64::from(length),
                Token::Map(length) => values += 2 * u64::from(length),
                _ => {}
            }
        }
        Ok(&begin[..begin.len() - self.rest.len()])
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ReadError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ReadError::End)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ReadError::End)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn length8(&mut self) -> Result<usize, ReadError> {
        self.array().map(u8::from_be_bytes).map(usize::from)
    }

    fn length16(&mut self) -> Result<usize, ReadError> {
        self.array().map(u16::from_be_bytes).map(usize::from)
    }

    fn length32(&mut self) -> Result<usize, ReadError> {
        let length = self.array().map(u32::from_be_bytes)?;
        usize::try_from(length).map_err(|_| ReadError::End)
    }

    fn extension(&mut self, length: usize) -> Result<Token<'a>, ReadError> {
        let kind = self.array().map(i8::from_be_bytes)?;
        Ok(Token::Ext(kind, self.take(length)?))
    }

    /// `length` as the count of a container whose items take `least` bytes each.
    fn count(&self, length: usize, least: usize) -> Result<u32, ReadError> {
        if length.checked_mul(least).is_none_or(|bytes| bytes > self.rest.len()) {
            return Err(ReadError::End);
        }
        u32::try_from(length).map_err(|_| ReadError::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_skipped_whole() {
        let bytes = [0x93, 1, 0x81, 0xa1, b'a', 0x90, 0xd6, 0xff, 1, 2, 3, 4, 0xc0];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.value(), Ok(&bytes[..12]));
        assert_eq!(reader.value(), Ok(&[0xc0][..]));
        assert_eq!(reader.value(), Err(ReadError::End));
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let mut bytes = vec![0x91; 10_000_000];
        bytes.push(0xc0);
        assert_eq!(Reader::new(&bytes).value().unwrap().len(), bytes.len());
    }

    #[test]
    fn announced_lengths_must_be_there() {
        for bytes in [
            &[0xdd, 0xff, 0xff, 0xff, 0xff, 1][..],
            &[0xdf, 0xff, 0xff, 0xff, 0xff, 1],
            &[0xdb, 0xff, 0xff, 0xff, 0xff, 1],
            &[0xc6, 0xff, 0xff, 0xff, 0xff, 1],
            &[0xc9, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x92, 1],
            &[0x81, 1],
            &[0xcb, 0, 0, 0],
            &[0xd6, 0xff, 0],
        ] {
            assert_eq!(Reader::new(bytes).value(), Err(ReadError::End), "{bytes:x?}");
        }
        assert_eq!(Reader::new(&[0x91, 0xc1]).value(), Err(ReadError::Reserved));
    }
}
