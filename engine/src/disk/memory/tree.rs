//! Names and contents, each as a reader sees it now and as the media has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use super::Loss;

const SECTOR: usize = 512;

/// Identifies a file or directory, whatever its name.
pub(super) type NodeId = u64;

#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next_id: NodeId,
}

#[derive(Clone, Debug)]
enum Node {
    File(Content),
    Directory(Directory),
}

#[derive(Clone, Debug, Default)]
struct Directory {
    names: BTreeMap<String, NodeId>,
    durable_names: BTreeMap<String, NodeId>,
    /// Changes since the names were last synced, oldest first; a power cut keeps any subset.
    unsynced: Vec<NameChange>,
}

#[derive(Clone, Debug)]
struct NameChange {
    removed: Option<String>,
    added: Option<(String, NodeId)>,
}

const ROOT: NodeId = 0;

impl Default for Tree {
    fn default() -> Tree {
        Tree { nodes: BTreeMap::from([(ROOT, Node::Directory(Directory::default()))]), next_id: 1 }
    }
}

impl Tree {
    pub(super) fn file(&self, path: &Path) -> io::Result<NodeId> {
        let id = self.find(path)?;
        match self.nodes.get(&id) {
            Some(Node::File(_)) => Ok(id),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// The content of a file that was opened; files outlive their names while they are open.
    pub(super) fn content(&self, file: NodeId) -> &Content {
        match &self.nodes[&file] {
            Node::File(content) => content,
            Node::Directory(_) => unreachable!("ids of directories are never opened"),
        }
    }

    pub(super) fn content_mut(&mut self, file: NodeId) -> &mut Content {
        match self.nodes.get_mut(&file) {
            Some(Node::File(content)) => content,
            _ => unreachable!("ids of directories are never opened"),
        }
    }

    pub(super) fn create_file(&mut self, path: &Path, now_ms: i64) -> io::Result<NodeId> {
        let content = Content { modified_ms: now_ms, ..Content::default() };
        self.create(path, Node::File(content))
    }

    pub(super) fn create_directories(&mut self, path: &Path) -> io::Result<()> {
        let mut id = ROOT;
        for name in names(path.to_str().ok_or(io::ErrorKind::InvalidInput)?) {
            let name = name?;
            id = match self.directory(id)?.names.get(name) {
                Some(known) => *known,
                None => self.add(id, name.to_owned(), Node::Directory(Directory::default()))?,
            };
        }
        self.directory(id).map(drop)
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        let directory = self.directory(self.find(path)?)?;
        let is_directory = |id: &NodeId| matches!(self.nodes[id], Node::Directory(_));
        Ok(directory.names.iter().map(|(name, id)| (name.clone(), is_directory(id))).collect())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_parent, from_name) = self.split(from)?;
        let (to_parent, to_name) = self.split(to)?;
        let id = self.named(from_parent, &from_name)?;
        if let Ok(target) = self.named(to_parent, &to_name) {
            if target == id {
                return Ok(());
            }
            if matches!(self.nodes[&target], Node::Directory(_)) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
        }
        if from_parent == to_parent {
            self.change(from_parent, NameChange { removed: Some(from_name), added: Some((to_name, id)) })
        } else {
            // Two directories are two changes: a power cut may keep one of them.
            self.change(to_parent, NameChange { removed: None, added: Some((to_name, id)) })?;
            self.change(from_parent, NameChange { removed: Some(from_name), added: None })
        }
    }

    pub(super) fn remove(&mut self, path: &Path, directory: bool) -> io::Result<()> {
        let (parent, name) = self.split(path)?;
        let id = self.named(parent, &name)?;
        match &self.nodes[&id] {
            Node::Directory(_) if !directory => return Err(io::ErrorKind::IsADirectory.into()),
            Node::File(_) if directory => return Err(io::ErrorKind::NotADirectory.into()),
            Node::Directory(content) if !content.names.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        self.change(parent, NameChange { removed: Some(name), added: None })
    }

    pub(super) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path)?;
        self.directory_mut(id)?.sync();
        Ok(())
    }

