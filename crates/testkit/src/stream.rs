use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

/// Runs a command to its end. Each line of its standard output and of its standard error goes to `line` as it comes,
/// in the order in which they were written.
///
/// # Errors
/// The program is not there.
pub fn stream(command: &mut Command, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
    let program = command.get_program().to_string_lossy().into_owned();
    let (output, input) = std::io::pipe()?;
    let child = command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input).spawn();
    // The command's own ends of the pipe would keep it open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.with_context(|| program.clone())?;
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes)? > 0 {
        line(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
    }
    child.wait().with_context(|| program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_outputs_come_in_their_order() -> Result<()> {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; echo three; exit 4"]);
        let status = stream(&mut command, |line| lines.push(line.to_owned()))?;
        assert_eq!(lines, ["one", "two", "three"]);
        assert_eq!(status.code(), Some(4));
        Ok(())
    }
}
