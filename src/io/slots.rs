//! A table whose keys carry a generation. Knows that a key of a removed entry finds nothing, even
//! when its place has been filled again.

/// A place in a table and which of its tenants is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
pub(super) struct Slots<T> {
    entries: Vec<Entry<T>>,
    vacant: Vec<u32>,
    capacity: usize,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    /// The capacity must leave an index 24 bits.
    pub(super) const fn new(capacity: usize) -> Self {
        Self { entries: Vec::new(), vacant: Vec::new(), capacity }
    }

    /// `None` when the table is full; the value is dropped.
    pub(super) fn insert(&mut self, value: T) -> Option<Key> {
        if let Some(index) = self.vacant.pop() {
            let entry = self.entries.get_mut(index as usize)?;
            entry.value = Some(value);
            return Some(Key { index, generation: entry.generation });
        }
        if self.entries.len() >= self.capacity {
            return None;
        }
        let index = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(Entry { generation: 0, value: Some(value) });
        Some(Key { index, generation: 0 })
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.vacant.push(key.index);
        Some(value)
    }

    pub(super) fn at_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation == key.generation { entry.value.as_mut() } else { None }
    }

    pub(super) fn at(&self, key: Key) -> Option<&T> {
        let entry = self.entries.get(key.index as usize)?;
        if entry.generation == key.generation { entry.value.as_ref() } else { None }
    }

    pub(super) const fn len(&self) -> usize {
        self.entries.len() - self.vacant.len()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.entries.iter_mut().enumerate().filter_map(|(index, entry)| {
            let key = Key { index: u32::try_from(index).ok()?, generation: entry.generation };
            entry.value.as_mut().map(|value| (key, value))
        })
    }
}

impl Key {
    /// The key and one byte of the caller's, in the 64 bits that the kernel carries for us.
    pub(super) const fn pack(self, tag: u8) -> u64 {
        (tag as u64) << 56 | (self.index as u64 & INDEX_MASK) << 32 | self.generation as u64
    }

    pub(super) const fn unpack(bits: u64) -> (u8, Self) {
        let index = (bits >> 32 & INDEX_MASK) as u32;
        ((bits >> 56) as u8, Self { index, generation: bits as u32 })
    }
}

const INDEX_MASK: u64 = (1 << 24) - 1;

#[cfg(test)]
mod tests;
