//! Certificates that change while they are in use.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;

use super::certificate::{CertificateError, CertificateFiles};

/// Between two looks at the files.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// Files, and the certificate that they have held when they were last in order.
#[derive(Debug)]
pub(super) struct WatchedFiles {
    pub(super) files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    in_use: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// When the files were last loaded, whether or not they were in order.
    loaded: Stamps,
    /// At the last look.
    last: Stamps,
}

/// What tells versions of certificate and key apart; `None` for a file that is not there.
type Stamps = [Option<(SystemTime, u64, u64)>; 2];

impl WatchedFiles {
    pub(super) fn load(
        files: CertificateFiles,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, CertificateError> {
        // First the stamps: what changes while it is loaded is loaded again.
        let stamps = stamps(&files);
        let in_use = RwLock::new(Arc::new(files.load(&provider)?));
        Ok(Self { files, provider, in_use, seen: Mutex::new(Seen { loaded: stamps, last: stamps }) })
    }

    pub(super) fn certificate(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.in_use.read())
    }

    pub(super) async fn watch(self: &Arc<Self>) {
        loop {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            let this = Arc::clone(self);
            // A panic has been logged where it happened, and the next look is another one.
            _ = tokio::task::spawn_blocking(move || this.look()).await;
        }
    }

    /// Loads the files if they have changed, and have not changed since the last look: they are written one after the other.
    fn look(&self) {
        let mut seen = self.seen.lock();
        let now = stamps(&self.files);
        let is_settled = std::mem::replace(&mut seen.last, now) == now;
        if !is_settled || seen.loaded == now {
            return;
        }
        seen.loaded = now;
        match self.files.load(&self.provider) {
            Ok(certificate) => {
                *self.in_use.write() = Arc::new(certificate);
                tracing::info!("The TLS certificate in {} was replaced", self.files.certificate.display());
            }
            Err(error) => tracing::warn!(
                "The new TLS certificate cannot be used, and the one before stays in use: {error}. Correct the file and it \
                 is loaded"
            ),
        }
    }
}

fn stamps(files: &CertificateFiles) -> Stamps {
    [&files.certificate, files.key_file()].map(|path| stamp(path))
}

fn stamp(path: &Path) -> Option<(SystemTime, u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let number = 0;
    Some((metadata.modified().ok()?, metadata.len(), number))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use hubline_testkit::Certificates;
    use rustls::crypto::ring;

    use super::*;

    #[test]
    fn files_are_loaded_again_once_they_are_in_order_and_have_settled() {
        let (ours, new) =
            (Certificates::new(&["ours"]).unwrap(), Certificates::new(&["a new name"]).unwrap());
        let files = CertificateFiles::new(ours.certificate()).key(ours.key());
        let watched = WatchedFiles::load(files, Arc::new(ring::default_provider())).unwrap();
        let first = watched.certificate();
        let replaced = || !Arc::ptr_eq(&first, &watched.certificate());
        watched.look();
        assert!(!replaced());

        // One file is written before the other; then the pair is wrong for a while, for instance because its writer died.
        fs::copy(new.certificate(), ours.certificate()).unwrap();
        for _ in 0..3 {
            watched.look();
            assert!(!replaced(), "a certificate whose key is another's");
        }
        fs::remove_file(ours.key()).unwrap();
        for _ in 0..3 {
            watched.look();
            assert!(!replaced(), "no key");
        }
        fs::copy(new.key(), ours.key()).unwrap();
        watched.look();
        assert!(!replaced(), "it may not be whole yet");
        watched.look();
        assert!(replaced());

        let second = watched.certificate();
        watched.look();
        assert!(Arc::ptr_eq(&second, &watched.certificate()), "nothing has changed");
    }
}
