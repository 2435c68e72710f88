//! Sets of logical CPUs, in the kernel's list form (`0-3,8,10-11`).

use std::fmt;

/// Ids from here on do not exist: Linux is built for at most 8192 CPUs. Keeps a list such as `0-4294967295`
/// from asking for memory.
pub const MAX_CPUS: usize = 1 << 16;

/// A set of logical CPUs, by the system's ids.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct CpuSet {
    /// Bit `id % 64` of word `id / 64`; the last word is not zero.
    words: Vec<u64>,
}

impl CpuSet {
    /// The CPUs `0..count`.
    pub fn first(count: usize) -> Self {
        (0..count.min(MAX_CPUS)).collect()
    }

    /// Reads the kernel's list form, as in `Cpus_allowed_list` and `cpulist`: ids and ranges `a-b`, optionally
    /// `a-b:used/group`, between commas. An empty list is the empty set. `None` if it is anything else, or names
    /// an id of [`MAX_CPUS`] or above.
    pub fn parse(list: &str) -> Option<Self> {
        let mut set = Self::default();
        let list = list.trim();
        if list.is_empty() {
            return Some(set);
        }
        for item in list.split(',') {
            let (range, stride) = match item.split_once(':') {
                Some((range, stride)) => (range, Some(stride)),
                None => (item, None),
            };
            let (first, last) = match range.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(range)?, number(range)?),
            };
            let (used, group) = match stride.map(|stride| stride.split_once('/')) {
                None => (1, 1),
                Some(pair) => pair.and_then(|(used, group)| Some((number(used)?, number(group)?)))?,
            };
            if last < first || last >= MAX_CPUS || group == 0 {
                return None;
            }
            for id in (first..=last).filter(|id| (id - first) % group < used) {
                set.insert(id);
            }
        }
        Some(set)
    }

    /// Adds a CPU; nothing happens for an id of [`MAX_CPUS`] or above, which no CPU has.
    pub fn insert(&mut self, id: usize) {
        if id >= MAX_CPUS {
            return;
        }
        if self.words.len() <= id / 64 {
            self.words.resize(id / 64 + 1, 0);
        }
        self.words[id / 64] |= 1 << (id % 64);
    }

    /// Whether the CPU is in the set.
    pub fn contains(&self, id: usize) -> bool {
        self.words.get(id / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// Number of CPUs.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.words.len() * 64).filter(|&id| self.contains(id))
    }

    /// The CPUs that are in both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.iter().filter(|&id| other.contains(id)).collect()
    }
}

fn number(digits: &str) -> Option<usize> {
    digits.trim().parse().ok()
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(ids: I) -> Self {
        let mut set = Self::default();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

/// The kernel's list form.
impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = ids.next() {
            let mut last = first;
            while let Some(next) = ids.next_if_eq(&(last + 1)) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_of_the_kernel() {
        for (list, ids) in [
            ("", vec![]),
            ("0\n", vec![0]),
            ("0-1", vec![0, 1]),
            ("0-2,64,130-131\n", vec![0, 1, 2, 64, 130, 131]),
            ("0-9:1/4", vec![0, 4, 8]),
            ("0-7:2/4", vec![0, 1, 4, 5]),
        ] {
            let set = CpuSet::parse(list).unwrap_or_else(|| panic!("{list:?}"));
            assert_eq!(set.iter().collect::<Vec<_>>(), ids, "{list:?}");
            assert_eq!(set.len(), ids.len());
        }
    }

    #[test]
    fn what_is_no_list() {
        for list in
            ["a", "1-", "-1", "3-1", "1,,2", "0-4294967295", "65536", "0-3:1/0", "0-3:1", "1 2", "0x3"]
        {
            assert_eq!(CpuSet::parse(list), None, "{list:?}");
        }
    }

    #[test]
    fn absurd_ids_cost_nothing() {
        let mut set = CpuSet::default();
        set.insert(usize::MAX);
        assert!(set.is_empty() && !set.contains(usize::MAX));
        assert_eq!(CpuSet::first(usize::MAX).len(), MAX_CPUS);
    }

    proptest! {
        #[test]
        fn display_is_read_back(ids in prop::collection::btree_set(0usize..300, 0..60)) {
            let set: CpuSet = ids.iter().copied().collect();
            prop_assert_eq!(CpuSet::parse(&set.to_string()), Some(set.clone()));
            prop_assert!(set.iter().eq(ids.iter().copied()));
        }

        #[test]
        fn any_text_is_a_list_or_not(text in "[0-9,:/ -]{0,40}") {
            if let Some(set) = CpuSet::parse(&text) {
                prop_assert!(set.iter().all(|id| id < MAX_CPUS));
            }
        }
    }
}
