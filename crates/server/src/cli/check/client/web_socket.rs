//! A WebSocket, whose frames are soketto's.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use soketto::connection::{Builder, Mode};
use soketto::{Data, Receiver, Sender};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::super::http::{Http, LIMIT_BYTES};
use crate::check::random;

/// RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

type Socket = Compat<TokioIo<Upgraded>>;

pub(super) struct WebSocket {
    sender: Sender<Socket>,
    receiver: Receiver<Socket>,
}

impl WebSocket {
    pub(super) async fn open(http: &Http, url: &str) -> Result<Self> {
        let key = STANDARD.encode(random().to_be_bytes());
        let headers = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", &*key),
        ];
        let answer = http.send(Method::GET, url, &headers, String::new()).await?;
        ensure!(
            answer.status() == StatusCode::SWITCHING_PROTOCOLS,
            "it answers {} instead of 101: a proxy in front has to pass Upgrade and Connection on",
            answer.status()
        );
        let accepted = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
        let accepted = STANDARD.encode(accepted);
        let answered = answer.headers().get("sec-websocket-accept");
        ensure!(answered.is_some_and(|value| value == accepted.as_str()), "wrong Sec-WebSocket-Accept");
        let socket = TokioIo::new(hyper::upgrade::on(answer).await.context("upgrading")?);
        let mut builder = Builder::new(socket.compat(), Mode::Client);
        builder.set_max_message_size(LIMIT_BYTES);
        builder.set_max_frame_size(LIMIT_BYTES);
        let (sender, receiver) = builder.finish();
        Ok(Self { sender, receiver })
    }

    pub(super) async fn send(&mut self, text: String) -> Result<()> {
        self.sender.send_text_owned(text).await?;
        self.sender.flush().await.context("sending")
    }

    pub(super) async fn receive(&mut self) -> Result<String> {
        let mut message = Vec::new();
        match self.receiver.receive_data(&mut message).await? {
            Data::Text(_) => Ok(String::from_utf8(message)?),
            Data::Binary(_) => bail!("a binary message"),
        }
    }

    pub(super) async fn close(&mut self) -> Result<()> {
        Ok(self.sender.close().await?)
    }
}
