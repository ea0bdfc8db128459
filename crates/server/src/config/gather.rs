//! Collects the layers. The environment names one of the files, so no file can name the environment.

use std::path::{Path, PathBuf};

use super::host_environment::HostEnvironment;
use super::json_file::JsonFile;
use super::layer::{Layer, Setting};
use super::report::{Mistake, Problem, Source};
use super::server::{CONTENT_ROOT, ENVIRONMENT};
use crate::cli::ConfigArgs;

/// All layers as one, and what had to be known to read them.
pub(super) struct Gathered {
    pub(super) settings: Layer,
    pub(super) environment: (HostEnvironment, Source),
    pub(super) content_root: (PathBuf, Source),
    pub(super) files: [JsonFile; 2],
    /// Of the environment and the content root; each file has its own.
    pub(super) mistakes: Vec<Mistake>,
}

/// Reads the layers, lowest first: `appsettings.json`, `appsettings.{Environment}.json`,
/// environment variables, command line.
pub(super) fn gather(
    args: &ConfigArgs,
    variables: impl IntoIterator<Item = (String, String)>,
    working_directory: &Path,
) -> Gathered {
    let variables = Layer::of_variables(variables);
    let command_line = Layer::of_command_line(args);
    let host = Layer::stack([&Layer::default(), &Layer::default(), &variables, &command_line]);
    let mut mistakes = Vec::new();
    let content_root = content_root(&host, working_directory, &mut mistakes);
    let directory = working_directory.join(&content_root.0);

    let environment = environment(&[&command_line, &variables], args.dev, &mut mistakes);

    let base = JsonFile::read(&directory, "appsettings.json".to_owned());
    let file = JsonFile::read(&directory, format!("appsettings.{}.json", environment.0));
    let settings = Layer::stack([&base.settings, &file.settings, &variables, &command_line]);
    Gathered { settings, environment, content_root, files: [base, file], mistakes }
}

/// The directory of the files, as given, which may be relative to the working directory.
fn content_root(host: &Layer, working_directory: &Path, mistakes: &mut Vec<Mistake>) -> (PathBuf, Source) {
    let Some(setting) = host.get(CONTENT_ROOT.name) else {
        return (PathBuf::from("."), Source::Default);
    };
    if !working_directory.join(&setting.value).is_dir() {
        mistakes.push(Mistake::in_value(
            CONTENT_ROOT.name,
            &setting.value,
            setting.source.clone(),
            Problem::Expected("a directory that exists"),
        ));
    }
    (PathBuf::from(&setting.value), setting.source.clone())
}

/// The environment that the highest of these layers names, Development with `--dev`, else Production.
fn environment(
    highest_first: &[&Layer],
    dev: bool,
    mistakes: &mut Vec<Mistake>,
) -> (HostEnvironment, Source) {
    let settings = || highest_first.iter().filter_map(|layer| layer.get(ENVIRONMENT.name));
    if dev {
        let others = settings().filter(|setting| !named(setting).is_some_and(|name| name.is_development()));
        mistakes.extend(others.map(|setting| mistake(setting, Problem::OtherEnvironment)));
        return (HostEnvironment::development(), Source::CommandLine("--dev".to_owned()));
    }
    let Some(setting) = settings().next() else {
        return (HostEnvironment::production(), Source::Default);
    };
    let environment = named(setting).unwrap_or_else(|| {
        let expected = "a name without slashes, such as Development or Production";
        mistakes.push(mistake(setting, Problem::Expected(expected)));
        HostEnvironment::production()
    });
    (environment, setting.source.clone())
}

fn named(setting: &Setting) -> Option<HostEnvironment> {
    HostEnvironment::named(setting.value.trim())
}

fn mistake(setting: &Setting, problem: Problem) -> Mistake {
    Mistake::in_value(ENVIRONMENT.name, &setting.value, setting.source.clone(), problem)
}
