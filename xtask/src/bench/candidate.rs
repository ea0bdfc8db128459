//! The servers that are compared.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Error, Result, ensure};

use super::figures::Figures;
use crate::build::Programs;
use crate::transcript::Transcript;

pub(super) const HUBLINE: &str = "Hubline";
/// ASP.NET Core 10, the faster of the two: ratios and limits are against it.
pub(super) const PEER: &str = "ASP.NET Core";
pub(super) const PEER_11: &str = "ASP.NET Core 11";
/// The system calls of broadcasts and echoes on WebSockets in JSON, and nothing else.
pub(super) const FLOOR: &str = "floor";

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
    pub(super) fn new(name: &str, origin: Origin) -> Self {
        Self { name: name.to_owned(), origin, figures: Figures::default(), failed: false }
    }

    /// The load client's own server, which has broadcasts and echoes only.
    pub(super) fn floor(load_client: &Path) -> Result<Self> {
        let program = load_client.to_str().context("the load client's path is not UTF-8")?;
        let words = [program, "floor", "--urls", URL];
        Ok(Self::new(FLOOR, Origin::Command(StartCommand(words.map(str::to_owned).to_vec()))))
    }

    /// Whether it answers as ASP.NET Core does where Hubline does otherwise.
    pub(super) fn is_asp_net_core(&self) -> bool {
        [PEER, PEER_11].contains(&self.name.as_str())
    }
}

/// The program and its arguments, one of which holds `{url}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StartCommand(Vec<String>);

impl StartCommand {
    /// The program as it ships.
    pub(super) fn of_program(hubline: &str) -> Self {
        Self([hubline, "serve", "--urls", URL].map(str::to_owned).to_vec())
    }

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

/// The program as it ships, then the others in their order.
pub(super) fn programs(mut arguments: Vec<ServerArgument>) -> Result<Vec<Candidate>> {
    let replaced = arguments.iter().position(|argument| argument.name == HUBLINE);
    let hubline = match replaced {
        Some(position) => arguments.remove(position).command,
        None => StartCommand::of_program(&built("hubline-server", &["--bin", "hubline"], "hubline")?),
    };
    let hubline = ServerArgument { name: HUBLINE.to_owned(), command: hubline };
    let candidate =
        |argument: ServerArgument| Candidate::new(&argument.name, Origin::Command(argument.command));
    Ok([hubline].into_iter().chain(arguments).map(candidate).collect())
}

/// Hubline and these releases of ASP.NET Core, then the others in their order.
pub(super) fn all(mut arguments: Vec<ServerArgument>, releases: &[Release]) -> Result<Vec<Candidate>> {
    let mut replaced = |name: &str| {
        let position = arguments.iter().position(|argument| argument.name == name)?;
        Some(Origin::Command(arguments.remove(position).command))
    };
    let mut all = vec![Candidate::new(HUBLINE, replaced(HUBLINE).map_or_else(hubline, Ok)?)];
    for release in releases {
        let origin = replaced(release.name()).map_or_else(|| release.origin(), Ok)?;
        all.push(Candidate::new(release.name(), origin));
    }
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
    built("hubline", &["--example", "conformance-server"], "conformance-server")
}

fn built(package: &str, what: &[&str], name: &str) -> Result<String> {
    let what: Vec<&str> = ["-p", package].iter().chain(what).copied().collect();
    let programs = Programs::build(&what, &mut Transcript::on_standard_error())?;
    Ok(programs.path(name)?.to_str().context("its path is not UTF-8")?.to_owned())
}

/// A release of ASP.NET Core to compare with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Release {
    Ten,
    Eleven,
}

impl Release {
    fn name(self) -> &'static str {
        match self {
            Self::Ten => PEER,
            Self::Eleven => PEER_11,
        }
    }

    fn origin(self) -> Result<Origin> {
        let (program, absent) = match self {
            Self::Ten => (hubline_testkit::peer(), "no HUBLINE_PEER"),
            Self::Eleven => (hubline_testkit::peer11(), "no peer11"),
        };
        let Some(program) = program else { return Ok(Origin::Absent(absent)) };
        let program = program.into_os_string().into_string().ok().context("HUBLINE_PEER is not UTF-8")?;
        let words = [&program, "serve", "--urls", URL];
        Ok(Origin::Command(StartCommand(words.map(str::to_owned).to_vec())))
    }
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

    #[test]
    fn a_named_server_takes_the_place_of_the_one_it_names() {
        let commands = [
            "before=old {url}",
            "ASP.NET Core=ten {url}",
            "Hubline=new {url}",
            "ASP.NET Core 11=eleven {url}",
        ];
        let arguments = || commands.iter().map(|text| text.parse().unwrap()).collect();
        let programs = |releases: &[Release]| -> Vec<_> {
            let program = |candidate: &Candidate| match &candidate.origin {
                Origin::Command(command) => (candidate.name.clone(), command.0[0].clone()),
                Origin::Absent(why) => (candidate.name.clone(), (*why).to_owned()),
            };
            all(arguments(), releases).unwrap().iter().map(program).collect()
        };
        let named = |pairs: &[(&str, &str)]| -> Vec<_> {
            pairs.iter().map(|(name, program)| ((*name).to_owned(), (*program).to_owned())).collect()
        };
        let both = programs(&[Release::Ten, Release::Eleven]);
        assert_eq!(both, named(&[(HUBLINE, "new"), (PEER, "ten"), (PEER_11, "eleven"), ("before", "old")]));
        let ten = programs(&[Release::Ten]);
        assert_eq!(ten, named(&[(HUBLINE, "new"), (PEER, "ten"), ("before", "old"), (PEER_11, "eleven")]));
    }
}
