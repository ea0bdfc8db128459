//! Reads typed values out of the layers, and notes every mistake and every value in effect.

use std::path::PathBuf;
use std::time::Duration;

use hubline::BackplaneFailureMode;
use tracing::level_filters::LevelFilter;

use super::describe::EffectiveSetting;
use super::host_environment::HostEnvironment;
use super::key::Key;
use super::known::{self, Declared};
use super::layer::{Layer, Setting};
use super::report::{Mistake, Problem, Source, Warning};
use super::{Section, list, secrets, time_span};
use crate::paths;

/// The unit of what is not known more exactly.
const TEXT: &str = "text";

/// Reads values, and remembers what there is to tell about them.
///
/// Every key is asked for, whatever the others say, so that it is known, and shown by `hubline config`.
pub(crate) struct Reader {
    pub(super) settings: Layer,
    pub(super) declared: Vec<Declared>,
    pub(super) effective: Vec<EffectiveSetting>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<Warning>,
    pub(super) environment: HostEnvironment,
    pub(super) content_root: PathBuf,
    section: &'static str,
}

impl Reader {
    pub(super) fn new(
        settings: Layer,
        mistakes: Vec<Mistake>,
        environment: HostEnvironment,
        content_root: PathBuf,
    ) -> Self {
        Self {
            settings,
            declared: Vec::new(),
            effective: Vec::new(),
            mistakes,
            warnings: Vec::new(),
            environment,
            content_root,
            section: "",
        }
    }

    /// Reads a part of the configuration.
    pub(crate) fn section<S: Section>(&mut self) -> S {
        let around = std::mem::replace(&mut self.section, S::TITLE);
        let section = S::read(self);
        self.section = around;
        section
    }

    /// The environment the program runs in.
    pub(crate) fn environment(&self) -> &HostEnvironment {
        &self.environment
    }

    /// The directory that relative paths start from.
    pub(crate) fn content_root(&self) -> &std::path::Path {
        &self.content_root
    }

    /// Makes a key known. Whatever reads values does so.
    pub(super) fn declare(&mut self, key: Key, unit: &'static str) {
        let unit = key.unit.unwrap_or(if unit == TEXT { key.kind() } else { unit });
        match self.declared.iter_mut().find(|known| known.key == key) {
            Some(known) if known.unit == TEXT => known.unit = unit,
            Some(_) => {}
            None => self.declared.push(Declared { key, section: self.section, unit, default: None }),
        }
    }

    /// Of several keys for one thing, the first that is set, else the first. Others that say
    /// something else are warned about, except where a higher layer overrides a lower one.
    pub(crate) fn preferred(&mut self, keys: &[Key]) -> Key {
        keys.iter().for_each(|key| self.declare(*key, TEXT));
        let set: Vec<_> = keys.iter().filter_map(|key| Some((*key, self.settings.get(key.name)?))).collect();
        let Some(((winner_key, winner), losers)) = set.split_first() else {
            return keys[0];
        };
        let differing = losers
            .iter()
            .filter(|(_, loser)| loser.value != winner.value && !loser.source.is_below(&winner.source));
        self.warnings.extend(differing.map(|(key, loser)| Warning::NotUsed {
            key: key.name.to_owned(),
            source: loser.source.clone(),
            winner: winner_key.name.to_owned(),
            winner_source: winner.source.clone(),
        }));
        *winner_key
    }

    /// A text; `None` if unset or empty.
    pub(crate) fn text(&mut self, key: Key) -> Option<String> {
        self.declare(key, TEXT);
        self.optional(key, |value| Ok(value.to_owned()), Clone::clone)
    }

    /// A text that is never empty.
    pub(crate) fn text_or(&mut self, key: Key, default: &str) -> String {
        self.declare(key, TEXT);
        self.value(key, default.to_owned(), |value| Ok(value.to_owned()), Clone::clone)
    }

