//! Where to listen: `Urls`, else `http_ports`, else `http://localhost:5000`.

use super::keys;
use super::layer::{Layer, Setting};
use super::listen_address::{ListenAddress, ListenAddressError, parse_port};
use super::report::{Mistake, Problem};

/// The addresses, and the setting they come from; `None` means the default.
pub(super) struct Addresses<'a> {
    pub(super) key: &'static str,
    pub(super) setting: Option<&'a Setting>,
    pub(super) served: Vec<ListenAddress>,
    pub(super) mistakes: Vec<Mistake>,
}

/// Reads the addresses. As in .NET, `Urls` of any layer goes before `http_ports` of any other.
pub(super) fn read(settings: &Layer) -> Addresses<'_> {
    if let Some(urls) = settings.get(keys::URLS) {
        return read_list(keys::URLS, urls, |url| Ok(url.parse()?));
    }
    let mut addresses = match settings.get(keys::HTTP_PORTS) {
        Some(ports) => read_list(keys::HTTP_PORTS, ports, |port| match parse_port(port) {
            Some(port) => Ok(ListenAddress::any(port)),
            None => Err(Problem::Expected("port numbers from 0 to 65535, separated by ;")),
        }),
        None => Addresses {
            key: keys::URLS,
            setting: None,
            served: vec![ListenAddress::DEFAULT],
            mistakes: Vec::new(),
        },
    };
    if let Some(ports) = settings.get(keys::HTTPS_PORTS) {
        let refuse = |port: &str| Err(Problem::from(ListenAddressError::Https { rest: format!("*:{port}") }));
        addresses.mistakes.extend(read_list(keys::HTTPS_PORTS, ports, refuse).mistakes);
    }
    addresses
}

/// Reads the addresses for operators, `None` if there are none of their own; nothing of theirs may be among those `served`.
pub(super) fn read_management<'a>(settings: &'a Layer, served: &[ListenAddress]) -> Option<Addresses<'a>> {
    let urls = settings.get(keys::MANAGEMENT_URLS)?;
    Some(read_list(keys::MANAGEMENT_URLS, urls, |url| {
        let url: ListenAddress = url.parse()?;
        match served.iter().find(|served| served.overlaps(url)) {
            Some(served) => Err(Problem::ManagementIsPublic { served: *served }),
            None => Ok(url),
        }
    }))
}

fn read_list<'a>(
    key: &'static str,
    setting: &'a Setting,
    parse: impl Fn(&str) -> Result<ListenAddress, Problem>,
) -> Addresses<'a> {
    let mut served = Vec::new();
    let mut mistakes = Vec::new();
    for part in setting.value.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        match parse(part) {
            Ok(address) if served.contains(&address) => {}
            Ok(address) => served.push(address),
            Err(problem) => mistakes.push(Mistake::in_value(key, part, setting.source.clone(), problem)),
        }
    }
    if served.is_empty() && mistakes.is_empty() {
        mistakes.push(Mistake::in_value(
            key,
            &setting.value,
            setting.source.clone(),
            Problem::Expected("at least one address between the semicolons"),
        ));
    }
    Addresses { key, setting: Some(setting), served, mistakes }
}
