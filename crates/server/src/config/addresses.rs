//! Where to listen: `Urls`, else `http_ports` and `https_ports`, else `http://localhost:5000`.

use super::keys;
use super::layer::{Layer, Setting};
use super::listen_address::{ListenAddress, Scheme, parse_port};
use super::reader::Reader;
use super::report::{Mistake, Problem, Source};

/// Addresses, and the setting they come from; `None` means the default.
pub(super) struct Addresses {
    pub(super) key: &'static str,
    pub(super) setting: Option<Setting>,
    pub(super) served: Vec<ListenAddress>,
    pub(super) mistakes: Vec<Mistake>,
}

/// Reads the addresses, of each setting by itself. As in .NET, `Urls` of any layer goes before ports of any other.
pub(super) fn read(settings: &Layer) -> Vec<Addresses> {
    if let Some(urls) = settings.get(keys::URLS) {
        return vec![read_list(keys::URLS, urls, |url| Ok(url.parse()?))];
    }
    let ports = |key, scheme| {
        let ports = settings.get(key)?;
        Some(read_list(key, ports, |port| match parse_port(port) {
            Some(port) => Ok(ListenAddress::any(scheme, port)),
            None => Err(Problem::Expected("port numbers from 0 to 65535, separated by ;")),
        }))
    };
    let of_ports = [ports(keys::HTTP_PORTS, Scheme::Http), ports(keys::HTTPS_PORTS, Scheme::Https)];
    let of_ports: Vec<_> = of_ports.into_iter().flatten().collect();
    if !of_ports.is_empty() {
        return of_ports;
    }
    let served = vec![ListenAddress::DEFAULT];
    vec![Addresses { key: keys::URLS, setting: None, served, mistakes: Vec::new() }]
}

/// Reads the addresses for operators, `None` if there are none of their own; nothing of theirs may be among those `served`.
pub(super) fn read_management(settings: &Layer, served: &[ListenAddress]) -> Option<Addresses> {
    let urls = settings.get(keys::MANAGEMENT_URLS)?;
    Some(read_list(keys::MANAGEMENT_URLS, urls, |url| {
        let url: ListenAddress = url.parse()?;
        match served.iter().find(|served| served.overlaps(url)) {
            Some(served) => Err(Problem::ManagementIsPublic { served: *served }),
            None => Ok(url),
        }
    }))
}

impl Addresses {
    /// Tells the reader of the addresses and of their mistakes.
    pub(super) fn note(&mut self, reader: &mut Reader) {
        reader.mistakes.append(&mut self.mistakes);
        let shown: Vec<_> = self.served.iter().map(ToString::to_string).collect();
        let source = self.setting.as_ref().map_or(Source::Default, |setting| setting.source.clone());
        reader.note(self.key, shown.join(";"), source);
    }
}

fn read_list(
    key: &'static str,
    setting: &Setting,
    parse: impl Fn(&str) -> Result<ListenAddress, Problem>,
) -> Addresses {
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
    Addresses { key, setting: Some(setting.clone()), served, mistakes }
}
