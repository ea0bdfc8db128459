use std::task::{Context, Poll, ready};

use anyhow::{Context as _, ensure};

use crate::wire::connection::{Receive, ensure_open};
use crate::wire::framing::MessageReader;
use crate::wire::http::{self, HttpConnection, Piece};
use crate::wire::messages::{Protocol, message_type};
use crate::wire::target::Target;

/// A connection over long polling; a poll is always open.
#[derive(Debug)]
pub(crate) struct LongPolling {
    http: HttpConnection,
    poll: Vec<u8>,
    messages: MessageReader,
}

impl LongPolling {
    /// Negotiates, makes the first poll, which returns at once, sends the handshake and polls again.
    pub(crate) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let mut http = HttpConnection::connect(target).await?;
        let path = http.negotiate(target).await?;
        let poll = http::get(target, &path, "*/*");
        http.exchange(&poll).await.context("first poll")?;
        http.exchange(&http::request(target, "POST", &path, Protocol::Json.handshake()))
            .await
            .context("posting")?;
        http.send_now(&poll)?;
        Ok(Self { http, poll, messages: MessageReader::new(Protocol::Json) })
    }
}

impl Receive for LongPolling {
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        on_message: &mut dyn FnMut(u8, &[u8]),
    ) -> Poll<anyhow::Result<()>> {
        let messages = &mut self.messages;
        let (mut answered, mut open) = (false, Ok(()));
        ready!(self.http.poll_receive(context, &mut |piece| {
            match piece {
                Piece::Head(status) => ensure!(status == 200, "the poll was answered {status}"),
                Piece::Body(bytes) => messages.feed(bytes, |message| {
                    let kind = message_type(message).unwrap_or(0);
                    on_message(kind, message);
                    if open.is_ok() {
                        open = ensure_open(kind, message);
                    }
                })?,
                Piece::End => answered = true,
            }
            Ok(())
        }))?;
        open?;
        if answered {
            self.http.send_now(&self.poll)?;
        }
        Poll::Ready(Ok(()))
    }
}
