//! An ordered map, as a B-tree of shared nodes.

use super::Iter;
use alloc::{sync::Arc, vec, vec::Vec};
use core::{borrow::Borrow, fmt, mem};

/// Most entries of a node. A change copies one node per level: 100,000 entries have four.
const WIDTH: usize = 32;

/// An ordered map. Copies share their nodes; a change copies the nodes between the root and the entry, as far as another
/// copy still has them.
pub struct SharedMap<K, V> {
    root: Node<K, V>,
    len: usize,
}

/// No node below the root is empty, and none has more than [`WIDTH`] entries.
pub(super) enum Node<K, V> {
    Leaf(Arc<Vec<(K, V)>>),
    /// Each child with the least key in it.
    Branch(Arc<Vec<(K, Node<K, V>)>>),
}

impl<K, V> SharedMap<K, V> {
    /// A map without entries.
    pub fn new() -> SharedMap<K, V> {
        SharedMap { root: Node::empty(), len: 0 }
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every entry, in the order of keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::new(&self.root)
    }

    /// Every value, in the order of keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(entries) => {
                    let at = find(entries, key).ok()?;
                    return entries.get(at).map(|(_, value)| value);
                }
                Node::Branch(children) => node = &children[child_of(children, key)].1,
            }
        }
    }

    /// Whether there is such a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if !self.contains_key(key) {
            // Nothing is copied for nothing.
            return None;
        }
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Leaf(entries) => {
                    let at = find(entries, key).ok()?;
                    return Arc::make_mut(entries).get_mut(at).map(|(_, value)| value);
                }
                Node::Branch(children) => {
                    let at = child_of(children, key);
                    node = &mut Arc::make_mut(children)[at].1;
                }
            }
        }
    }

    /// Sets the value of a key; the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (before, right) = self.root.insert(key, value);
        self.len += usize::from(before.is_none());
        if let Some(right) = right {
            let left = mem::replace(&mut self.root, Node::empty());
            let least = right.least().clone();
            self.root = Node::Branch(Arc::new(vec![(left.least().clone(), left), (least, right)]));
        }
        before
    }

    /// Removes a key; the value it had.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if !self.contains_key(key) {
            return None;
        }
        let removed = self.root.remove(key)?;
        self.len -= 1;
        while let Node::Branch(children) = &self.root
            && let [(_, only)] = &children[..]
        {
            self.root = only.clone();
        }
        Some(removed)
    }
}

impl<K, V> Node<K, V> {
    fn empty() -> Node<K, V> {
        Node::Leaf(Arc::new(Vec::new()))
    }

    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Branch(children) => children.len(),
        }
    }

    /// The least key.
    ///
    /// # Panics
    /// If the node is empty, which only a root is.
    fn least(&self) -> &K {
        match self {
            Node::Leaf(entries) => &entries[0].0,
            Node::Branch(children) => &children[0].0,
        }
    }
}

impl<K: Ord + Clone, V: Clone> Node<K, V> {
    /// The value that the key had, and the right half of this node if it had to be halved.
    fn insert(&mut self, key: K, value: V) -> (Option<V>, Option<Node<K, V>>) {
        match self {
            Node::Leaf(entries) => {
                let entries = Arc::make_mut(entries);
                match find(entries, &key) {
                    Ok(at) => (Some(mem::replace(&mut entries[at].1, value)), None),
                    Err(at) => {
                        entries.insert(at, (key, value));
                        (None, half(entries).map(|right| Node::Leaf(Arc::new(right))))
                    }
                }
            }
            Node::Branch(children) => {
                let children = Arc::make_mut(children);
                let at = child_of(children, &key);
                if key < children[at].0 {
                    children[at].0 = key.clone();
                }
                let (before, right) = children[at].1.insert(key, value);
                if let Some(right) = right {
                    children.insert(at + 1, (right.least().clone(), right));
                }
                (before, half(children).map(|right| Node::Branch(Arc::new(right))))
            }
        }
    }

    fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        match self {
            Node::Leaf(entries) => {
                let at = find(entries, key).ok()?;
                Some(Arc::make_mut(entries).remove(at).1)
            }
            Node::Branch(children) => {
                let children = Arc::make_mut(children);
                let at = child_of(children, key);
                let removed = children[at].1.remove(key)?;
                if children[at].1.len() == 0 {
                    children.remove(at);
                    return Some(removed);
                }
                children[at].0 = children[at].1.least().clone();
                let left = if at + 1 < children.len() { at } else { at.saturating_sub(1) };
                let right = (left + 2).min(children.len());
                if let [(_, one), (_, other)] = &mut children[left..right]
                    && one.len() + other.len() <= WIDTH / 2
                {
                    one.join(other);
                    children.remove(left + 1);
                }
                Some(removed)
            }
        }
    }

    /// Takes over what a neighbour of the same level has.
    fn join(&mut self, right: &Node<K, V>) {
        match (self, right) {
            (Node::Leaf(left), Node::Leaf(right)) => Arc::make_mut(left).extend(right.iter().cloned()),
            (Node::Branch(left), Node::Branch(right)) => Arc::make_mut(left).extend(right.iter().cloned()),
            _ => unreachable!("all leaves are equally deep"),
        }
    }
}

fn find<K: Borrow<Q>, V, Q: Ord + ?Sized>(entries: &[(K, V)], key: &Q) -> Result<usize, usize> {
    entries.binary_search_by(|(other, _)| other.borrow().cmp(key))
}

/// The child in which the key is, if it is anywhere.
fn child_of<K: Borrow<Q>, V, Q: Ord + ?Sized>(children: &[(K, Node<K, V>)], key: &Q) -> usize {
    children.partition_point(|(least, _)| least.borrow() <= key).saturating_sub(1)
}

/// The right half of what has grown too wide.
fn half<T>(entries: &mut Vec<T>) -> Option<Vec<T>> {
    (entries.len() > WIDTH).then(|| entries.split_off(entries.len() / 2))
}

impl<K, V> Clone for Node<K, V> {
    fn clone(&self) -> Node<K, V> {
        match self {
            Node::Leaf(entries) => Node::Leaf(entries.clone()),
            Node::Branch(children) => Node::Branch(children.clone()),
        }
    }
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> SharedMap<K, V> {
        SharedMap { root: self.root.clone(), len: self.len }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> SharedMap<K, V> {
        SharedMap::new()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &SharedMap<K, V>) -> bool {
        let same = match (&self.root, &other.root) {
            (Node::Leaf(one), Node::Leaf(other)) => Arc::ptr_eq(one, other),
            (Node::Branch(one), Node::Branch(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        same || (self.len == other.len && self.iter().eq(other.iter()))
    }
}

impl<K: Eq, V: Eq> Eq for SharedMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
