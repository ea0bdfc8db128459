//! Lists: one text with commas or semicolons, or one key for each element.

use hubline::{HubProtocol, TokenKey, TransportKind};

use super::key::Key;
use super::layer::{Layer, Setting};
use super::reader::Reader;
use super::report::{Problem, Source};

const TRANSPORTS: [TransportKind; 3] =
    [TransportKind::WebSockets, TransportKind::ServerSentEvents, TransportKind::LongPolling];

/// `SignalR:SupportedProtocols`.
pub(super) fn supported_protocols(reader: &mut Reader, key: Key) -> Vec<HubProtocol> {
    let read = |name: &str| HubProtocol::from_name(name).ok_or(Problem::Expected("json or messagepack"));
    one_or_more(reader, key, &HubProtocol::ALL, read, HubProtocol::name)
}

/// `SignalR:Transports`.
pub(super) fn transports(reader: &mut Reader, key: Key) -> Vec<TransportKind> {
    let read = |name: &str| {
        let mut known = TRANSPORTS.into_iter();
        let named = known.find(|known| known.name().eq_ignore_ascii_case(name));
        named.ok_or(Problem::Expected("WebSockets, ServerSentEvents or LongPolling"))
    };
    one_or_more(reader, key, &TRANSPORTS, read, TransportKind::name)
}

/// `SignalR:TokenKeys`, which are never shown.
pub(super) fn token_keys(reader: &mut Reader, key: Key) -> Vec<TokenKey> {
    let read = |text: &str| {
        text.parse()
            .map_err(|_| Problem::Expected("base64 of 32 bytes or more, as openssl rand -base64 32 prints"))
    };
    let (token_keys, source) = self::read(reader, key, read);
    let shown = match token_keys.len() {
        0 => "agreed between the instances".to_owned(),
        count => format!("{count} configured"),
    };
    reader.note(key.name, shown, source);
    token_keys
}

/// Reads a list of few known things, without repetition; all of them if nothing is set.
fn one_or_more<T: Copy + PartialEq>(
    reader: &mut Reader,
    key: Key,
    all: &[T],
    read: impl Fn(&str) -> Result<T, Problem>,
    name: impl Fn(T) -> &'static str,
) -> Vec<T> {
    let (mut listed, source) = self::read(reader, key, read);
    if listed.is_empty() {
        listed = all.to_vec();
    }
    let mut once: Vec<T> = Vec::new();
    for item in listed {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    let names: Vec<_> = once.iter().map(|item| name(*item)).collect();
    reader.note(key.name, names.join(", "), source);
    once
}

/// The elements of a list in their order, each that is a mistake noted as one; and where the last comes from.
pub(super) fn read<T>(
    reader: &mut Reader,
    key: Key,
    read: impl Fn(&str) -> Result<T, Problem>,
) -> (Vec<T>, Source) {
    reader.declare(key, "list");
    let mut values = Vec::new();
    let mut source = Source::Default;
    for setting in elements(&reader.settings, key) {
        for part in parts(&setting.value) {
            match read(part) {
                Ok(value) => values.push(value),
                Err(problem) => {
                    let part = Setting { value: part.to_owned(), ..setting.clone() };
                    reader.mistake(&setting.key, &part, problem);
                }
            }
        }
        source = setting.source;
    }
    (values, source)
}

/// The settings that make up a list: those of its elements, or the one of its own key if that stands in a
/// higher layer than all of these.
fn elements(settings: &Layer, key: Key) -> Vec<Setting> {
    let of_list = settings.iter().filter(|setting| key.element_of(&setting.key).is_some());
    let mut elements: Vec<Setting> = of_list.cloned().collect();
    // By number, as .NET sorts them, not as texts.
    elements.sort_by_key(|setting| {
        let element = key.element_of(&setting.key).unwrap_or_default();
        (element.parse::<u32>().unwrap_or(u32::MAX), element.to_owned())
    });
    match settings.get(key.name) {
        Some(whole) if elements.iter().all(|element| element.source.is_below(&whole.source)) => {
            vec![whole.clone()]
        }
        _ => elements,
    }
}

fn parts(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ';']).map(str::trim).filter(|part| !part.is_empty())
}
