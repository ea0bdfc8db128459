//! What was measured, for people to read.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::process::root;

/// Signs in the order of Conduit's guide.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Row>);

#[derive(Debug)]
struct Row {
    number: u8,
    sign: &'static str,
    holds: bool,
    figures: String,
}

impl Table {
    pub(super) fn add(&mut self, number: u8, sign: &'static str, holds: bool, figures: String) {
        self.0.push(Row { number, sign, holds, figures });
        self.0.sort_by_key(|row| row.number);
    }

    pub(super) fn all_hold(&self) -> bool {
        self.0.iter().all(|row| row.holds)
    }

    /// Writes docs/success-criteria.md.
    pub(super) fn write(&self) -> Result<()> {
        let path = root().join("docs/success-criteria.md");
        let processors = std::thread::available_parallelism()?;
        let text = format!(
            "# Success criteria\n\n\
             The eight signs by which Conduit's guide tells a backplane that works, as `cargo xtask criteria` measured them: three \
             instances, Redis, PostgreSQL and the load client share one machine with {processors} processors. The first four and the \
             sixth and seventh ran with `deploy/conduit.env`, the others with `deploy/teledoctor.env`.\n\n{self}"
        );
        write(&path, &text)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | sign | holds | measured |\n| --- | --- | --- | --- |")?;
        for Row { number, sign, holds, figures } in &self.0 {
            let holds = if *holds { "yes" } else { "**no**" };
            writeln!(f, "| {number} | {sign} | {holds} | {figures} |")?;
        }
        Ok(())
    }
}
