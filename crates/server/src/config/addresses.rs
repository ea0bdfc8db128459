//! Where to listen: `Urls`, else `http_ports` and `https_ports`, else `http://localhost:5000`.

use super::key::Key;
use super::layer::{Layer, Setting};
use super::listen_address::{ListenAddress, Scheme, parse_port};
use super::management::MANAGEMENT_URLS;
use super::reader::Reader;
use super::report::{Mistake, Problem, Source};

pub(super) const URLS: Key =
    Key::new("Urls", "addresses of the hubs (--urls, ASPNETCORE_URLS), such as http://+:5000;https://+:5001")
        .url()
        .unit("URLs, separated by ;");
pub(super) const HTTP_PORTS: Key = Key::new(
    "http_ports",
    "ports to listen at on every address (ASPNETCORE_HTTP_PORTS), where there are no Urls",
)
.unit("ports, separated by ;");
pub(super) const HTTPS_PORTS: Key =
    Key::new("https_ports", "the same with https (ASPNETCORE_HTTPS_PORTS)").unit("ports, separated by ;");

/// Addresses, and the setting they come from; `None` means the default.
pub(super) struct Addresses {
    pub(super) key: Key,
    pub(super) setting: Option<Setting>,
    pub(super) served: Vec<ListenAddress>,
    pub(super) mistakes: Vec<Mistake>,
}

/// Reads the addresses, of each setting by itself. As in .NET, `Urls` of any layer goes before ports of any other.
pub(super) fn read(settings: &Layer) -> Vec<Addresses> {
    if let Some(urls) = settings.get(URLS.name) {
        return vec![read_list(URLS, urls, |url| Ok(url.parse()?))];
    }
    let ports = |key: Key, scheme| {
        let ports = settings.get(key.name)?;
        Some(read_list(key, ports, |port| match parse_port(port) {
            Some(port) => Ok(ListenAddress::any(scheme, port)),
            None => Err(Problem::Expected("port numbers from 0 to 65535, separated by ;")),
        }))
    };
    let of_ports = [ports(HTTP_PORTS, Scheme::Http), ports(HTTPS_PORTS, Scheme::Https)];
    let of_ports: Vec<_> = of_ports.into_iter().flatten().collect();
    if !of_ports.is_empty() {
        return of_ports;
    }
    let served = vec![ListenAddress::DEFAULT];
    vec![Addresses { key: URLS, setting: None, served, mistakes: Vec::new() }]
}

/// Reads the addresses for operators, `None` if there are none of their own; nothing of theirs may be among those that are served to everybody.
pub(super) fn read_management(settings: &Layer) -> Option<Addresses> {
    let urls = settings.get(MANAGEMENT_URLS.name)?;
    let served: Vec<ListenAddress> = read(settings).into_iter().flat_map(|urls| urls.served).collect();
    Some(read_list(MANAGEMENT_URLS, urls, |url| {
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
        reader.note(self.key.name, shown.join(";"), source);
    }
}

fn read_list(
    key: Key,
    setting: &Setting,
    parse: impl Fn(&str) -> Result<ListenAddress, Problem>,
) -> Addresses {
    let mut served = Vec::new();
    let mut mistakes = Vec::new();
    for part in setting.value.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        match parse(part) {
            Ok(address) if served.contains(&address) => {}
            Ok(address) => served.push(address),
            Err(problem) => mistakes.push(Mistake::in_value(key.name, part, setting.source.clone(), problem)),
        }
    }
    if served.is_empty() && mistakes.is_empty() {
        mistakes.push(Mistake::in_value(
            key.name,
            &setting.value,
            setting.source.clone(),
            Problem::Expected("at least one address between the semicolons"),
        ));
    }
    Addresses { key, setting: Some(setting.clone()), served, mistakes }
}
