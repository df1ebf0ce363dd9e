//! Where the demo keeps things, and how much lies there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::DemoError;

/// A directory of the demo's own.
pub(super) struct Places {
    root: PathBuf,
}

/// What lies in the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BucketUsage {
    /// Bytes of all objects.
    pub(super) bytes: u64,
    /// All objects.
    pub(super) objects: u64,
    /// Those that are segments.
    pub(super) segments: u64,
}

impl Places {
    pub(super) fn create() -> Result<Places, DemoError> {
        let root = std::env::temp_dir().join(format!("highwater-demo-{}", std::process::id()));
        // One that exists belongs to somebody else, or to a demo that failed and left it for inspection.
        fs::create_dir(&root).map_err(|source| DemoError::File { path: root.clone(), source })?;
        Ok(Places { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub(super) fn bucket(&self) -> PathBuf {
        self.root.join("bucket")
    }

    pub(super) fn broker_log(&self) -> PathBuf {
        self.root.join("broker.log")
    }

    /// Bytes of records in local segments.
    pub(super) fn local_bytes(&self) -> Result<u64, DemoError> {
        let mut bytes = 0;
        walk(&self.data(), &mut |path, length| {
            if path.extension().is_some_and(|extension| extension == "log") {
                bytes += length;
            }
        })?;
        Ok(bytes)
    }

    pub(super) fn bucket_usage(&self) -> Result<BucketUsage, DemoError> {
        let segments = self.bucket().join("segments");
        let mut usage = BucketUsage::default();
        walk(&self.bucket(), &mut |path, length| {
            usage.bytes += length;
            usage.objects += 1;
            usage.segments += u64::from(path.starts_with(&segments));
        })?;
        Ok(usage)
    }

    pub(super) fn remove(self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            eprintln!("{} could not be removed: {error}", self.root.display());
        }
    }
}

/// Visits the files below `directory` whose names do not begin with a dot. Files and directories that go away
/// meanwhile are not there.
fn walk(directory: &Path, visit: &mut dyn FnMut(&Path, u64)) -> Result<(), DemoError> {
    let failed = |source| DemoError::File { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(metadata) if metadata.is_dir() => walk(&entry.path(), visit)?,
            Ok(metadata) => visit(&entry.path(), metadata.len()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_counts_objects_and_tells_segments_apart() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places { root: directory.path().to_owned() };
        assert_eq!(places.bucket_usage().unwrap(), BucketUsage::default());
        let put = |path: &str, bytes: usize| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![0; bytes]).unwrap();
        };
        put("bucket/owner", 10);
        put("bucket/heads/t/0", 20);
        put("bucket/segments/t/0/00", 300);
        put("bucket/.tmp/1", 4000);
        put("data/t-0/00.log", 5);
        put("data/t-0/00.index", 50);
        let usage = places.bucket_usage().unwrap();
        assert_eq!(usage, BucketUsage { bytes: 330, objects: 3, segments: 1 });
        assert_eq!(places.local_bytes().unwrap(), 5);
    }
}