    pub(crate) fn boolean(&mut self, key: Key, default: bool) -> bool {
        self.declare(key, "true or false");
        self.value(key, default, parse_boolean, bool::to_string)
    }

    /// `None` if unset.
    pub(crate) fn optional_boolean(&mut self, key: Key) -> Option<bool> {
        self.declare(key, "true or false");
        self.optional(key, parse_boolean, bool::to_string)
    }

    /// A span of time, more than zero.
    pub(crate) fn interval(&mut self, key: Key, default: Duration) -> Duration {
        self.declare(key, "time span");
        self.value(key, default, parse_interval, shown_span)
    }

    /// The same; `None` if unset.
    pub(crate) fn optional_interval(&mut self, key: Key) -> Option<Duration> {
        self.declare(key, "time span");
        self.optional(key, parse_interval, shown_span)
    }

    /// How long a poll waits.
    pub(crate) fn poll_timeout(&mut self, key: Key, default: Duration) -> Duration {
        self.declare(key, "time span");
        let allowed = Duration::from_secs(1)..Duration::from_secs(100);
        let expected =
            "from 1 s to less than 100 s, after which clients give a poll up, such as 00:00:50 or 50";
        let parse =
            |value: &str| time_span::parse(value).filter(|span| allowed.contains(span)).ok_or(expected);
        self.value(key, default, parse, shown_span)
    }

    /// A span of time within bounds, which `expected` names.
    pub(crate) fn span_within(
        &mut self,
        key: Key,
        default: Duration,
        bounds: std::ops::RangeInclusive<Duration>,
        expected: &'static str,
    ) -> Duration {
        self.declare(key, "time span");
        let parse =
            |value: &str| time_span::parse(value).filter(|span| bounds.contains(span)).ok_or(expected);
        self.value(key, default, parse, |span| format!("{span:?}"))
    }

    /// A span of time, perhaps zero.
    pub(crate) fn patience(&mut self, key: Key, default: Duration) -> Duration {
        self.declare(key, "time span");
        let expected = "a time span such as 00:00:05, or seconds such as 5";
        let parse = |value: &str| time_span::parse(value).ok_or(expected);
        self.value(key, default, parse, shown_span)
    }

    /// A size from 1 byte to 2 GiB, as far as a .NET peer can go.
    pub(crate) fn bytes(&mut self, key: Key, default: usize) -> usize {
        self.declare(key, "bytes");
        let parse = |value: &str| match value.parse() {
            Ok(bytes @ 1..=0x7fff_ffff) => Ok(bytes),
            _ => Err("a number of bytes from 1 to 2147483647"),
        };
        self.value(key, default, parse, usize::to_string)
    }

    /// A size of `least` bytes to 2 GiB, or 0.
    pub(crate) fn bytes_or_none(&mut self, key: Key, default: usize, least: usize) -> usize {
        self.declare(key, "bytes or 0");
        let parse = |value: &str| match value.parse() {
            Ok(0) => Ok(0),
            Ok(bytes) if (least..=0x7fff_ffff).contains(&bytes) => Ok(bytes),
            _ => Err("0, or a number of bytes from 131072 to 2147483647"),
        };
        self.value(key, default, parse, usize::to_string)
    }

    /// A number, at least 1.
    pub(crate) fn count(&mut self, key: Key, default: usize) -> usize {
        self.declare(key, "number");
        let parse = |value: &str| match value.parse() {
            Ok(count @ 1..=0x7fff_ffff) => Ok(count),
            _ => Err("a number from 1 to 2147483647"),
        };
        self.value(key, default, parse, usize::to_string)
    }

    /// A version that clients negotiate with.
    pub(crate) fn protocol_version(&mut self, key: Key) -> i32 {
        self.declare(key, "number");
        self.number(key, 0, 0..=1, "0, or 1 to refuse clients of SignalR 1.x")
    }

