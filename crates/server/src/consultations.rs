//! Whether a consultation is required, for the chat and the calls.

use crate::config::{Key, Reader, Section};

const REQUIRED: Key = Key::new(
    "Consultations:Required",
    "whether only participants of an open consultation may write, call, join its room and read its history",
);

/// Whether a consultation is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConsultationRule {
    /// Any user may write to any other, and call.
    #[default]
    NotRequired,
    /// Only participants of an open consultation may, and only rooms of consultations exist.
    Required,
}

impl Section for ConsultationRule {
    const TITLE: &'static str = "Consultations";

    fn read(reader: &mut Reader) -> Self {
        if reader.boolean(REQUIRED, false) { Self::Required } else { Self::NotRequired }
    }
}
