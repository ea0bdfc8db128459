//! What the backplane logs, for a test that looks at it.

use std::fmt::{Debug, Write};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Calls a function with each line, the message first and its fields behind it.
#[derive(Clone)]
pub(crate) struct Log(Arc<dyn Fn(&str) + Send + Sync>);

/// Lines are told as long as this lives.
pub(crate) struct Logging {
    _logging: DefaultGuard,
    _another: Dispatch,
}

impl Log {
    /// Of this thread.
    pub(crate) fn to(line: impl Fn(&str) + Send + Sync + 'static) -> Logging {
        let log = Self(Arc::new(line));
        // While there is only one, a message is asked for or not for ever by the subscriber of whichever thread meets it first,
        // and other tests have none.
        let _another = Dispatch::new(log.clone());
        Logging { _logging: tracing::subscriber::set_default(log), _another }
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        }
        .unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        (self.0)(&(line.message + &line.fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
