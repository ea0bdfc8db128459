//! The section `Retention` of the configuration.

use std::time::Duration;

use crate::config::{Key, Reader, Section};

const MESSAGES: Key =
    Key::new("Retention:Messages", "age at which messages of the chat are deleted, like 3650.00:00:00")
        .unset(FOR_EVER);
const CALLS: Key =
    Key::new("Retention:Calls", "age at which calls are deleted from their history, from when they began")
        .unset(FOR_EVER);
const CONSULTATIONS: Key =
    Key::new("Retention:Consultations", "age at which consultations are deleted, from when they closed")
        .unset(FOR_EVER);
const AUDIT: Key =
    Key::new("Retention:Audit", "age at which entries of the audit are deleted").unset(FOR_EVER);

/// What holds for those that are not set.
const FOR_EVER: &str = "kept for ever";

/// How long what is stored is kept. `None`: for ever, the default of each.
#[derive(Debug, Clone, Default)]
pub struct RetentionConfig {
    /// Messages of the chat, from when they were sent.
    pub messages: Option<Duration>,
    /// The history of calls, from when they began.
    pub calls: Option<Duration>,
    /// Consultations, from when they closed.
    pub consultations: Option<Duration>,
    /// The audit, from when it was written.
    pub audit: Option<Duration>,
}

impl Section for RetentionConfig {
    const TITLE: &'static str = "Retention";

    fn read(reader: &mut Reader) -> Self {
        Self {
            messages: reader.optional_interval(MESSAGES),
            calls: reader.optional_interval(CALLS),
            consultations: reader.optional_interval(CONSULTATIONS),
            audit: reader.optional_interval(AUDIT),
        }
    }
}
