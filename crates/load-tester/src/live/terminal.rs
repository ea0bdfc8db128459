//! Takes the terminal, and gives it back as it was: at the end, and when the program panics.

use std::io::{self, Write};
use std::sync::Once;

use parking_lot::Mutex;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};

/// The terminal is ours as long as this is there.
#[derive(Debug)]
pub(super) struct Taken(());

/// What the terminal was like before; `None` while it is nobody's.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

impl Taken {
    /// Shows another screen, hides the cursor, and keeps what is typed from being shown. Ctrl-C stays a signal, Ctrl-Z is none: nobody
    /// wants a run to stand still while its connections are open.
    ///
    /// # Errors
    /// The terminal cannot be written to, or is taken already.
    pub(super) fn take() -> io::Result<Self> {
        let mut before = BEFORE.lock();
        if before.is_some() {
            return Err(io::Error::other("the terminal is taken"));
        }
        give_back_on_panic();
        *before = Some(Before::change());
        drop(before);
        let taken = Self(());
        // A terminal without another screen still shows what was there, and only what differs from nothing is drawn.
        execute!(io::stderr(), EnterAlternateScreen, Clear(ClearType::All), Hide)?;
        Ok(taken)
    }

    /// Whether a panic has not given it back already.
    #[expect(clippy::unused_self, reason = "only who has the terminal may ask")]
    pub(super) fn is_ours(&self) -> bool {
        BEFORE.lock().is_some()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    if let Some(before) = BEFORE.lock().take() {
        // A terminal that has gone needs nothing.
        let _ = execute!(io::stderr(), Show, LeaveAlternateScreen);
        let _ = io::stderr().flush();
        before.restore();
    }
}

fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            next(panic);
        }));
    });
}

/// The settings of the terminal that keys are typed on.
#[cfg(unix)]
#[derive(Debug)]
struct Before(Option<rustix::termios::Termios>);

#[cfg(unix)]
impl Before {
    fn change() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
        let Ok(before) = tcgetattr(io::stdin()) else { return Self(None) };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        quiet.special_codes[SpecialCodeIndex::VSUSP] = 0;
        match tcsetattr(io::stdin(), OptionalActions::Now, &quiet) {
            Ok(()) => Self(Some(before)),
            Err(_) => Self(None),
        }
    }

    fn restore(self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Some(before) = self.0 {
            // What was typed meanwhile was not meant for the shell.
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &before);
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
struct Before;

#[cfg(not(unix))]
impl Before {
    fn change() -> Self {
        Self
    }

    fn restore(self) {}
}
