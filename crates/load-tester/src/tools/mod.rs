//! Small tools for any SignalR server: [`ping`], [`send`], [`listen`].

mod listen;
mod ping;
mod send;

use std::future::Future;
use std::io::Write;

use anyhow::Context;
use serde_json::Value;

pub use listen::{ListenArgs, listen};
pub use ping::{PingArgs, ping};
pub use send::{SendArgs, send};

/// How a tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As asked for.
    Well,
    /// The server refused, failed, or was not there.
    Failed,
    /// The arguments cannot be used.
    CouldNotRun,
}

impl Ended {
    /// The program's exit code: 0, 1 or 2.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Failed => 1,
            Self::CouldNotRun => 2,
        }
    }
}

/// Runs a tool on a runtime of its own. What is wrong with arguments is an error.
fn run(tool: impl Future<Output = anyhow::Result<Ended>>) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.context("no thread can be had").and_then(|runtime| runtime.block_on(tool));
    ended.unwrap_or_else(|error| {
        say(&format!("error: {error:#}"));
        Ended::CouldNotRun
    })
}

/// For people: on standard error, so that standard output has what was asked for alone.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// One line on standard output, at once. False if nobody reads it any more.
fn print(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

/// An argument of a method: JSON, or the text itself where it is no JSON.
fn argument(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_json_or_text() {
        for (text, expected) in [
            ("1", json!(1)),
            ("\"1\"", json!("1")),
            ("hello there", json!("hello there")),
            ("{\"a\":[true]}", json!({"a": [true]})),
            ("{a}", json!("{a}")),
            ("", json!("")),
        ] {
            assert_eq!(argument(text), expected);
        }
    }
}
