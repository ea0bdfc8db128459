//! Values as they are written on the command line and in scenario files.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The arguments of a call: a JSON array.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arguments(pub Vec<Value>);

impl FromStr for Arguments {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(Value::Array(items)) => Ok(Self(items)),
            Ok(_) => Err(format!("arguments are a JSON array: for one argument '[{text}]'")),
            Err(error) => {
                Err(format!("arguments are a JSON array, for example '[\"{{stamp}}\", 7]' ({error})"))
            }
        }
    }
}

/// How many connections, step after step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ramp(pub Vec<u32>);

impl FromStr for Ramp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| {
            part.trim().parse().map_err(|_| format!("{part:?} is no number; a ramp is 10,100,1000"))
        };
        text.split(',').map(number).collect::<Result<_, _>>().map(Self)
    }
}

impl Display for Ramp {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
    }
}

/// A share of all connections that is chosen anew every second: `5%/s`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShareEachSecond(pub f64);

impl FromStr for ShareEachSecond {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().trim_end_matches("/s").trim_end_matches('%');
        match number.parse() {
            Ok(percent) if text.contains('%') && (0.0..=100.0).contains(&percent) && percent > 0.0 => {
                Ok(Self(percent / 100.0))
            }
            _ => Err(format!("{text:?} is no share of the connections a second; what would be right: 5%/s")),
        }
    }
}

impl TryFrom<String> for ShareEachSecond {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Display for ShareEachSecond {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%/s", (self.0 * 1e6).round() / 1e4)
    }
}

impl From<ShareEachSecond> for String {
    fn from(share: ShareEachSecond) -> Self {
        share.to_string()
    }
}

/// A number of bytes: `64k`, `512M`, `2G`, or without a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let lower = lower.trim_end_matches("ib").trim_end_matches('b');
        let (digits, unit) = lower.split_at(lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len()));
        let shift = match unit.trim() {
            "" => Some(0),
            "k" => Some(10),
            "m" => Some(20),
            "g" => Some(30),
            _ => None,
        };
        let bytes = shift.and_then(|shift| digits.parse::<u64>().ok()?.checked_shl(shift));
        bytes
            .filter(|bytes| *bytes > 0)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no size; what would be right: 64k, 512M, 2G"))
    }
}

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        bytes.0.to_string()
    }
}

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            bytes if bytes >= 10 << 30 => write!(f, "{} GB", bytes >> 30),
            bytes if bytes >= 10 << 20 => write!(f, "{} MB", bytes >> 20),
            bytes if bytes >= 10 << 10 => write!(f, "{} KB", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

/// Who receives what one connection sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// All connections of the hub, the sender too
    All,
    /// All but the sender
    Others,
    /// The sender itself: an echo, as an event or as the result
    Caller,
    /// The sender's group, the sender too
    Group,
    /// Not known: events are only counted
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_wrong_ones_say_what_would_be_right() {
        assert_eq!("10, 100,1000".parse(), Ok(Ramp(vec![10, 100, 1000])));
        assert!("10;100".parse::<Ramp>().unwrap_err().contains("10,100,1000"));
        assert_eq!("5%/s".parse(), Ok(ShareEachSecond(0.05)));
        assert_eq!(ShareEachSecond(0.05).to_string(), "5%/s");
        for wrong in ["5", "0%/s", "101%/s", "x%/s", "-1%/s"] {
            assert!(wrong.parse::<ShareEachSecond>().unwrap_err().contains("5%/s"), "{wrong}");
        }
        assert_eq!("64k".parse(), Ok(Bytes(65_536)));
        assert_eq!("2GiB".parse(), Ok(Bytes(2 << 30)));
        assert_eq!("250MB".parse(), Ok(Bytes(250 << 20)));
        for wrong in ["", "0", "k", "1.5G", "5x"] {
            assert!(wrong.parse::<Bytes>().unwrap_err().contains("512M"), "{wrong}");
        }
        assert_eq!("[1, \"a\"]".parse::<Arguments>().unwrap().0.len(), 2);
        assert!("\"a\"".parse::<Arguments>().unwrap_err().contains("'[\"a\"]'"));
        assert!("a".parse::<Arguments>().unwrap_err().contains("{stamp}"));
    }
}
