//! Where `hubline drain --self` finds the instance of its machine or container: a Unix socket in Linux's abstract namespace, which needs
//! no file, no key and no shell, and is named after the instance's first address. The kernel says who is at the other end.

use std::io;
use std::time::Duration;

use hubline::Server;
use hubline_supervision::Vital;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::Drain;
use crate::config::ListenAddress;

/// What is asked.
pub(super) const REQUEST: &[u8] = b"drain\n";
/// Who asks has so long to do so.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many may wait at once.
const MOST_WAITING: usize = 16;
/// How long they may take their last answer in.
const FAREWELL: Duration = Duration::from_millis(200);
const ROOT: u32 = 0;

/// The instance's own socket, until it is dropped.
#[derive(Debug)]
pub(crate) struct OwnSocket {
    answering: TaskTracker,
    _listening: Option<AbortOnDropHandle<()>>,
}

impl OwnSocket {
    /// Listens, or says in the log why it cannot.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn open(urls: &[ListenAddress], drain: &Drain, server: &Server) -> Self {
        let answering = TaskTracker::new();
        let listener = name(urls).and_then(|name| {
            let cannot = |error| {
                tracing::warn!(
                    %error,
                    "hubline drain --self cannot reach this instance; SIGTERM and POST /api/admin/drain do the same"
                );
            };
            bind(&name).map_err(cannot).ok()
        });
        let listening = listener.map(|listener| {
            let (drain, server, answering) = (drain.clone(), server.clone(), answering.clone());
            hubline_supervision::spawn(Listening { listener, drain, server, answering })
        });
        Self { answering, _listening: listening }
    }

    /// Waits until all who have asked are answered, or for a moment.
    pub(crate) async fn close(self) {
        self.answering.close();
        _ = tokio::time::timeout(FAREWELL, self.answering.wait()).await;
    }
}

/// What the socket of an instance with these addresses is called; `None` where nobody could know.
pub(super) fn name(urls: &[ListenAddress]) -> Option<String> {
    urls.first().filter(|url| url.port != 0).map(|url| format!("hubline {url}"))
}

#[cfg(target_os = "linux")]
fn bind(name: &str) -> io::Result<UnixListener> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    let listener = std::os::unix::net::UnixListener::bind_addr(&address)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

#[cfg(not(target_os = "linux"))]
fn bind(_name: &str) -> io::Result<UnixListener> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this needs Linux"))
}

/// Connects to the socket of this name.
///
/// # Errors
/// There is none, or who listens is neither this user nor, if this user is not root, root.
#[cfg(target_os = "linux")]
pub(super) fn connect(name: &str) -> io::Result<UnixStream> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
    stream.set_nonblocking(true)?;
    let stream = UnixStream::from_std(stream)?;
    let (own, other) = (own_user()?, stream.peer_cred()?.uid());
    match own == ROOT || other == own {
        true => Ok(stream),
        false => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("user {other} has it, and this is user {own}"),
        )),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn connect(_name: &str) -> io::Result<UnixStream> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this needs Linux"))
}

fn own_user() -> io::Result<u32> {
    Ok(UnixStream::pair()?.0.peer_cred()?.uid())
}

struct Listening {
    listener: UnixListener,
    drain: Drain,
    server: Server,
    answering: TaskTracker,
}

impl Vital for Listening {
    const NAME: &'static str = "own socket";

    async fn run(&mut self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (drain, server) = (self.drain.clone(), self.server.clone());
                    let is_one_too_many = self.answering.len() >= MOST_WAITING;
                    self.answering.spawn(async move {
                        if let Err(error) = answer(stream, drain, server, is_one_too_many).await {
                            tracing::debug!(%error, "who asked this instance to drain has gone");
                        }
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "the own socket cannot accept");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
    }
}

async fn answer(
    mut stream: UnixStream,
    drain: Drain,
    server: Server,
    is_one_too_many: bool,
) -> io::Result<()> {
    let user = stream.peer_cred()?.uid();
    if user != ROOT && user != own_user()? {
        tracing::warn!(
            user,
            "Another user of this machine has asked this instance to drain, and was refused"
        );
        return stream.write_all(b"refused: this instance belongs to another user\n").await;
    }
    if is_one_too_many {
        return stream.write_all(b"refused: too many ask at once\n").await;
    }
    let mut request = [0; REQUEST.len()];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut request)).await??;
    if request != REQUEST {
        return stream.write_all(b"refused: nothing but drain can be asked for\n").await;
    }
    tracing::info!("Asked to drain by hubline drain --self");
    drain.request();
    let connections = server.connection_count();
    stream.write_all(format!("draining: {connections} connections\n").as_bytes()).await?;
    let left = drain.drained().await;
    stream.write_all(format!("drained: {left} are left\n").as_bytes()).await?;
    stream.shutdown().await
}
