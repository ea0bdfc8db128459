use serde::Deserialize;

use crate::client::error::{ConnectError, ConnectPhase};
use crate::client::network::Network;
use crate::client::options::{ConnectOptions, TransportChoice};
use crate::client::request;
use crate::wire::http::HttpConnection;
use crate::wire::hub_url::HubUrl;
use crate::wire::messages::Protocol;

/// As many as official clients follow.
const MOST_REDIRECTS: usize = 100;

/// What a negotiation ended with.
#[derive(Debug)]
pub(crate) struct Negotiated {
    /// Where the transport is opened: the URL that was given, or the last one that it was redirected to.
    pub(crate) url: HubUrl,
    /// The token that counts from then on.
    pub(crate) token: Option<String>,
    pub(crate) transport: TransportChoice,
    /// What requests carry as `id`.
    pub(crate) connection_token: String,
    pub(crate) connection_id: String,
    pub(crate) stateful: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    error: Option<String>,
    url: Option<String>,
    access_token: Option<String>,
    negotiate_version: u32,
    connection_id: Option<String>,
    connection_token: Option<String>,
    available_transports: Vec<Available>,
    use_stateful_reconnect: bool,
    /// What servers of ASP.NET SignalR, before ASP.NET Core, answer.
    #[serde(rename = "ProtocolVersion")]
    classic: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Available {
    transport: String,
    transfer_formats: Vec<String>,
}

pub(crate) async fn negotiate(
    network: &Network,
    url: &HubUrl,
    options: &ConnectOptions,
) -> Result<Negotiated, ConnectError> {
    let failed = |text: String| ConnectError::new(ConnectPhase::Negotiate, text);
    let mut url = url.clone();
    let mut token = options.token.clone();
    for _ in 0..=MOST_REDIRECTS {
        let answer = ask(network, &url, token.as_deref(), options).await?;
        if let Some(error) = answer.error {
            return Err(failed(error));
        }
        if answer.classic.is_some() {
            return Err(failed("this is a server of ASP.NET SignalR, before ASP.NET Core".to_owned()));
        }
        let Some(to) = &answer.url else { return chosen(url, token, answer, options).map_err(failed) };
        url = to.parse().map_err(|error| failed(format!("the redirect to {to:?} is none: {error}")))?;
        token = answer.access_token.or(token);
    }
    Err(failed("Negotiate redirection limit exceeded.".to_owned()))
}

async fn ask(
    network: &Network,
    url: &HubUrl,
    token: Option<&str>,
    options: &ConnectOptions,
) -> Result<Answer, ConnectError> {
    let at = ConnectPhase::Negotiate;
    let mut http = HttpConnection::over(network.open(url).await?.socket);
    let mut parameters = Vec::new();
    if !url.has_parameter("negotiateVersion") {
        parameters.push(("negotiateVersion", "1"));
    }
    if options.stateful {
        parameters.push(("useStatefulReconnect", "true"));
    }
    let target = url.request_target("negotiate", &parameters);
    let request = request::post(url, &target, token, options, &[]);
    let answer = http.ask(&request).await.map_err(|error| ConnectError::any(at, &error))?;
    if answer.status != 200 {
        return Err(ConnectError::status(at, answer.status, &answer.body, answer.location.as_deref()));
    }
    serde_json::from_slice(&answer.body).map_err(|_| {
        let line = crate::client::error::first_line(&answer.body);
        ConnectError::new(at, format!("the answer is no negotiation of SignalR: {line:?}"))
    })
}

fn chosen(
    url: HubUrl,
    token: Option<String>,
    answer: Answer,
    options: &ConnectOptions,
) -> Result<Negotiated, String> {
    if answer.use_stateful_reconnect && !options.stateful {
        return Err("Client didn't negotiate Stateful Reconnect but the server did.".to_owned());
    }
    let transport = transport(&answer.available_transports, options)?;
    let id = answer.connection_id.ok_or("the answer has no connectionId")?;
    let connection_token = match answer.connection_token {
        Some(token) if answer.negotiate_version > 0 => token,
        None if answer.negotiate_version > 0 => return Err("the answer has no connectionToken".to_owned()),
        _ => id.clone(),
    };
    let stateful = answer.use_stateful_reconnect && transport == TransportChoice::WebSockets;
    if options.stateful && !stateful {
        return Err(
            "the server does not offer stateful reconnects here: switch them on there (AllowStatefulReconnects), \
             use --transport ws, or leave --stateful out"
                .to_owned(),
        );
    }
    Ok(Negotiated { url, token, transport, connection_token, connection_id: id, stateful })
}

fn transport(offered: &[Available], options: &ConnectOptions) -> Result<TransportChoice, String> {
    let format = match options.protocol {
        Protocol::Json => "Text",
        Protocol::MessagePack => "Binary",
    };
    let wanted = options.transport;
    let known =
        [TransportChoice::WebSockets, TransportChoice::ServerSentEvents, TransportChoice::LongPolling];
    let usable = |available: &&Available| available.transfer_formats.iter().any(|known| known == format);
    let mut choices = offered
        .iter()
        .filter(usable)
        .filter_map(|available| known.into_iter().find(|known| known.name() == available.transport));
    let found = choices.find(|choice| wanted == TransportChoice::Automatic || *choice == wanted);
    found.ok_or_else(|| {
        let names: Vec<_> = offered.iter().map(|available| available.transport.as_str()).collect();
        let offered = names.join(", ");
        match wanted {
            TransportChoice::Automatic => {
                format!("the server offers no transport for {format} messages, only {offered}")
            }
            wanted => {
                let name = wanted.name();
                format!("the server does not offer {name} for {format} messages here, only {offered}")
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(answer: &str, options: &ConnectOptions) -> Result<Negotiated, String> {
        let url = "http://localhost/hub".parse().unwrap();
        chosen(url, None, serde_json::from_str(answer).unwrap(), options)
    }

    const FULL: &str = r#"{"negotiateVersion":1,"connectionId":"i","connectionToken":"t","availableTransports":[
        {"transport":"Pigeons","transferFormats":["Text"]},
        {"transport":"ServerSentEvents","transferFormats":["Text"]},
        {"transport":"LongPolling","transferFormats":["Text","Binary"]}]}"#;

    #[test]
    fn the_first_transport_that_carries_the_protocol_is_chosen() {
        let json = ConnectOptions::default();
        let chosen = choose(FULL, &json).unwrap();
        assert_eq!((chosen.transport, &*chosen.connection_token), (TransportChoice::ServerSentEvents, "t"));
        let binary = ConnectOptions { protocol: Protocol::MessagePack, ..ConnectOptions::default() };
        assert_eq!(choose(FULL, &binary).unwrap().transport, TransportChoice::LongPolling);
        let sockets = ConnectOptions { transport: TransportChoice::WebSockets, ..ConnectOptions::default() };
        let refused = choose(FULL, &sockets).unwrap_err();
        assert!(refused.contains("does not offer WebSockets"), "{refused}");
    }

    #[test]
    fn version_0_has_no_token() {
        let zero = FULL.replace(r#""negotiateVersion":1"#, r#""negotiateVersion":0"#);
        assert_eq!(choose(&zero, &ConnectOptions::default()).unwrap().connection_token, "i");
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let stateful = FULL.replace('{', r#"{"useStatefulReconnect":true,"#);
        assert!(choose(&stateful, &ConnectOptions::default()).is_err());
        let asked = ConnectOptions { stateful: true, ..ConnectOptions::default() };
        assert!(choose(FULL, &asked).unwrap_err().contains("AllowStatefulReconnects"));
    }
}
