use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::time::{Instant, timeout};

use super::{Phase, tell};
use crate::measure::Recorder;
use crate::probes::report::ElsewhereReport;
use crate::wire::http::{self, HttpConnection};
use crate::wire::messages::{Protocol, invocation_text};
use crate::wire::target::Target;
use crate::wire::web_socket::WebSocket;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests of connections that another instance negotiated.
#[derive(Debug, Clone, Args)]
pub struct ElsewhereOptions {
    /// The hub on another instance
    #[arg(long)]
    pub other: Target,
    /// What goes there
    #[arg(long, value_enum)]
    pub request: Request,
    /// It goes to --url, where the connection was negotiated: what the same costs without another instance
    #[arg(long)]
    pub here: bool,
    /// How many, one after the other
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
}

/// What may land on another instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// A WebSocket, with its handshake; each of a connection of its own
    Connect,
    /// A poll that brings one message
    Poll,
    /// A POST with one call
    Send,
}

/// Negotiates on one instance and sends the requests to another; times them.
///
/// # Errors
/// A request failed or took longer than 10 s.
pub async fn elsewhere(
    target: &Target,
    options: &ElsewhereOptions,
    progress: &mut dyn FnMut(Phase),
) -> anyhow::Result<ElsewhereReport> {
    let other = if options.here { target } else { &options.other };
    let mut latency = Recorder::new();
    let seconds = match options.request {
        Request::Connect => connects(target, other, options.count, progress, &mut latency).await?,
        Request::Poll | Request::Send => {
            let mut client = Polling::start(target).await?;
            let mut there = HttpConnection::connect(other).await?;
            tell(progress, Phase::Connected).await;
            // The first one also finds out where the connection is.
            client.call(other, &mut there, options.request).await?;
            tell(progress, Phase::Running).await;
            let started = Instant::now();
            for _ in 0..options.count {
                let call = client.call(other, &mut there, options.request);
                let took = timeout(ANSWER_TIMEOUT, call).await.context("no answer")??;
                latency.record(u64::try_from(took.as_micros())?);
            }
            started.elapsed().as_secs_f64()
        }
    };
    tell(progress, Phase::Finished).await;
    Ok(ElsewhereReport {
        request: options.request,
        is_elsewhere: !options.here,
        count: options.count,
        seconds,
        latency: latency.percentiles(),
    })
}

/// Negotiating is not timed.
async fn connects(
    target: &Target,
    other: &Target,
    count: u32,
    progress: &mut dyn FnMut(Phase),
    latency: &mut Recorder,
) -> anyhow::Result<f64> {
    let mut negotiating = HttpConnection::connect(target).await?;
    tell(progress, Phase::Connected).await;
    tell(progress, Phase::Running).await;
    let began = Instant::now();
    for _ in 0..count {
        let path = negotiating.negotiate(target).await?;
        let started = Instant::now();
        let connection = WebSocket::open(&Target { path, ..other.clone() }, Protocol::Json).await?;
        latency.record(u64::try_from(started.elapsed().as_micros())?);
        connection.close();
    }
    Ok(began.elapsed().as_secs_f64())
}

/// A connection over long polling that sends and polls in turn.
struct Polling {
    here: Target,
    http: HttpConnection,
    path: String,
}

impl Polling {
    async fn start(target: &Target) -> anyhow::Result<Self> {
        let mut http = HttpConnection::connect(target).await?;
        let path = http.negotiate(target).await?;
        http.exchange(&http::get(target, &path, "*/*")).await.context("first poll")?;
        let handshake = http::request(target, "POST", &path, Protocol::Json.handshake());
        http.exchange(&handshake).await.context("handshake")?;
        let answer = http.exchange(&http::get(target, &path, "*/*")).await.context("handshake's answer")?;
        ensure!(answer.starts_with(b"{}"), "the handshake was refused");
        Ok(Self { here: target.clone(), http, path })
    }

    /// Calls `Echo` and polls for its completion; one of them through the other instance. Returns how long that one took.
    async fn call(
        &mut self,
        other: &Target,
        there: &mut HttpConnection,
        request: Request,
    ) -> anyhow::Result<Duration> {
        let body = invocation_text("Echo", "x");
        let post = |target: &Target| http::request(target, "POST", &self.path, &body);
        let poll = |target: &Target| http::get(target, &self.path, "*/*");
        let (took, answer) = match request {
            Request::Send => {
                let started = Instant::now();
                there.exchange(&post(other)).await.context("sending")?;
                let took = started.elapsed();
                (took, self.http.exchange(&poll(&self.here)).await?)
            }
            Request::Connect | Request::Poll => {
                self.http.exchange(&post(&self.here)).await.context("sending")?;
                let started = Instant::now();
                let answer = there.exchange(&poll(other)).await.context("polling")?;
                (started.elapsed(), answer)
            }
        };
        ensure!(memchr::memmem::find(&answer, b"\"result\"").is_some(), "no completion in the poll");
        Ok(took)
    }
}