    /// A limit; 0 is none.
    pub(crate) fn limit(&mut self, key: Key, default: u32) -> u32 {
        self.declare(key, "number, 0 for none");
        let parse = |value: &str| match value.parse() {
            Ok(limit @ 0..=0x7fff_ffff) => Ok(limit),
            _ => Err("a number from 0, which is no limit, to 2147483647"),
        };
        self.value(key, default, parse, u32::to_string)
    }

    /// The number of a Redis database; `None` if unset.
    pub(crate) fn default_database(&mut self, key: Key) -> Option<u32> {
        self.declare(key, "number");
        let parse = |value: &str| match value.parse() {
            Ok(database @ 0..=0x7fff_ffff) => Ok(database),
            _ => Err("the number of a database from 0, such as 2"),
        };
        self.optional(key, parse, u32::to_string)
    }

    /// A path of the server's own that nothing else has.
    pub(crate) fn free_path(&mut self, key: Key, default: &str) -> String {
        self.declare(key, "path");
        self.value(key, default.to_owned(), parse_free_path, String::clone)
    }

    /// One of .NET's log levels.
    pub(crate) fn log_level(&mut self, key: Key, default: LevelFilter) -> LevelFilter {
        self.declare(key, "log level");
        let parse = |value: &str| parse_log_level(value).ok_or(LOG_LEVEL_EXPECTED);
        self.value(key, default, parse, |level| log_level_name(*level).to_owned())
    }

    /// The same; `None` if unset.
    pub(super) fn optional_log_level(&mut self, key: Key) -> Option<LevelFilter> {
        self.declare(key, "log level");
        let parse = |value: &str| parse_log_level(value).ok_or(LOG_LEVEL_EXPECTED);
        self.optional(key, parse, |level| log_level_name(*level).to_owned())
    }

    /// What a hub method is told when the backplane is down.
    pub(crate) fn backplane_failure_mode(&mut self, key: Key) -> BackplaneFailureMode {
        self.declare(key, "one of DeliverLocally, Fail");
        let parse = |value: &str| match value.to_ascii_lowercase().as_str() {
            "deliverlocally" => Ok(BackplaneFailureMode::DeliverLocally),
            "fail" => Ok(BackplaneFailureMode::Fail),
            _ => Err("DeliverLocally or Fail"),
        };
        self.value(key, BackplaneFailureMode::default(), parse, |mode| format!("{mode:?}"))
    }

    /// The setting itself, for values that are more than one thing.
    pub(crate) fn setting(&mut self, key: Key) -> Option<Setting> {
        self.text(key)?;
        self.settings.get(key.name).cloned()
    }

    /// The settings of a key with parts in braces, each with what these stand for; empty values are left out.
    pub(crate) fn matching(&mut self, key: Key) -> Vec<(Vec<String>, Setting)> {
        self.declare(key, TEXT);
        let settings = self.settings.iter().filter(|setting| !setting.value.trim().is_empty());
        let matching = settings.filter_map(|setting| {
            let captured = key.captures(&setting.key)?.into_iter().map(str::to_owned).collect();
            Some((captured, setting.clone()))
        });
        matching.collect()
    }

    /// The settings of a key with one part in braces, and the elements of its lists, each with what the braces stand for.
    pub(crate) fn matching_elements(&mut self, key: Key) -> Vec<(String, Setting)> {
        self.declare(key, TEXT);
        let settings = self.settings.iter().filter(|setting| !setting.value.trim().is_empty());
        let matching = settings.filter_map(|setting| {
            let name = &setting.key;
            let list = key.element_of(name).and_then(|_| name.rsplit_once(':')).map(|(list, _)| list);
            let captured = key.captures(list.unwrap_or(name))?;
            Some((captured.first().map(|part| (*part).to_owned())?, setting.clone()))
        });
        matching.collect()
    }

    /// Whether a key has a value.
    pub(crate) fn is_set(&self, key: Key) -> bool {
        self.settings.get(key.name()).is_some_and(|setting| !setting.value.trim().is_empty())
    }

