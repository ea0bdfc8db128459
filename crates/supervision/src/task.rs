use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::panicked;
use crate::pauses::Pauses;

/// Work that others rely on.
///
/// What has to outlive a panic belongs into `self`; what [`run`](Self::run) holds itself is dropped with the panic.
pub trait Vital: Send + 'static {
    /// What it is, for the log.
    const NAME: &'static str;

    /// Does the work, until there is none any more. After a panic it is called again, with `self` as it was then.
    fn run(&mut self) -> impl Future<Output = ()> + Send;
}

/// Runs it in a task of the current runtime, which ends with the handle.
///
/// # Panics
/// Outside a tokio runtime.
pub fn spawn(task: impl Vital) -> AbortOnDropHandle<()> {
    spawn_on(&Handle::current(), task)
}

/// [`spawn`] on this runtime.
pub fn spawn_on(runtime: &Handle, task: impl Vital) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(runtime.spawn(supervise(task)))
}

/// Runs it until it returns, after a pause of 0.1 to 10 s again each time that it has panicked.
///
/// # Cancel safety
/// Dropping this drops the task.
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
