//! The servers that are compared.

use std::str::FromStr;

use anyhow::{Context, Error, Result, ensure};

use super::figures::Figures;
use crate::build::Programs;
use crate::transcript::Transcript;

pub(super) const HUBLINE: &str = "Hubline";
pub(super) const PEER: &str = "ASP.NET Core";

const URL: &str = "{url}";

#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) figures: Figures,
    /// Whether a measurement of it ended with an error.
    pub(super) failed: bool,
}

#[derive(Debug)]
pub(super) enum Origin {
    Command(StartCommand),
    /// Why there is nothing to measure.
    Absent(&'static str),
}

impl Candidate {
    fn new(name: &str, origin: Origin) -> Self {
        Self { name: name.to_owned(), origin, figures: Figures::default(), failed: false }
    }
}

/// The program and its arguments, one of which holds `{url}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StartCommand(Vec<String>);

impl StartCommand {
    /// With more arguments.
    pub(super) fn with(&self, arguments: &[&str]) -> Self {
        Self(self.0.iter().cloned().chain(arguments.iter().map(|argument| (*argument).to_owned())).collect())
    }

    /// The program and its arguments for this address.
    pub(super) fn words<'a>(&'a self, url: &'a str) -> impl Iterator<Item = String> + 'a {
        self.0.iter().map(move |word| word.replace(URL, url))
    }
}

/// `NAME=COMMAND`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerArgument {
    name: String,
    command: StartCommand,
}

impl FromStr for ServerArgument {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, command) = text.split_once('=').context("expected NAME=COMMAND")?;
        ensure!(command.contains(URL), "COMMAND has to contain {URL}");
        let words = command.split_whitespace().map(str::to_owned).collect();
        Ok(Self { name: name.to_owned(), command: StartCommand(words) })
    }
}

/// Hubline and the peer, then the others in their order.
pub(super) fn all(mut arguments: Vec<ServerArgument>) -> Result<Vec<Candidate>> {
    let mut replaced = |name: &str| {
        let position = arguments.iter().position(|argument| argument.name == name)?;
        Some(Origin::Command(arguments.remove(position).command))
    };
    let hubline = replaced(HUBLINE).map_or_else(hubline, Ok)?;
    let peer = replaced(PEER).map_or_else(peer, Ok)?;
    let mut all = vec![Candidate::new(HUBLINE, hubline), Candidate::new(PEER, peer)];
    for ServerArgument { name, command } in arguments {
        all.push(Candidate::new(&name, Origin::Command(command)));
    }
    Ok(all)
}

fn hubline() -> Result<Origin> {
    match conformance_server() {
        Ok(program) => Ok(Origin::Command(StartCommand(vec![program, "--urls".to_owned(), URL.to_owned()]))),
        Err(error) => {
            eprintln!("{error:#}");
            Ok(Origin::Absent("not built"))
        }
    }
}

/// The server with the hubs that the peer has too.
fn conformance_server() -> Result<String> {
    let programs = Programs::build(
        &["-p", "hubline", "--example", "conformance-server"],
        &mut Transcript::on_standard_error(),
    )?;
    let program = programs.path("conformance-server")?.to_str().context("its path is not UTF-8")?;
    Ok(program.to_owned())
}

fn peer() -> Result<Origin> {
    let Some(program) = hubline_testkit::peer() else {
        return Ok(Origin::Absent("no HUBLINE_PEER"));
    };
    let program = program.into_os_string().into_string().ok().context("HUBLINE_PEER is not UTF-8")?;
    let words = [&program, "serve", "--urls", URL];
    Ok(Origin::Command(StartCommand(words.map(str::to_owned).to_vec())))
}

#[cfg(test)]
pub(super) fn absent(names: &[&str]) -> Vec<Candidate> {
    names.iter().map(|name| Candidate::new(name, Origin::Absent("not built"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_filled_in() {
        let argument: ServerArgument = "other=/bin/other  serve --urls={url}".parse().unwrap();
        let words: Vec<_> = argument.command.words("http://127.0.0.1:1").collect();
        assert_eq!(words, ["/bin/other", "serve", "--urls=http://127.0.0.1:1"]);
        assert!("other=/bin/other".parse::<ServerArgument>().is_err());
        assert!("{url}".parse::<ServerArgument>().is_err());
    }
}