    /// The elements of a list, without blanks around them, noted as they are. Empty if nothing is set.
    pub(crate) fn texts(&mut self, key: Key) -> Vec<String> {
        let (listed, source) = list::read(self, key, |value| Ok(value.to_owned()));
        let shown = (!listed.is_empty()).then(|| secrets::shown_as(key.content, &listed.join(", ")));
        self.effective.push(EffectiveSetting { key: key.name.to_owned(), value: shown, source });
        listed
    }

    /// The elements of a list of secrets, each that is a mistake noted as one. How many there are is shown, and nothing else.
    pub(crate) fn secrets<T>(&mut self, key: Key, parse: impl Fn(&str) -> Result<T, &'static str>) -> Vec<T> {
        let (read, source) = list::read(self, key, |text| parse(text).map_err(Problem::Expected));
        let shown = (!read.is_empty()).then(|| format!("{} configured", read.len()));
        self.effective.push(EffectiveSetting { key: key.name.to_owned(), value: shown, source });
        read
    }

    /// A number of any kind from a range.
    pub(crate) fn number<T>(
        &mut self,
        key: Key,
        default: T,
        range: std::ops::RangeInclusive<T>,
        expected: &'static str,
    ) -> T
    where
        T: std::str::FromStr + PartialOrd + ToString,
    {
        self.declare(key, "number");
        let parse = |value: &str| value.parse().ok().filter(|value| range.contains(value)).ok_or(expected);
        self.value(key, default, parse, T::to_string)
    }

    /// Notes a value as it may be shown, of a key that was read in a way of its own.
    pub(crate) fn note(&mut self, key: &str, value: String, source: Source) {
        self.effective.push(EffectiveSetting { key: key.to_owned(), value: Some(value), source });
    }

    /// Notes a mistake in the value of a setting.
    pub(crate) fn mistake(&mut self, key: &str, setting: &Setting, problem: Problem) {
        self.mistakes.push(Mistake::in_value(key, &setting.value, setting.source.clone(), problem));
    }

    /// Notes the keys that are known and had no effect, and puts all in the order in which they were declared.
    pub(super) fn note_the_rest(&mut self) {
        for Declared { key, .. } in &self.declared {
            if self.effective.iter().any(|setting| key.covers(&setting.key)) {
                continue;
            }
            let setting = self.settings.get(key.name);
            self.effective.push(EffectiveSetting {
                key: key.name.to_owned(),
                value: setting.map(|setting| secrets::shown_as(key.content, &setting.value)),
                source: setting.map_or(Source::Default, |setting| setting.source.clone()),
            });
        }
        let place = |name: &str| self.declared.iter().position(|known| known.key.covers(name));
        self.effective.sort_by_cached_key(|setting| place(&setting.key));
    }

    /// Warns about keys that nothing reads: of our sections, of the command line, and misspelt ones.
    pub(super) fn warn_of_unknown_keys(&mut self) {
        let is_unknown = |setting: &&Setting| {
            let is_flag = matches!(setting.source, Source::CommandLine(_)) && !known::is_known(&setting.key);
            is_flag || known::is_stray(&setting.key)
        };
        let unknown = self.settings.iter().filter(is_unknown);
        self.warnings.extend(unknown.map(|setting| Warning::UnknownKey {
            key: setting.key.clone(),
            source: setting.source.clone(),
            nearest: known::nearest(&setting.key),
        }));
        let kestrel = |setting: &&Setting| known::is_kestrel_endpoint(&setting.key);
        if let Some(setting) = self.settings.iter().find(kestrel) {
            self.warnings.push(Warning::KestrelEndpoints { source: setting.source.clone() });
        }
    }

    /// Warns about values that a deployment should have filled in, one for each key.
    pub(super) fn warn_of_unexpanded_values(&mut self) {
        let read = self.settings.iter().filter(|setting| known::is_known(&setting.key));
        let unexpanded = read.filter_map(|Setting { key, value, source }| {
            let reference = unexpanded(value)?.to_owned();
            Some(Warning::Unexpanded { key: key.clone(), source: source.clone(), reference })
        });
        self.warnings.extend(unexpanded);
    }