    pub(super) fn vandalize(&mut self, path: &Path) -> io::Result<()> {
        self.remove(path, false)?;
        let (parent, _) = self.split(path)?;
        self.directory_mut(parent)?.sync();
        Ok(())
    }

    pub(super) fn bytes_used(&self) -> u64 {
        let len = |id: &NodeId| match &self.nodes[id] {
            Node::File(content) => content.bytes().len() as u64,
            Node::Directory(_) => 0,
        };
        self.reachable().iter().map(len).sum()
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut open) = (Vec::new(), vec![(PathBuf::from("/"), ROOT)]);
        while let Some((path, id)) = open.pop() {
            match &self.nodes[&id] {
                Node::File(_) => files.push(path),
                Node::Directory(directory) => {
                    open.extend(directory.names.iter().map(|(name, child)| (path.join(name), *child)));
                }
            }
        }
        files.sort();
        files
    }

    pub(super) fn crash(&mut self, loss: Loss) {
        let mut coin = Coin::new(loss);
        for node in self.nodes.values_mut() {
            match node {
                Node::File(content) => content.crash(&mut coin),
                Node::Directory(directory) => directory.crash(&mut coin),
            }
        }
        let reachable: BTreeSet<NodeId> = self.reachable().into_iter().collect();
        self.nodes.retain(|id, _| *id == ROOT || reachable.contains(id));
    }

    /// Everything that has a name, once for each name.
    fn reachable(&self) -> Vec<NodeId> {
        let (mut found, mut next) = (Vec::new(), 0);
        let mut directory = ROOT;
        loop {
            if let Node::Directory(content) = &self.nodes[&directory] {
                found.extend(content.names.values());
            }
            let Some(id) = found.get(next) else { return found };
            directory = *id;
            next += 1;
        }
    }

    fn create(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let (parent, name) = self.split(path)?;
        self.add(parent, name, node)
    }

    fn add(&mut self, parent: NodeId, name: String, node: Node) -> io::Result<NodeId> {
        let id = self.next_id;
        self.next_id += 1;
        self.nodes.insert(id, node);
        self.change(parent, NameChange { removed: None, added: Some((name, id)) })?;
        Ok(id)
    }

    fn change(&mut self, directory: NodeId, change: NameChange) -> io::Result<()> {
        let directory = self.directory_mut(directory)?;
        change.apply(&mut directory.names);
        directory.unsynced.push(change);
        Ok(())
    }

    fn find(&self, path: &Path) -> io::Result<NodeId> {
        match path.to_str() {
            Some(path) => self.walk(names(path)),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn walk<'a>(&self, names: impl Iterator<Item = io::Result<&'a str>>) -> io::Result<NodeId> {
        let mut id = ROOT;
        for name in names {
            id = self.named(id, name?)?;
        }
        Ok(id)
    }

    fn named(&self, directory: NodeId, name: &str) -> io::Result<NodeId> {
        Ok(*self.directory(directory)?.names.get(name).ok_or(io::ErrorKind::NotFound)?)
    }

    fn split(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let path = path.to_str().ok_or(io::ErrorKind::InvalidInput)?.trim_end_matches('/');
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = names(name).next().ok_or(io::ErrorKind::InvalidInput)??;
        let parent = self.walk(names(parent))?;
        self.directory(parent)?;
        Ok((parent, name.to_owned()))
    }

    fn directory(&self, id: NodeId) -> io::Result<&Directory> {
        match self.nodes.get(&id) {
            Some(Node::Directory(directory)) => Ok(directory),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn directory_mut(&mut self, id: NodeId) -> io::Result<&mut Directory> {
        match self.nodes.get_mut(&id) {
            Some(Node::Directory(directory)) => Ok(directory),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }
}

impl Directory {
    /// What is durable and the changes since make what is there.
    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable_names);
        }
    }

    fn crash(&mut self, coin: &mut Coin) {
        for change in self.unsynced.drain(..) {
            if coin.keeps() {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, NodeId>) {
        if let Some(name) = &self.removed {
            names.remove(name);
        }
        if let Some((name, id)) = &self.added {
            names.insert(name.clone(), *id);
        }
    }
}

/// A set of sectors, as ranges that neither meet nor touch: files are written at their ends, mostly.
#[derive(Clone, Debug, Default)]
struct Sectors {
    /// Where each range begins, and ends (exclusive).
    ranges: BTreeMap<usize, usize>,
}

impl Sectors {
    fn contains(&self, sector: usize) -> bool {
        self.ranges.range(..=sector).next_back().is_some_and(|(_, end)| sector < *end)
    }

    fn insert(&mut self, new: Range<usize>) {
        if new.is_empty() {
            return;
        }
        let (mut start, mut end) = (new.start, new.end);
        // From the last one that begins at or before the end of the new one, backwards as long as they meet.
        while let Some((from, to)) = self.ranges.range(..=end).next_back().map(|(from, to)| (*from, *to)) {
            if to < start {
                break;
            }
            self.ranges.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.ranges.insert(start, end);
    }

    fn remove(&mut self, gone: &Range<usize>) {
        while let Some((from, to)) = self.ranges.range(..gone.end).next_back().map(|(from, to)| (*from, *to))
        {
            if to <= gone.start {
                return;
            }
            self.ranges.remove(&from);
            if to > gone.end {
                self.ranges.insert(gone.end, to);
            }
            if from < gone.start {
                self.ranges.insert(from, gone.start);
                return;
            }
        }
    }

    fn take(&mut self) -> impl Iterator<Item = Range<usize>> + use<> {
        std::mem::take(&mut self.ranges).into_iter().map(|(start, end)| start..end)
    }
}

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that differ from the media and that the next sync writes.
    dirty: Sectors,
    /// Sectors that a failed sync gave up: they look written, and no later sync writes them.
    abandoned: Sectors,
    pub(super) modified_ms: i64,
}

impl Content {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn write(&mut self, bytes: &[u8], position: usize) {
        if bytes.is_empty() {
            return;
        }
        let (len, end) = (self.bytes.len(), position + bytes.len());
        self.bytes.resize(len.max(position), 0);
        // Most writes are at the end: what they bring is not written twice.
        let (within, beyond) = bytes.split_at((self.bytes.len() - position).min(bytes.len()));
        self.bytes[position..position + within.len()].copy_from_slice(within);
        self.bytes.extend_from_slice(beyond);
        self.touch(len.min(position), end);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let (low, high) = (len.min(self.bytes.len()), len.max(self.bytes.len()));
        self.bytes.resize(len, 0);
        self.touch(low, high);
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.bytes.len(), 0);
        for sectors in self.dirty.take() {
            let to = (sectors.end * SECTOR).min(self.bytes.len());
            let from = (sectors.start * SECTOR).min(to);
            self.durable[from..to].copy_from_slice(&self.bytes[from..to]);
        }
    }

    /// These bytes only, as a write past the page cache does.
    pub(super) fn sync_range(&mut self, bytes: Range<usize>) {
        self.durable.resize(self.durable.len().max(bytes.end), 0);
        self.durable[bytes.clone()].copy_from_slice(&self.bytes[bytes.clone()]);
        self.dirty.remove(&sectors(&bytes));
    }

    /// Such a write failed.
    pub(super) fn fail_range(&mut self, bytes: Range<usize>) {
        let sectors = sectors(&bytes);
        self.dirty.remove(&sectors);
        self.abandoned.insert(sectors);
    }

    /// A sync that failed: the kernel reports it once and calls the pages clean.
    pub(super) fn fail_sync(&mut self) {
        for sectors in self.dirty.take() {
            self.abandoned.insert(sectors);
        }
    }

    /// Flips bits of a byte that is synced; whether it is.
    pub(super) fn rot(&mut self, position: usize, bits: u8) -> bool {
        let sector = position / SECTOR;
        let is_synced = position < self.bytes.len().min(self.durable.len())
            && !self.dirty.contains(sector)
            && !self.abandoned.contains(sector);
        if is_synced {
            self.bytes[position] ^= bits;
            self.durable[position] ^= bits;
        }
        is_synced
    }

    pub(super) fn overwrite(&mut self, bytes: &[u8]) {
        self.bytes = bytes.to_vec();
        self.durable = bytes.to_vec();
        self.dirty = Sectors::default();
        self.abandoned = Sectors::default();
    }

    fn touch(&mut self, from: usize, to: usize) {
        let sectors = sectors(&(from..to));
        self.abandoned.remove(&sectors);
        self.dirty.insert(sectors);
    }

    fn crash(&mut self, coin: &mut Coin) {
        let len = coin.length(self.durable.len(), self.bytes.len());
        let mut kept = vec![0; len];
        for sector in 0..len.div_ceil(SECTOR) {
            let unsynced = self.dirty.contains(sector) || self.abandoned.contains(sector);
            let source = if unsynced && coin.keeps() { &self.bytes } else { &self.durable };
            let from = sector * SECTOR;
            let to = (from + SECTOR).min(len).min(source.len());
            if from < to {
                kept[from..to].copy_from_slice(&source[from..to]);
            }
        }
        self.overwrite(&kept);
    }
}

fn sectors(bytes: &Range<usize>) -> Range<usize> {
    bytes.start / SECTOR..bytes.end.div_ceil(SECTOR)
}

/// Decides what of the unsynced survives.
struct Coin {
    loss: Loss,
    state: u64,
}

impl Coin {
    fn new(loss: Loss) -> Coin {
        Coin { loss, state: if let Loss::Seeded(seed) = loss { seed } else { 0 } }
    }

    fn keeps(&mut self) -> bool {
        match self.loss {
            Loss::Everything => false,
            Loss::Nothing => true,
            Loss::Seeded(_) => self.next() & 1 == 0,
        }
    }

    /// A length between what the media has and what was asked for.
    fn length(&mut self, durable: usize, current: usize) -> usize {
        match self.loss {
            Loss::Everything => durable,
            Loss::Nothing => current,
            Loss::Seeded(_) if durable == current => current,
            Loss::Seeded(_) => match self.next() % 4 {
                0 => durable,
                1 => current,
                _ => {
                    let (low, high) = (durable.min(current), durable.max(current));
                    low + (self.next() % (high - low + 1) as u64) as usize
                }
            },
        }
    }

    /// SplitMix64: small, seeded, good enough to choose what is lost.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A path's names below the root; a relative path starts at the root too.
fn names(path: &str) -> impl Iterator<Item = io::Result<&str>> {
    path.split('/').filter(|name| !matches!(*name, "" | ".")).map(|name| match name {
        ".." => Err(io::ErrorKind::InvalidInput.into()),
        name => Ok(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_a_set_holds() {
        let (mut sectors, mut set) = (Sectors::default(), BTreeSet::new());
        let mut coin = Coin::new(Loss::Seeded(7));
        for _ in 0..4_000 {
            let from = (coin.next() % 40) as usize;
            let range = from..from + (coin.next() % 9) as usize;
            if coin.keeps() {
                sectors.insert(range.clone());
                set.extend(range);
            } else {
                sectors.remove(&range);
                set.retain(|sector| !range.contains(sector));
            }
            for sector in 0..50 {
                assert_eq!(sectors.contains(sector), set.contains(&sector), "{sector} of {sectors:?}");
            }
        }
        let all: Vec<usize> = sectors.take().flatten().collect();
        assert_eq!(all, set.into_iter().collect::<Vec<_>>());
        assert!(!sectors.contains(3) && sectors.take().next().is_none());
    }
}
