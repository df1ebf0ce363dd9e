//! `file://`: a directory as a bucket (`docs/format/bucket.md`).

use std::{
    collections::BTreeSet,
    io::{self, IoSlice},
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use highwater_engine::disk::{Disk, DiskFile, DiskLock, Open, read_exact_at};
use highwater_env::{BoxFuture, Env, EnvExt, Lane};
use parking_lot::Mutex;

use super::{Bucket, BucketError, BucketErrorKind, Pieces, Tag, key};

/// Lock files; a key belongs to the one that its digest chooses, so that they do not pile up.
const LOCKS: usize = 64;
/// How often a lock of another process is tried, about 10 s in all.
const LOCK_TRIES: u32 = 400;

/// A directory as a bucket. Many processes may share it.
#[derive(Clone)]
pub struct FileBucket {
    shared: Arc<Shared>,
}

struct Shared {
    env: Arc<dyn Env>,
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Names this process's temporary files.
    process: String,
    temporary: AtomicU64,
    _process_lock: Box<dyn DiskLock>,
    /// One holder of a lock file at a time within the process; the file keeps other processes out.
    locks: Vec<tokio::sync::Mutex<()>>,
    /// Directories whose names are known to be durable.
    durable: Mutex<BTreeSet<PathBuf>>,
}

impl std::fmt::Debug for FileBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileBucket({})", self.shared.root.display())
    }
}

