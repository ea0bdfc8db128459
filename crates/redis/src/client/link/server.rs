//! What a server says it is.

use redis::Value;

/// What `HELLO` has told; nothing is known of servers before Redis 6.2, or if the user may not ask.
#[derive(Debug, Default)]
pub(crate) struct Server {
    pub(crate) mode: Option<Mode>,
    pub(crate) role: Option<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Standalone,
    Cluster,
    Sentinel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Master,
    Replica,
}

impl Server {
    /// From pairs of key and value, one after the other.
    pub(super) fn of_hello(answer: Value) -> Self {
        let mut server = Self::default();
        let Value::Array(items) = answer else { return server };
        for pair in items.chunks_exact(2) {
            let [Value::BulkString(key), Value::BulkString(value)] = pair else { continue };
            match (&**key, &**value) {
                (b"mode", b"standalone") => server.mode = Some(Mode::Standalone),
                (b"mode", b"cluster") => server.mode = Some(Mode::Cluster),
                (b"mode", b"sentinel") => server.mode = Some(Mode::Sentinel),
                (b"role", b"master") => server.role = Some(Role::Master),
                (b"role", b"replica" | b"slave") => server.role = Some(Role::Replica),
                _ => {}
            }
        }
        server
    }
}
