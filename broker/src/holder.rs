//! Who holds a directory.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// The process that holds the lock of one of these directories, in words: `process 4711 (highwater)`. `None` if nobody
/// does or the operating system does not say.
pub(crate) fn of_any(directories: &[&str]) -> Option<String> {
    // Linux lists every lock with its process and the file's device and inode.
    let locks = fs::read_to_string("/proc/locks").ok()?;
    directories.iter().find_map(|directory| {
        let file = fs::metadata(Path::new(directory).join(".lock")).ok()?;
        let device = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
        let process = holder(&locks, device, file.ino())?;
        if process == std::process::id() {
            return Some("another part of this process".to_owned());
        }
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        Some(match name.trim() {
            "" => format!("process {process}"),
            name => format!("process {process} ({name})"),
        })
    })
}

/// Finds a file among lines like `1: FLOCK  ADVISORY  WRITE 4711 fe:00:123456 0 EOF`: device numbers are hexadecimal,
/// the inode is decimal.
fn holder(locks: &str, device: (u32, u32), inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(4);
        let process = words.next()?.parse().ok()?;
        let mut place = words.next()?.split(':');
        let major = u32::from_str_radix(place.next()?, 16).ok()?;
        let minor = u32::from_str_radix(place.next()?, 16).ok()?;
        let found = place.next()?.parse::<u64>().ok()?;
        ((major, minor) == device && found == inode).then_some(process)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fe:00:12 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 8 fe:00:12 0 EOF\n\
                     nonsense\n2: FLOCK  ADVISORY  WRITE 4711 fe:10:12 0 EOF\n";
        assert_eq!(holder(locks, (0xfe, 0x10), 12), Some(4711));
        assert_eq!(holder(locks, (0xfe, 0), 12), Some(7));
        assert_eq!(holder(locks, (0xfe, 0), 13), None);
    }

    #[test]
    fn a_lock_of_our_own_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        assert_eq!(of_any(&[path]), None);
        let file = fs::File::create(directory.path().join(".lock")).unwrap();
        file.try_lock().unwrap();
        assert_eq!(of_any(&["/nowhere", path]).as_deref(), Some("another part of this process"));
    }
}
