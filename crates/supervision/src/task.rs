use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::panicked;
use crate::pauses::Pauses;

/// The work of a task that is run again after a panic.
///
/// State that must survive a panic belongs into `self`; local variables of [`run`](Self::run) are dropped with the panic.
pub trait Vital: Send + 'static {
    /// Name of the task in the log.
    const NAME: &'static str;

    /// Does the work and returns when there is none left. After a panic it is called again, with `self` as the panic left it.
    fn run(&mut self) -> impl Future<Output = ()> + Send;
}

/// Supervises it in a task of the current runtime. Dropping the handle aborts the task.
///
/// # Panics
/// Outside a tokio runtime.
pub fn spawn(task: impl Vital) -> AbortOnDropHandle<()> {
    spawn_on(&Handle::current(), task)
}

/// As [`spawn`], on this runtime.
pub fn spawn_on(runtime: &Handle, task: impl Vital) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(runtime.spawn(supervise(task)))
}

/// Runs it until it returns. After each panic it runs again, after a pause of 0.1 s that doubles to at most 10 s.
///
/// # Cancel safety
/// Dropping the future drops the task.
pub async fn supervise<T: Vital>(mut task: T) {
    let mut pauses = Pauses::new();
    loop {
        pauses.begin();
        match AssertUnwindSafe(task.run()).catch_unwind().await {
            Ok(()) => return,
            Err(panic) => {
                let pause = pauses.next();
                panicked(T::NAME, &*panic, pause);
                sleep(pause).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::*;

    /// Panics at each 0, and reports everything else with the time.
    struct Reader {
        commands: mpsc::Receiver<u32>,
        seen: mpsc::Sender<(u32, Instant)>,
        runs: u32,
    }

    impl Vital for Reader {
        const NAME: &'static str = "reader";

        async fn run(&mut self) {
            self.runs += 1;
            while let Some(command) = self.commands.recv().await {
                assert_ne!(command, 0, "told to");
                self.seen.send((self.runs, Instant::now())).await.unwrap();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_panics_goes_on_with_what_it_had() {
        let before = crate::restarts();
        let (send, commands) = mpsc::channel(64);
        let (seen, mut seen_here) = mpsc::channel(64);
        let task = spawn(Reader { commands, seen, runs: 0 });
        let begun = Instant::now();
        for command in [1, 0, 0, 1, 1] {
            send.send(command).await.unwrap();
        }
        let mut next = async || seen_here.recv().await.unwrap();
        assert_eq!(next().await, (1, begun));
        let after_both = begun + Duration::from_millis(100 + 200);
        assert_eq!([next().await, next().await], [(3, after_both); 2]);
        assert!(crate::restarts() >= before + 2);
        drop(send);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_panics_at_once_is_started_each_ten_seconds_at_most() {
        struct Hopeless(mpsc::Sender<Instant>);
        impl Vital for Hopeless {
            const NAME: &'static str = "hopeless";
            async fn run(&mut self) {
                self.0.send(Instant::now()).await.unwrap();
                panic!("again");
            }
        }
        let (send, mut started) = mpsc::channel(64);
        let task = spawn(Hopeless(send));
        let mut starts = Vec::new();
        for _ in 0..12 {
            starts.push(started.recv().await.unwrap());
        }
        let pauses: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses[..3], [100, 200, 400].map(Duration::from_millis));
        assert_eq!(pauses.last(), Some(&Duration::from_secs(10)));
        drop(task);
        assert_eq!(started.recv().await, None, "it ends with its handle");
    }
}
