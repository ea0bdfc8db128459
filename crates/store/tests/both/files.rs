//! A file of SQLite in trouble, and shared with other processes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hubline_store::{Store, StoreError, StoreOptions, StoreStatus, sqlx};

use crate::databases::{until, until_connected};
use crate::notes::{add, all, change, create};

/// Names the file to the processes that share it.
const SHARED_FILE: &str = "HUBLINE_TEST_SHARED_FILE";
const COUNTS: i64 = 40;

async fn open(path: &Path) -> Store {
    let mut options = StoreOptions::file(path);
    options.deadline = Duration::from_secs(1);
    Store::open(options).await.unwrap()
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let in_nothing = directory.path().join("nothing/test.db");
    for (path, named) in
        [(in_nothing.clone(), in_nothing.parent().unwrap()), (directory.path().into(), directory.path())]
    {
        let error = Store::open(StoreOptions::file(&path)).await.unwrap_err().to_string();
        assert!(error.contains(&format!("{} cannot be written", named.display())), "{error}");
    }
    let no_database = directory.path().join("text");
    std::fs::write(&no_database, "no database, whatever its name says").unwrap();
    let error = Store::open(StoreOptions::file(&no_database)).await.unwrap_err().to_string();
    assert!(error.contains("no database"), "{error}");
}

#[tokio::test]
async fn a_file_that_another_program_locks_is_waited_for_and_then_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    let store = open(&path).await;
    create(&store).await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // On a busy machine the operation may be over before the wait for the lock, which is a tenth shorter.
    loop {
        match add(&store, 1).await.unwrap_err() {
            StoreError::Locked(_) => break,
            StoreError::Unavailable(_) => {}
            error => panic!("{error}"),
        }
    }
    assert!(matches!(&*store.status().borrow(), StoreStatus::Disconnected(why) if why.contains("locked")));
    assert!(all(&store).await.is_empty());
    other.execute_batch("ROLLBACK").unwrap();
    until_connected(&store).await;
    add(&store, 2).await.unwrap();
    assert_eq!(all(&store).await, [2]);
}

#[tokio::test]
async fn a_file_that_is_locked_at_the_start_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    create(&open(&path).await).await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let store = open(&path).await;
    assert!(
        matches!(&*store.status().borrow(), StoreStatus::Starting(why) if why.contains("locked by another program"))
    );
    other.execute_batch("ROLLBACK").unwrap();
    until_connected(&store).await;
    add(&store, 1).await.unwrap();
}

#[tokio::test]
async fn a_file_that_may_only_be_read_is_refused() {
    let place = ReadOnly::around("test.db").await;
    let error = Store::open(StoreOptions::file(place.file())).await.unwrap_err().to_string();
    assert!(error.contains(&format!("{} cannot be written", place.file().display())), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_said_and_writing_goes_on_when_there_is_room() {
    let disk = SmallDisk::mount();
    let store = open(&disk.path().join("test.db")).await;
    create(&store).await;
    add(&store, 1).await.unwrap();
    disk.fill(&store).await;
    let mut status = store.status();
    status.mark_unchanged();
    let mut id = 1;
    let error = loop {
        id += 1;
        match add(&store, id).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    // It may be over as soon as the keeper finds room for less.
    assert!(status.has_changed().unwrap());
    assert_eq!(all(&store).await.len() as i64, id - 1);
    disk.empty(&store).await;
    until_connected(&store).await;
    add(&store, id).await.unwrap();
    assert_eq!(all(&store).await.len() as i64, id);
}

#[tokio::test]
async fn a_file_that_was_removed_is_not_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    let store = open(&path).await;
    create(&store).await;
    std::fs::rename(&path, directory.path().join("moved.db")).unwrap();
    let status = until(&store, |status| matches!(status, StoreStatus::Disconnected(_))).await;
    assert!(format!("{status:?}").contains("was removed or replaced"), "{status:?}");
    assert!(add(&store, 1).await.is_err());
    std::fs::rename(directory.path().join("moved.db"), &path).unwrap();
    until_connected(&store).await;
    add(&store, 2).await.unwrap();
}

#[tokio::test]
async fn several_processes_write_to_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    let store = Store::open(StoreOptions::file(&path)).await.unwrap();
    change(&store, "CREATE TABLE counter (n BIGINT NOT NULL)").await.unwrap();
    change(&store, "INSERT INTO counter (n) VALUES (0)").await.unwrap();
    let process = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "files::counts_for_another_process"]).env(SHARED_FILE, &path);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let processes = [process(), process(), process()];
    count(&store).await;
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    let n: i64 = store.read(|db| Box::pin(async move { read_counter(db).await })).await.unwrap();
    assert_eq!(n, 4 * COUNTS);
}

/// No test of its own: what the processes of the test above do, which names the file.
#[tokio::test]
async fn counts_for_another_process() {
    let Some(path) = std::env::var_os(SHARED_FILE) else { return };
    count(&Store::open(StoreOptions::file(path)).await.unwrap()).await;
}

async fn count(store: &Store) {
    for _ in 0..COUNTS {
        change(store, "UPDATE counter SET n = n + 1").await.unwrap();
    }
}

async fn read_counter(db: &mut hubline_store::Connection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("SELECT n FROM counter").fetch_one(&mut *db).await?)
}

/// A disk of 1 MiB; where nobody may mount one, a quota that SQLite itself keeps.
struct SmallDisk {
    directory: tempfile::TempDir,
    is_mounted: bool,
}

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(directory.path()).stderr(Stdio::null());
        let is_mounted = mount.status().is_ok_and(|status| status.success());
        Self { directory, is_mounted }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Takes the room that is left.
    async fn fill(&self, store: &Store) {
        if !self.is_mounted {
            return change(store, "PRAGMA max_page_count = 1").await.unwrap();
        }
        let mut file = std::fs::File::create(self.path().join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    async fn empty(&self, store: &Store) {
        match self.is_mounted {
            true => std::fs::remove_file(self.path().join("filler")).unwrap(),
            false => change(store, "PRAGMA max_page_count = 100000").await.unwrap(),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.is_mounted {
            _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
        }
    }
}

/// A directory with a file of SQLite, neither of which may be written: by their rights or, for root, because the disk may not.
struct ReadOnly {
    disk: SmallDisk,
    name: &'static str,
}

impl ReadOnly {
    async fn around(name: &'static str) -> Self {
        let disk = SmallDisk::mount();
        drop(Store::open(StoreOptions::file(disk.path().join(name))).await.unwrap());
        match disk.is_mounted {
            // Whoever has it open yet keeps it from being so.
            true => while !remount(disk.path()) {},
            false => {
                let rights = std::os::unix::fs::PermissionsExt::from_mode(0o444);
                std::fs::set_permissions(disk.path().join(name), rights).unwrap();
            }
        }
        Self { disk, name }
    }

    fn file(&self) -> std::path::PathBuf {
        self.disk.path().join(self.name)
    }
}

fn remount(path: &Path) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-o", "remount,ro"]).arg(path).stderr(Stdio::null());
    mount.status().is_ok_and(|status| status.success())
}
