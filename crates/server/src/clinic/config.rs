//! The section `Retention` of the configuration.

use std::time::Duration;

/// How long what is stored is kept. `None`: for ever, the default of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct RetentionConfig {
    /// `Retention:Messages`: messages of the chat, from when they were sent.
    pub(crate) messages: Option<Duration>,
    /// `Retention:Calls`: the history of calls, from when they began.
    pub(crate) calls: Option<Duration>,
    /// `Retention:Consultations`: consultations, from when they closed.
    pub(crate) consultations: Option<Duration>,
    /// `Retention:Audit`: the audit, from when it was written.
    pub(crate) audit: Option<Duration>,
}
