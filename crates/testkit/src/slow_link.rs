use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Bytes that are read at once, and such pieces under way in each direction at most.
const CHUNK_BYTES: usize = 4096;
const LIMIT_CHUNKS: usize = 256;

/// A way to a server on this machine that can be made slow while it is used. Each connection has its own
/// pace, the same in both directions.
#[derive(Debug)]
pub struct SlowLink {
    port: u16,
    pace: watch::Sender<Pace>,
    _connections: JoinSet<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    delay: Duration,
    bytes_per_second: Option<u32>,
    /// Connections older than this one are stalled.
    stalled_below: u64,
    /// So is this one.
    stalled: Option<u64>,
    /// How many there have been.
    connections: u64,
}

impl Pace {
    fn is_stalled(&self, connection: u64) -> bool {
        connection < self.stalled_below || self.stalled == Some(connection)
    }
}

impl SlowLink {
    /// A way to this port, as fast as it can be at first.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub async fn to(server: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a port to listen on")?;
        let port = listener.local_addr()?.port();
        let pace = watch::Sender::new(Pace::default());
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, server, pace.clone()));
        Ok(Self { port, pace, _connections: connections })
    }

    /// Delays everything by this much from now on.
    pub fn delay(&self, delay: Duration) {
        self.pace.send_modify(|pace| pace.delay = delay);
    }

    /// Limits the bytes per second from now on; `None` lifts the limit.
    pub fn throttle(&self, bytes_per_second: Option<u32>) {
        self.pace.send_modify(|pace| pace.bytes_per_second = bytes_per_second);
    }

    /// Stalls the present connections, which stay open. New connections are not affected.
    pub fn stall(&self) {
        self.pace.send_modify(|pace| pace.stalled_below = pace.connections);
    }

    /// Stalls one connection alone, by how many there had been before it.
    pub fn stall_one(&self, connection: u64) {
        self.pace.send_modify(|pace| pace.stalled = Some(connection));
    }

    /// Undoes [`stall`](Self::stall) and [`stall_one`](Self::stall_one), and forwards what it has held up.
    pub fn go_on(&self) {
        self.pace.send_modify(|pace| (pace.stalled_below, pace.stalled) = (0, None));
    }

    /// The StackExchange.Redis connection string of the link.
    pub fn connection_string(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

async fn accept(listener: TcpListener, server: u16, pace: watch::Sender<Pace>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (mut number, paces) = (0, pace.subscribe());
        pace.send_modify(|pace| {
            number = pace.connections;
            pace.connections += 1;
        });
        connections.spawn(async move {
            if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await {
                _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::select! {
                    () = pass(number, from_client, to_server, paces.clone()) => {}
                    () = pass(number, from_server, to_client, paces) => {}
                }
            }
        });
    }
}

/// Passes on one direction until it ends.
async fn pass(
    number: u64,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut paces: watch::Receiver<Pace>,
) {
    let (send, mut chunks) = mpsc::channel(LIMIT_CHUNKS);
    let delays = paces.clone();
    let read = async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            let due = Instant::now() + delays.borrow().delay;
            if send.send((due, chunk[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = chunks.recv().await {
            sleep_until(due).await;
            if paces.wait_for(|pace| !pace.is_stalled(number)).await.is_err() {
                return;
            }
            if to.write_all(&chunk).await.is_err() {
                return;
            }
            let pace = *paces.borrow_and_update();
            if let Some(rate) = pace.bytes_per_second {
                let pause = Duration::from_secs_f64(chunk.len() as f64 / f64::from(rate));
                // Who is let go need not wait for the end of it.
                tokio::select! {
                    () = sleep(pause) => {}
                    _ = paces.changed() => {}
                }
            }
        }
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_takes_its_time_and_loses_nothing() -> Result<()> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let link = SlowLink::to(server.local_addr()?.port()).await?;
        let mut client = TcpStream::connect(link.connection_string()).await?;
        let (mut server, _) = server.accept().await?;
        let since = Instant::now();
        link.delay(Duration::from_millis(50));
        client.write_all(b"delayed").await?;
        server.read_exact(&mut [0; 7]).await?;
        assert!(since.elapsed() >= Duration::from_millis(50));
        link.delay(Duration::ZERO);
        link.throttle(Some(100_000));
        let sent: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut received = vec![0; sent.len()];
        server.write_all(&sent).await?;
        client.read_exact(&mut received).await?;
        assert_eq!(sent, received);
        assert!(since.elapsed() >= Duration::from_millis(50 + 50));
        Ok(())
    }
}