impl FileBucket {
    /// Opens a directory, creating it if missing, and removes what dead processes left in `.tmp`.
    ///
    /// # Errors
    /// [`BucketErrorKind::Unavailable`] when the file system says so.
    pub async fn open(
        env: Arc<dyn Env>,
        disk: Arc<dyn Disk>,
        root: PathBuf,
    ) -> Result<FileBucket, BucketError> {
        let process = format!("{:016x}", env.random());
        let job = {
            let (disk, root, process) = (disk.clone(), root.clone(), process.clone());
            move || prepare(&*disk, &root, &process)
        };
        let lock = match env.run_blocking(Lane::Background, job).await {
            Ok(Ok(lock)) => lock,
            Ok(Err(error)) => return Err(failed(BucketErrorKind::Unavailable, "", error)),
            Err(error) => return Err(failed(BucketErrorKind::Unavailable, "", error)),
        };
        Ok(FileBucket {
            shared: Arc::new(Shared {
                env,
                disk,
                root,
                process,
                temporary: AtomicU64::new(0),
                _process_lock: lock,
                locks: (0..LOCKS).map(|_| tokio::sync::Mutex::new(())).collect(),
                durable: Mutex::new(BTreeSet::new()),
            }),
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        lane: Lane,
        key: &str,
        work: impl FnOnce(&Shared) -> Result<T, BucketError> + Send + 'static,
    ) -> Result<T, BucketError> {
        let shared = self.shared.clone();
        let done = self.shared.env.run_blocking(lane, move || work(&shared)).await;
        // The work may have come anywhere before it panicked.
        done.unwrap_or_else(|error| Err(failed(BucketErrorKind::Unknown, key, error)))
    }

    /// Runs `work` while no other process and no other task of this one changes `key`.
    async fn locked<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Shared) -> Result<T, BucketError> + Send + 'static,
    ) -> Result<T, BucketError> {
        let slot = crate::name::Digest::of(key.as_bytes()).0[0] as usize % LOCKS;
        let _turn = self.shared.locks[slot].lock().await;
        let path = self.shared.root.join(".locks").join(slot.to_string());
        let mut work = Some(work);
        for attempt in 0..LOCK_TRIES {
            let (path, name) = (path.clone(), key.to_owned());
            // The lock is taken, used and released in one piece of blocking work: it is never held across an await.
            let job = work.take();
            let tried = self.blocking(Lane::Background, key, move |shared| {
                let Some(job) = job else {
                    return Err(failed(BucketErrorKind::Unavailable, &name, "locked"));
                };
                match shared.disk.lock(&path) {
                    Ok(_lock) => job(shared).map(Ok),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Err(job)),
                    Err(error) => Err(failed(BucketErrorKind::Unavailable, &name, error)),
                }
            });
            match tried.await? {
                Ok(value) => return Ok(value),
                Err(job) => work = Some(job),
            }
            let spread = self.shared.env.random() % 20;
            self.shared.env.sleep(Duration::from_millis(5 + u64::from(attempt.min(20)) + spread)).await;
        }
        Err(failed(BucketErrorKind::Unavailable, key, "another process holds the key's lock"))
    }

    /// Writes `body` under `key` if the content that is there fulfils `allowed`.
    async fn write_if(
        &self,
        key: &str,
        body: Bytes,
        allowed: impl FnOnce(Option<&Tag>) -> bool + Send + 'static,
    ) -> Result<Tag, BucketError> {
        key::check(key)?;
        let name = key.to_owned();
        self.locked(key, move |shared| {
            let before = |error| failed(BucketErrorKind::Unavailable, &name, error);
            let there = match shared.read_whole(&name) {
                Ok(bytes) => Some(tag_of(&bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(before(error)),
            };
            if !allowed(there.as_ref()) {
                return Err(failed(BucketErrorKind::Precondition, &name, "another version is there"));
            }
            let (path, file) = shared.create_temporary().map_err(before)?;
            let written = file.write_at(&[IoSlice::new(&body)], 0).and_then(|()| file.sync_all());
            written.inspect_err(|_| shared.forget(&path)).map_err(before)?;
            shared.publish(&path, &name)?;
            Ok(tag_of(&body))
        })
        .await
    }
}

impl Shared {
    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    fn read_whole(&self, key: &str) -> io::Result<Bytes> {
        let file = self.disk.open(&self.path(key), Open::Read)?;
        let length = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; length];
        read_exact_at(&*file, &mut bytes, 0)?;
        Ok(bytes.into())
    }

    fn create_temporary(&self) -> io::Result<(PathBuf, Arc<dyn DiskFile>)> {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(".tmp").join(format!("{}-{number}", self.process));
        let file = self.disk.open(&path, Open::CreateNew)?;
        Ok((path, file))
    }

    /// Gives up a temporary file. What cannot be removed now goes when the bucket is next opened.
    fn forget(&self, path: &Path) {
        let _ = self.disk.remove_file(path);
    }

    /// Moves a synced temporary file to its key and makes the name durable.
    fn publish(&self, temporary: &Path, key: &str) -> Result<(), BucketError> {
        let path = self.path(key);
        let made = self.make_parents(key).inspect_err(|_| self.forget(temporary));
        made.map_err(|error| failed(BucketErrorKind::Unavailable, key, error))?;
        let unknown = |error| failed(BucketErrorKind::Unknown, key, error);
        self.disk.rename(temporary, &path).inspect_err(|_| self.forget(temporary)).map_err(unknown)?;
        // From here on the object is there; whether it survives a power cut is not known if this fails.
        let parent = path.parent().unwrap_or(&self.root);
        self.disk.sync_dir(parent).map_err(unknown)
    }

    /// Creates a key's directories, durably.
    fn make_parents(&self, key: &str) -> io::Result<()> {
        let mut parents: Vec<&str> = key.match_indices('/').map(|(at, _)| &key[..at]).collect();
        let known = |parent: &&str| self.durable.lock().contains(Path::new(parent));
        parents.retain(|parent| !known(parent));
        let Some(deepest) = parents.last() else { return Ok(()) };
        self.disk.create_dir_all(&self.path(deepest))?;
        for parent in &parents {
            let above = parent.rsplit_once('/').map_or(self.root.clone(), |(above, _)| self.path(above));
            self.disk.sync_dir(&above)?;
        }
        self.durable.lock().extend(parents.into_iter().map(PathBuf::from));
        Ok(())
    }

    fn list_below(&self, folder: &str, prefix: &str, found: &mut Vec<(String, u64)>) -> io::Result<()> {
        let entries = match self.disk.list(&self.path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            if entry.name.starts_with('.') {
                continue;
            }
            let key = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
            if entry.is_dir {
                let within = format!("{key}/");
                if within.starts_with(prefix) || prefix.starts_with(&within) {
                    self.list_below(&key, prefix, found)?;
                }
            } else if key.starts_with(prefix) {
                match self.disk.open(&self.path(&key), Open::Read).and_then(|file| file.len()) {
                    Ok(length) => found.push((key, length)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Creates the directories of ours, takes this process's lock, and clears up after processes that have died.
fn prepare(disk: &dyn Disk, root: &Path, process: &str) -> io::Result<Box<dyn DiskLock>> {
    let temporary = root.join(".tmp");
    disk.create_dir_all(&temporary)?;
    disk.create_dir_all(&root.join(".locks"))?;
    if let Some(parent) = root.parent() {
        disk.sync_dir(parent)?;
    }
    disk.sync_dir(root)?;
    let lock = disk.lock(&temporary.join(format!("{process}.lock")))?;
    let names: Vec<String> = disk.list(&temporary)?.into_iter().map(|entry| entry.name).collect();
    let owners: BTreeSet<&str> = names.iter().filter_map(|name| name.split(['-', '.']).next()).collect();
    for owner in owners {
        let lock_file = temporary.join(format!("{owner}.lock"));
        // Taken: it lives (or is this process).
        let Ok(_dead) = disk.lock(&lock_file) else { continue };
        for name in names.iter().filter(|name| name.starts_with(&format!("{owner}-"))) {
            let _ = disk.remove_file(&temporary.join(name));
        }
        let _ = disk.remove_file(&lock_file);
    }
    Ok(lock)
}

fn tag_of(bytes: &[u8]) -> Tag {
    Tag(format!("{:?}", crate::name::Digest::of(bytes)))
}

fn failed(kind: BucketErrorKind, key: &str, detail: impl std::fmt::Display) -> BucketError {
    BucketError::new(kind, key, detail)
}

fn read_failed(key: &str, error: &io::Error) -> BucketError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => BucketErrorKind::NotFound,
        _ => BucketErrorKind::Unavailable,
    };
    failed(kind, key, error)
}

impl Bucket for FileBucket {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(Bytes, Tag), BucketError>> {
        Box::pin(async move {
            key::check(key)?;
            let name = key.to_owned();
            let work = move |shared: &Shared| {
                let bytes = shared.read_whole(&name).map_err(|error| read_failed(&name, &error))?;
                let tag = tag_of(&bytes);
                Ok((bytes, tag))
            };
            self.blocking(Lane::ColdRead, key, work).await
        })
    }

    fn get_ranges<'a>(
        &'a self,
        key: &'a str,
        ranges: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<Vec<Bytes>, BucketError>> {
        Box::pin(async move {
            key::check(key)?;
            let (name, ranges) = (key.to_owned(), ranges.to_vec());
            let work = move |shared: &Shared| {
                let answer = || {
                    let file = shared.disk.open(&shared.path(&name), Open::Read)?;
                    let length = file.len()?;
                    let read = |range: &Range<u64>| {
                        // Checked first, so that a wrong range never sizes an allocation.
                        if range.start > range.end || range.end > length {
                            return Err(io::ErrorKind::UnexpectedEof.into());
                        }
                        let mut bytes = vec![0; (range.end - range.start) as usize];
                        read_exact_at(&*file, &mut bytes, range.start)?;
                        Ok(Bytes::from(bytes))
                    };
                    ranges.iter().map(read).collect::<io::Result<Vec<Bytes>>>()
                };
                answer().map_err(|error| read_failed(&name, &error))
            };
            self.blocking(Lane::ColdRead, key, work).await
        })
    }

    fn put_new<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<Tag, BucketError>> {
        Box::pin(self.write_if(key, body, |there| there.is_none()))
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        tag: &'a Tag,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Tag, BucketError>> {
        let tag = tag.clone();
        Box::pin(self.write_if(key, body, move |there| there == Some(&tag)))
    }

    fn put<'a>(&'a self, key: &'a str, pieces: &'a mut dyn Pieces) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            key::check(key)?;
            let before = |name: &str, error| failed(BucketErrorKind::Unavailable, name, error);
            let name = key.to_owned();
            let create =
                move |shared: &Shared| shared.create_temporary().map_err(|error| before(&name, error));
            let (path, file) = self.blocking(Lane::Background, key, create).await?;
            let mut position = 0;
            let written = loop {
                let piece = match pieces.next().await {
                    Ok(Some(piece)) => piece,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(failed(BucketErrorKind::Pieces, key, error)),
                };
                let (file, name, at) = (file.clone(), key.to_owned(), position);
                position += piece.len() as u64;
                let write = move |_: &Shared| {
                    file.write_at(&[IoSlice::new(&piece)], at).map_err(|error| before(&name, error))
                };
                if let Err(error) = self.blocking(Lane::Background, key, write).await {
                    break Err(error);
                }
            };
            let name = key.to_owned();
            let finish = move |shared: &Shared| {
                let synced = written.and_then(|()| file.sync_all().map_err(|error| before(&name, error)));
                synced.inspect_err(|_| shared.forget(&path))?;
                shared.publish(&path, &name)
            };
            self.blocking(Lane::Background, key, finish).await
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            key::check(key)?;
            let name = key.to_owned();
            let work = move |shared: &Shared| {
                let path = shared.path(&name);
                let parent = path.parent().unwrap_or(&shared.root);
                match shared.disk.remove_file(&path) {
                    // A delete that was asked for earlier may not be durable yet, so the directory is synced here too.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        Err(failed(BucketErrorKind::Unavailable, &name, error))
                    }
                    _ => match shared.disk.sync_dir(parent) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            Err(failed(BucketErrorKind::Unknown, &name, error))
                        }
                        _ => Ok(()),
                    },
                }
            };
            self.locked(key, work).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<(String, u64)>, BucketError>> {
        Box::pin(async move {
            let name = prefix.to_owned();
            let work = move |shared: &Shared| {
                let mut found = Vec::new();
                let listed = shared.list_below("", &name, &mut found);
                listed.map_err(|error| failed(BucketErrorKind::Unavailable, &name, error))?;
                found.sort();
                Ok(found)
            };
            self.blocking(Lane::ColdRead, prefix, work).await
        })
    }

    fn describe(&self) -> String {
        format!("file://{}", self.shared.root.display())
    }
}
