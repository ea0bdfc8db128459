//! `hubline completions` and `hubline man`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;

const NAME: &str = "hubline";

/// What completes commands in this shell.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    script
}

/// The manual page of the program, or of one of its commands, as roff.
///
/// # Errors
/// There is no such command; names those there are.
pub(crate) fn page(command: Option<&str>) -> Result<Vec<u8>, String> {
    let mut program = Cli::command();
    program.build();
    let shown = match command {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(found) => found.clone(),
            None => {
                let known: Vec<_> = program.get_subcommands().map(clap::Command::get_name).collect();
                return Err(format!("there is no command '{name}'; there are {}", known.join(", ")));
            }
        },
    };
    let mut page = Vec::new();
    // A command has no version of its own.
    let source = concat!("hubline ", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(shown).source(source).render(&mut page).map_err(|error| error.to_string())?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_is_completed() {
        let script = String::from_utf8(completions(Shell::Bash)).unwrap();
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let page = String::from_utf8(page(Some(name)).unwrap()).unwrap();
            let title = format!(".TH hubline-{name} 1  \"hubline {}\"", env!("CARGO_PKG_VERSION"));
            assert!(page.contains(&title), "{page}");
            assert!(script.contains(&format!("hubline,{name})")), "{name}: {script}");
        }
        assert!(page(Some("serv")).unwrap_err().contains("there are serve, "));
    }
}
