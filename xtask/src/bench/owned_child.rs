use std::process::Child;

/// A process that ends with its owner, whatever way the owner ends.
#[derive(Debug)]
pub(super) struct OwnedChild(pub(super) Child);

impl Drop for OwnedChild {
    fn drop(&mut self) {
        // It may have ended already, which is all that is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
