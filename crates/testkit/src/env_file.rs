use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The variables of a file as Docker's `--env-file` and Compose's `env_file` take it: lines of `NAME=value`, comments on lines of their
/// own that begin with `#`. Everything behind the first `=` is the value. Lines with quotes or references to other variables, which Docker
/// and Compose read differently, are refused.
///
/// # Errors
/// The file cannot be read, or has another line; the error names it.
pub fn env_file(path: impl AsRef<Path>) -> Result<Vec<(String, String)>> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| {
            let (name, value) = line
                .split_once('=')
                .with_context(|| format!("{}:{}: expected NAME=value", path.display(), at + 1))?;
            let is_name =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let is_plain = !value.contains(['"', '\'', '$', '#']) && value.trim() == value;
            anyhow::ensure!(
                is_name && is_plain,
                "{}:{}: expected NAME=value without quotes, # and $",
                path.display(),
                at + 1
            );
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_programs_read_differently_are_refused() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("a.env");
        fs::write(&file, "# said\n\nA__B=x=y;z\nC=\n")?;
        let read = env_file(&file)?;
        assert_eq!(read, [("A__B".to_owned(), "x=y;z".to_owned()), ("C".to_owned(), String::new())]);
        for bad in ["A", "A=\"x\"", "A=$B", "A= x", "A B=x", "A=x # y"] {
            fs::write(&file, bad)?;
            let error = env_file(&file).unwrap_err().to_string();
            assert!(error.contains("a.env:1: expected NAME=value"), "{error}");
        }
        Ok(())
    }
}
