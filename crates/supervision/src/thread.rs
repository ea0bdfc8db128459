use crate::panicked;
use crate::pauses::Pauses;

/// Calls `run` until it returns; meant for the outermost function of a thread. After each panic it is called again, after a pause
/// of 0.1 s that doubles to at most 10 s.
pub fn supervise_thread(name: &str, mut run: impl FnMut()) {
    let mut pauses = Pauses::new();
    loop {
        pauses.begin();
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut run)) {
            Ok(()) => return,
            Err(panic) => {
                let pause = pauses.next();
                panicked(name, &*panic, pause);
                std::thread::sleep(pause);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_goes_on_after_a_panic() {
        let mut runs = 0;
        supervise_thread("counter", || {
            runs += 1;
            assert_ne!(runs, 1, "the first time");
        });
        assert_eq!(runs, 2);
    }
}
