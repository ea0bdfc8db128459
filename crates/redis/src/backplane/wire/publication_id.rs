//! What Hubline adds to an invocation.

use std::io;

use hubline_backplane::InstanceId;
use rmp::{decode, encode};

use super::{Invocation, array, text};

/// Names a publication of Hubline: `[origin, number]`, or `[origin, number, true]` for a replay. All are integers but the
/// last. The span that a traced one was sent in may stand behind that, as a text: `[origin, number, false, span]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicationId {
    /// The instance that has published it.
    pub origin: InstanceId,
    /// Its place among the publications of that instance on this channel. It counts up by 1 from the first one that an
    /// instance sends there; a larger step means loss, or that the origin has forgotten the channel among very many.
    pub number: u64,
    /// Whether it had to wait for Redis. Then the connections of its origin have it already.
    pub is_replay: bool,
}

impl PublicationId {
    /// The id in the payload of an invocation.
    pub(crate) fn find(payload: &[u8]) -> Option<Self> {
        Invocation::read(payload, |_| {}).ok()?.id
    }

    /// Reads the last item of an invocation of so many. Whatever else somebody has put there is no mistake.
    pub(super) fn read<'a>(rest: &mut &'a [u8], items: u32) -> Option<(Self, Option<&'a str>)> {
        if items < 3 || items == 4 {
            return None;
        }
        let items = array(rest, 2).ok()?;
        let origin = decode::read_int::<u64, _>(rest).ok()?;
        let number = decode::read_int(rest).ok()?;
        let is_replay = items > 2 && decode::read_bool(rest).ok()?;
        let trace_parent = if items > 3 { text(rest).ok() } else { None };
        Some((Self { origin: InstanceId::from_bytes(origin.to_be_bytes()), number, is_replay }, trace_parent))
    }

    /// Appends it to a payload, with the span that it is sent in.
    pub(crate) fn put(self, trace_parent: Option<&str>, out: &mut impl io::Write) -> io::Result<()> {
        let items = match (trace_parent, self.is_replay) {
            (Some(_), _) => 4,
            (None, true) => 3,
            (None, false) => 2,
        };
        encode::write_array_len(out, items)?;
        encode::write_uint(out, u64::from_be_bytes(self.origin.to_bytes()))?;
        encode::write_uint(out, self.number)?;
        if items > 2 {
            encode::write_bool(out, self.is_replay)?;
        }
        if let Some(trace_parent) = trace_parent {
            encode::write_str(out, trace_parent)?;
        }
        Ok(())
    }
}
