//! The section `Retention` of the configuration.

use std::time::Duration;

/// How long what is stored is kept. `None`: for ever, the default of each.
#[derive(Debug, Clone, Default)]
pub struct RetentionConfig {
    /// `Retention:Messages`: messages of the chat, from when they were sent.
    pub messages: Option<Duration>,
    /// `Retention:Calls`: the history of calls, from when they began.
    pub calls: Option<Duration>,
    /// `Retention:Consultations`: consultations, from when they closed.
    pub consultations: Option<Duration>,
    /// `Retention:Audit`: the audit, from when it was written.
    pub audit: Option<Duration>,
}
