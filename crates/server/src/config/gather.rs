//! Collects the layers. The environment names one of the files, and a file may say where to
//! listen, which decides the environment when nothing else does.

use std::path::{Path, PathBuf};

use super::addresses;
use super::host_environment::HostEnvironment;
use super::json_file::JsonFile;
use super::keys;
use super::layer::Layer;
use super::report::{Mistake, Problem, Source};
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

    let base = JsonFile::read(&directory, "appsettings.json".to_owned());
    let read = |environment: &HostEnvironment| {
        let file = JsonFile::read(&directory, format!("appsettings.{environment}.json"));
        let settings = Layer::stack([&base.settings, &file.settings, &variables, &command_line]);
        (file, settings)
    };
    let (environment, (file, settings)) = match named(&host, &mut mistakes) {
        Some(named) => {
            let layers = read(&named.0);
            (named, layers)
        }
        None => deduce(&Layer::stack([&base.settings, &Layer::default(), &variables, &command_line]), read),
    };
    Gathered { settings, environment, content_root, files: [base, file], mistakes }
}

/// The directory of the files, as given, which may be relative to the working directory.
fn content_root(host: &Layer, working_directory: &Path, mistakes: &mut Vec<Mistake>) -> (PathBuf, Source) {
    let Some(setting) = host.get(keys::CONTENT_ROOT) else {
        return (PathBuf::from("."), Source::Default);
    };
    if !working_directory.join(&setting.value).is_dir() {
        mistakes.push(Mistake {
            setting: Some((keys::CONTENT_ROOT.to_owned(), setting.value.clone())),
            source: setting.source.clone(),
            problem: Problem::Expected("a directory that exists"),
        });
    }
    (PathBuf::from(&setting.value), setting.source.clone())
}

fn named(host: &Layer, mistakes: &mut Vec<Mistake>) -> Option<(HostEnvironment, Source)> {
    let setting = host.get(keys::ENVIRONMENT)?;
    let environment = HostEnvironment::named(setting.value.trim()).unwrap_or_else(|| {
        mistakes.push(Mistake {
            setting: Some((keys::ENVIRONMENT.to_owned(), setting.value.clone())),
            source: setting.source.clone(),
            problem: Problem::Expected("a name without slashes, such as Development or Production"),
        });
        HostEnvironment::production()
    });
    Some((environment, setting.source.clone()))
}

/// Development if every address served is loopback, also by what appsettings.Development.json
/// says; else Production.
fn deduce<F>(settings: &Layer, read: F) -> ((HostEnvironment, Source), (JsonFile, Layer))
where
    F: Fn(&HostEnvironment) -> (JsonFile, Layer),
{
    if addresses::all_loopback(settings) {
        let development = HostEnvironment::development();
        let layers = read(&development);
        if addresses::all_loopback(&layers.1) {
            return ((development, Source::Deduced("every address served is loopback")), layers);
        }
    }
    let production = HostEnvironment::production();
    let layers = read(&production);
    ((production, Source::Deduced("not every address served is loopback")), layers)
}
