//! Ends what a cluster consists of when the program that started it has gone without doing so: killed, for instance.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

/// Reads what there is until standard input ends, which it does however the other side ends. A process is known by its id and the time at
/// which it started, since another one may have that id later. (PostgreSQL has a guard of its own.)
const GUARD: &str = r#"
trap '' INT TERM HUP
seen() { cut -d ' ' -f 3,22 "/proc/$1/stat" 2>/dev/null; }
alive() { case "$(seen "${1%:*}")" in Z*) false ;; *" ${1#*:}") true ;; *) false ;; esac; }
any_alive() { for one in $processes; do alive "$one" && return; done; false; }
end() { for one in $processes; do alive "$one" && kill "-$1" "${one%:*}"; done; }
processes=
while read -r what value; do
    case "$what" in
        process) started=$(seen "$value") && processes="$processes $value:${started#* }" ;;
        directory) set -- "$@" "$value" ;;
    esac
done
end TERM
tries=0
while any_alive && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
end KILL
[ $# -eq 0 ] || rm -rf -- "$@"
"#;

/// A shell that waits for the end of this program. Dropped, it ends at once what is left.
#[derive(Debug)]
pub(super) struct Guard {
    shell: Child,
    input: Option<ChildStdin>,
}

impl Guard {
    /// Starts the shell, in a process group of its own: Ctrl-C is for those who end things in their order.
    ///
    /// # Errors
    /// There is no `sh`.
    pub(super) fn start() -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh"]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn().context("sh")?;
        let input = shell.stdin.take();
        Ok(Self { shell, input })
    }

    /// Ends this process, which runs, once this program has gone.
    ///
    /// # Errors
    /// The shell has ended.
    pub(super) fn end_process(&mut self, id: u32) -> Result<()> {
        self.tell(&format!("process {id}"))
    }

    /// Removes this directory after that.
    ///
    /// # Errors
    /// The shell has ended.
    pub(super) fn remove(&mut self, directory: &Path) -> Result<()> {
        self.tell(&format!("directory {}", directory.display()))
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("the guard's input")?;
        writeln!(input, "{line}").context("the guard has ended")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.input.take());
        _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn what_is_left_is_ended_and_removed_and_nothing_else() -> Result<()> {
        let sleep = || Command::new("sleep").arg("600").spawn();
        let (mut left, mut other, mut ended) = (sleep()?, sleep()?, sleep()?);
        let directory = tempfile::tempdir()?;
        std::fs::write(directory.path().join("log"), "a line")?;
        let mut guard = Guard::start()?;
        guard.end_process(left.id())?;
        guard.end_process(ended.id())?;
        guard.remove(directory.path())?;
        ended.kill()?;
        ended.wait()?;
        drop(guard);
        assert_eq!(left.wait()?.signal(), Some(15), "SIGTERM");
        assert!(other.try_wait()?.is_none() && !directory.path().exists());
        other.kill()?;
        other.wait()?;
        Ok(())
    }
}
