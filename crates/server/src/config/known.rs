//! All keys that the program reads: those that it asks for when it reads a configuration that sets nothing.

use std::sync::LazyLock;

use super::Config;
use super::host_environment::HostEnvironment;
use super::key::Key;
use super::layer::Layer;
use super::reader::Reader;
use super::report::Source;
use super::server::{CONTENT_ROOT, ENVIRONMENT};

/// A key as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub(super) key: Key,
    /// The part of the program that reads it.
    pub(super) section: &'static str,
    /// What the value is, in a word or two.
    pub(super) unit: &'static str,
    /// The value if nothing is set, or what holds then; `None` if that is none.
    pub(super) default: Option<String>,
}

static KNOWN: LazyLock<Vec<Declared>> = LazyLock::new(|| {
    let mut reader = Reader::new(Layer::default(), Vec::new(), HostEnvironment::production(), ".".into());
    reader.note(ENVIRONMENT.name, reader.environment.to_string(), Source::Default);
    reader.note(CONTENT_ROOT.name, reader.content_root.display().to_string(), Source::Default);
    Config::read_all(&mut reader);
    let Reader { mut declared, effective, .. } = reader;
    for declared in &mut declared {
        let shown = effective.iter().find(|setting| declared.key.covers(&setting.key));
        declared.default = shown.and_then(|setting| setting.value.clone());
        if let Some(what_holds) = declared.key.unset {
            declared.default = Some(what_holds.to_owned());
        }
    }
    declared
});

/// All keys, in the order in which they are read.
#[cfg(test)]
pub(super) fn all() -> &'static [Declared] {
    &KNOWN
}

/// The key that has this name, or that it is an element of.
pub(super) fn find(name: &str) -> Option<&'static Declared> {
    KNOWN.iter().find(|known| known.key.covers(name))
}

/// Whether the program reads a key of this name.
pub(crate) fn is_known(name: &str) -> bool {
    find(name).is_some()
}

/// Sections that .NET, its logging and other schemes have keys in that mean nothing here.
const SHARED_SECTIONS: [&str; 4] = ["Authentication", "ConnectionStrings", "HostOptions", "Logging"];

/// What is below this is ASP.NET Core's, of which the program reads a part, and who sets something else has to know.
const BEARER_SECTION: &str = "Authentication:Schemes:Bearer:";

/// Kestrel's own way to configure addresses, which has a warning of its own.
const KESTREL_ENDPOINTS: &str = "Kestrel:Endpoints:";

/// How much like a known key one has to be, from 0 to 1, to be taken for a misspelt one: in a section of the program's, where
/// nothing else should be, and elsewhere.
const LIKENESS: f64 = 0.6;
const LIKENESS_ELSEWHERE: f64 = 0.88;

/// Whether nothing reads the key, and whoever set it has to know: all keys are known in the program's own sections, and elsewhere
/// those are meant that are spelt almost as a known one.
pub(super) fn is_stray(name: &str) -> bool {
    !is_known(name) && !starts_with(name, KESTREL_ENDPOINTS) && (is_ours(name) || is_misspelt(name))
}

/// Whether the key configures one of Kestrel's endpoints.
pub(super) fn is_kestrel_endpoint(name: &str) -> bool {
    starts_with(name, KESTREL_ENDPOINTS)
}

/// Whether the key is in a section that has no other keys than those the program reads.
fn is_ours(name: &str) -> bool {
    let has_section = |known: &Declared| {
        known.key.name.contains(':') && known.key.section().eq_ignore_ascii_case(section(name))
    };
    let is_shared = || SHARED_SECTIONS.iter().any(|shared| shared.eq_ignore_ascii_case(section(name)));
    (KNOWN.iter().any(has_section) && !is_shared()) || starts_with(name, BEARER_SECTION)
}

fn is_misspelt(name: &str) -> bool {
    name.contains(':') && most_like(name).is_some_and(|(likeness, _)| likeness >= LIKENESS_ELSEWHERE)
}

fn starts_with(name: &str, section: &str) -> bool {
    name.get(..section.len()).is_some_and(|start| start.eq_ignore_ascii_case(section))
}

/// The known keys of the section a key is in, if that section is ours.
pub(super) fn in_section_of(name: &str) -> Vec<&'static str> {
    let beside = |known: &&Declared| is_ours(name) && known.key.section().eq_ignore_ascii_case(section(name));
    KNOWN.iter().filter(beside).map(|known| known.key.name).collect()
}

fn section(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// The known key a misspelt one was probably meant to be.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    most_like(name).filter(|(likeness, _)| *likeness >= LIKENESS).map(|(_, known)| known)
}

/// The known key that is most like this one, or like the list that it is an element of, and how much.
fn most_like(name: &str) -> Option<(f64, &'static str)> {
    let name = name.to_ascii_lowercase();
    let list = name.rsplit_once(':').filter(|(_, element)| element.bytes().all(|byte| byte.is_ascii_digit()));
    let likeness = |known: Key| {
        let spelt = list.filter(|_| known.is_list).map_or(&*name, |(list, _)| list);
        let known = known.name.to_ascii_lowercase();
        strsim::normalized_damerau_levenshtein(
            &without_braces(spelt, &known),
            &without_braces(&known, &known),
        )
    };
    KNOWN.iter().map(|known| (likeness(known.key), known.key.name)).max_by(|a, b| a.0.total_cmp(&b.0))
}

/// The name without the parts that stand where the known one has braces.
fn without_braces(name: &str, known: &str) -> String {
    let mut of_known = known.split(':');
    let is_fixed = |_: &&str| !of_known.next().is_some_and(|part| part.starts_with('{'));
    name.split(':').filter(is_fixed).collect::<Vec<_>>().join(":")
}