    /// A value of any kind, shown as `show` writes it.
    pub(crate) fn value<T>(
        &mut self,
        key: Key,
        default: T,
        parse: impl Fn(&str) -> Result<T, &'static str>,
        show: impl Fn(&T) -> String,
    ) -> T {
        let position = self.effective.len();
        match self.optional(key, parse, &show) {
            Some(value) => value,
            None => {
                self.effective[position].value = Some(show(&default));
                default
            }
        }
    }

    /// A value of any kind; `None` if unset.
    pub(crate) fn optional<T>(
        &mut self,
        key: Key,
        parse: impl Fn(&str) -> Result<T, &'static str>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        self.declare(key, TEXT);
        let setting = self.settings.get(key.name).cloned();
        let parsed = setting.as_ref().map(|setting| (setting, parse(setting.value.trim())));
        let value = match parsed {
            Some((setting, Err(expected))) => {
                self.mistake(key.name, setting, Problem::Expected(expected));
                None
            }
            Some((_, Ok(value))) => Some(value),
            None => None,
        };
        self.effective.push(EffectiveSetting {
            key: key.name.to_owned(),
            value: value.as_ref().map(|value| secrets::shown_as(key.content, &show(value))),
            source: setting.map_or(Source::Default, |setting| setting.source),
        });
        value
    }
}

/// A reference to a variable, `$(NAME)` or `${NAME}`, that nobody has replaced by its value. Names of variables are upper case;
/// other text between brackets may be part of a secret.
fn unexpanded(value: &str) -> Option<&str> {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_uppercase() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    value.match_indices('$').find_map(|(at, _)| {
        let (open, close) = if value[at..].starts_with("$(") { ('(', ')') } else { ('{', '}') };
        let rest = value[at + 1..].strip_prefix(open)?;
        let (name, _) = rest.split_once(close)?;
        is_name(name).then(|| &value[at..at + name.len() + 3])
    })
}

fn shown_span(span: &Duration) -> String {
    if span.is_zero() { "0s".to_owned() } else { format!("{span:?}") }
}

fn parse_interval(value: &str) -> Result<Duration, &'static str> {
    let expected = "a time span above zero such as 00:00:15, or seconds such as 15";
    time_span::parse(value).filter(|span| !span.is_zero()).ok_or(expected)
}

fn parse_boolean(value: &str) -> Result<bool, &'static str> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false"),
    }
}

fn parse_free_path(value: &str) -> Result<String, &'static str> {
    let path = value.trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    if !path.starts_with('/') || path.contains("//") || !path.bytes().all(is_plain) {
        return Err("a path of letters, digits and -._~ such as /metrics");
    }
    match paths::is_taken(path) {
        true => Err("a path where nothing else is served, such as /metrics"),
        false => Ok(path.to_owned()),
    }
}

const LOG_LEVELS: [(&str, LevelFilter); 7] = [
    ("Trace", LevelFilter::TRACE),
    ("Debug", LevelFilter::DEBUG),
    ("Information", LevelFilter::INFO),
    ("Warning", LevelFilter::WARN),
    ("Error", LevelFilter::ERROR),
    ("Critical", LevelFilter::ERROR),
    ("None", LevelFilter::OFF),
];

pub(super) const LOG_LEVEL_EXPECTED: &str = "Trace, Debug, Information, Warning, Error, Critical or None";

pub(super) fn parse_log_level(value: &str) -> Option<LevelFilter> {
    let named = LOG_LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(value));
    named.map(|(_, level)| *level)
}

pub(super) fn log_level_name(level: LevelFilter) -> &'static str {
    LOG_LEVELS.iter().find(|(_, known)| *known == level).map_or("None", |(name, _)| name)
}
