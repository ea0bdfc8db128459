//! A run that goes on, as its watcher sees it: a view that fills the terminal, or lines where there is no terminal.

mod plain;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(feature = "live")]
mod screen;
#[cfg(feature = "live")]
mod terminal;
mod words;

use std::io::{IsTerminal, Write};

use tokio::sync::watch;

use crate::report::model::{Snapshot, Stage};

/// How a run is shown while it goes on. All of it goes to standard error, so that standard output has the report alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Quiet,
    /// A line each 5 s, and when something begins.
    Plain,
    /// The whole terminal, until the run ends.
    Screen {
        /// With colors.
        color: bool,
    },
}

impl Style {
    /// The screen where standard error is a terminal that can do that, otherwise lines; nothing if asked for that. `NO_COLOR`, if it is
    /// not empty, means no colors; a terminal called `dumb` gets lines.
    #[must_use]
    pub fn detect(quiet: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb =
            std::env::var_os("TERM").is_none_or(|terminal| terminal.is_empty() || terminal == "dumb");
        match () {
            () if quiet => Self::Quiet,
            () if cfg!(feature = "live") && !is_dumb && std::io::stderr().is_terminal() => {
                Self::Screen { color: !is_set("NO_COLOR") }
            }
            () => Self::Plain,
        }
    }
}

/// Shows what the run sends, until its stage is [`Stage::Done`] or the sender is dropped.
///
/// # Cancel safety
/// Dropping it leaves the terminal as it was, as a panic does.
pub async fn show(mut snapshots: watch::Receiver<Snapshot>, style: Style) {
    let mut view = View::new(style);
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        view = view.show(&snapshot);
        if snapshot.stage == Stage::Done || snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// Where it is shown.
enum View {
    Nowhere,
    Lines(plain::Lines),
    #[cfg(feature = "live")]
    Screen(screen::Screen),
}

impl View {
    fn new(style: Style) -> Self {
        match style {
            Style::Quiet => Self::Nowhere,
            Style::Plain => Self::Lines(plain::Lines::default()),
            #[cfg(feature = "live")]
            Style::Screen { color } => {
                screen::Screen::open(color).map_or_else(|_| Self::new(Style::Plain), Self::Screen)
            }
            #[cfg(not(feature = "live"))]
            Style::Screen { .. } => Self::new(Style::Plain),
        }
    }

    /// The view for what comes next: lines, once the screen cannot be drawn any more.
    fn show(mut self, snapshot: &Snapshot) -> Self {
        match &mut self {
            Self::Nowhere => {}
            Self::Lines(lines) => {
                if let Some(line) = lines.line(snapshot) {
                    // Who watches may have gone: that ends no run.
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }
            #[cfg(feature = "live")]
            Self::Screen(screen) => {
                if screen.draw(snapshot).is_err() {
                    return Self::new(Style::Plain).show(snapshot);
                }
            }
        }
        self
    }
}
