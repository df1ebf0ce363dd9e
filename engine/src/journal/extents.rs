//! The files of a journal: made in advance, used again.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::frame::BLOCK;
use crate::disk::{Disk, DiskFile, Open};

/// One file of a journal.
#[derive(Debug)]
pub(super) struct Extent {
    number: u32,
    pub(super) file: Arc<dyn DiskFile>,
    /// Its place among all that were ever used.
    pub(super) sequence: u64,
}

/// The files of a journal, by what they hold.
#[derive(Debug)]
pub(super) struct Extents {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Bytes of each.
    pub(super) bytes: u64,
    max: u32,
    /// Full ones, oldest first.
    used: VecDeque<Extent>,
    current: Option<Extent>,
    free: Vec<Extent>,
    /// How many there are, and the number of the next one.
    made: u32,
}

/// Which extents may be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// All but the last one.
    Any,
    /// Also the last one: only for what frees others at once. Anything else in it, however small, could leave a full
    /// journal without the room for the group that empties it.
    Reserve,
}

/// Why the next extent cannot be begun now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// Others have to be free first.
    Full,
    /// It has to be made, by a [`Spare`].
    Unmade,
}

/// An extent that is to be made. It waits for syncs, and needs no lock for it.
pub(super) struct Spare {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    number: u32,
    bytes: u64,
}

impl Extents {
    pub(super) fn new(disk: Arc<dyn Disk>, root: PathBuf, bytes: u64, max: u32) -> Extents {
        Extents { disk, root, bytes, max, used: VecDeque::new(), current: None, free: Vec::new(), made: 0 }
    }

    pub(super) fn current(&self) -> Option<&Extent> {
        self.current.as_ref()
    }

    /// The sequence of the extent that is being written; 0 before the first.
    pub(super) fn sequence(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.sequence)
    }

    /// Whether so many hundredths of the room are taken, or more.
    pub(super) fn is_taken(&self, hundredths: u32) -> bool {
        (self.used.len() as u64 + 1) * 100 >= u64::from(self.max) * u64::from(hundredths)
    }

    /// Whether the next extent can be begun by whoever comes.
    pub(super) fn has_free(&self) -> bool {
        self.free.len() as u32 + self.max.saturating_sub(self.made) > 1
    }

    /// Goes on to the next extent.
    pub(super) fn advance(&mut self, room: Room) -> Result<(), Lack> {
        let any = !self.free.is_empty() || self.made < self.max;
        if !(self.has_free() || room == Room::Reserve && any) {
            return Err(Lack::Full);
        }
        let Some(mut next) = self.free.pop() else { return Err(Lack::Unmade) };
        next.sequence = self.sequence() + 1;
        self.used.extend(self.current.replace(next));
        Ok(())
    }

    /// Nothing below this sequence is needed any more.
    pub(super) fn release_below(&mut self, oldest: u64) {
        while self.used.front().is_some_and(|extent| extent.sequence < oldest) {
            self.free.extend(self.used.pop_front());
        }
    }

    /// Whether none is free, and there may be one more.
    pub(super) fn lacks_spare(&self) -> bool {
        self.free.is_empty() && self.made < self.max
    }

    /// What makes the next extent, where it is lacking. One at a time.
    pub(super) fn spare(&self) -> Option<Spare> {
        self.lacks_spare().then(|| Spare {
            disk: self.disk.clone(),
            root: self.root.clone(),
            number: self.made + 1,
            bytes: self.bytes,
        })
    }

    /// Takes what a [`Spare`] has made.
    pub(super) fn add(&mut self, extent: Extent) {
        self.made = extent.number;
        self.free.push(extent);
    }

    /// Removes the files: what may be needed least first, the one that is being written last.
    pub(super) fn remove_all(&mut self) -> io::Result<()> {
        for extent in self.free.drain(..).chain(self.used.drain(..)) {
            self.disk.remove_file(&self.root.join(extent_name(extent.number)))?;
        }
        if let Some(current) = self.current.take() {
            // Were an older one to outlive the newest, a replay would take it for the end.
            self.disk.sync_dir(&self.root)?;
            self.disk.remove_file(&self.root.join(extent_name(current.number)))?;
        }
        self.made = 0;
        self.disk.sync_dir(&self.root)
    }
}

impl Spare {
    /// Makes it.
    ///
    /// # Errors
    /// The disk's; nothing is left of it then.
    pub(super) fn make(self) -> io::Result<Extent> {
        let path = self.root.join(extent_name(self.number));
        if let Err(error) = write_zeros(&*self.disk, &path, self.bytes) {
            // Half an extent is no use, and on a full disk the room is.
            let _ = self.disk.remove_file(&path);
            return Err(error);
        }
        self.disk.sync_dir(&self.root)?;
        let file = self.disk.open(&path, Open::Through)?;
        Ok(Extent { number: self.number, file, sequence: 0 })
    }
}

/// Bytes of an extent that are made at once: groups that are written meanwhile wait for no more than that.
const PIECE: usize = 512 << 10;

/// Written, not only reserved: a write into reserved space still changes metadata.
fn write_zeros(disk: &dyn Disk, path: &Path, bytes: u64) -> io::Result<()> {
    let file = disk.open(path, Open::Create)?;
    file.set_len(0)?;
    let zeros = vec![0; PIECE.min(bytes as usize)];
    let mut position = 0;
    while position < bytes {
        let len = (bytes - position).min(zeros.len() as u64);
        file.write_at(&[IoSlice::new(&zeros[..len as usize])], position)?;
        position += len;
        if position < bytes {
            file.sync_data()?;
        }
    }
    file.sync_all()
}

const PREFIX: &str = "highwater-";
const SUFFIX: &str = ".journal";

pub(super) fn extent_name(number: u32) -> String {
    format!("{PREFIX}{number:06}{SUFFIX}")
}

/// Whether a file's name is that of an extent.
pub(crate) fn is_extent(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
        .is_some_and(|number| number.len() == 6 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

const _: () = assert!(BLOCK == 4096, "the format page says so");
