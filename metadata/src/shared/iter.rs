//! Going through a map in order.

use super::map::Node;
use alloc::vec::Vec;
use core::slice;

/// The entries of a map, in the order of keys.
pub struct Iter<'a, K, V> {
    /// What is left of each branch on the way to the leaf.
    above: Vec<slice::Iter<'a, (K, Node<K, V>)>>,
    leaf: slice::Iter<'a, (K, V)>,
}

impl<'a, K, V> Iter<'a, K, V> {
    pub(super) fn new(root: &'a Node<K, V>) -> Iter<'a, K, V> {
        match root {
            Node::Leaf(entries) => Iter { above: Vec::new(), leaf: entries.iter() },
            Node::Branch(children) => Iter { above: Vec::from([children.iter()]), leaf: [].iter() },
        }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<(&'a K, &'a V)> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                return Some((key, value));
            }
            match self.above.last_mut()?.next() {
                None => drop(self.above.pop()),
                Some((_, Node::Branch(children))) => self.above.push(children.iter()),
                Some((_, Node::Leaf(entries))) => self.leaf = entries.iter(),
            }
        }
    }
}
