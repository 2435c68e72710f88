//! A list of names without duplicates, found by index or by name.

/// Names in file order. They are copies: 4 bytes each beside the text, in three allocations altogether.
///
/// Looked up by bisection over a sorted index: as fast as hashing for the few thousand names of a model, and
/// no choice of names makes it slow.
#[derive(Debug, Default)]
pub(crate) struct Names {
    text: String,
    ends: Vec<u32>,
    sorted: Vec<u32>,
}

impl Names {
    /// `None` when more than 4 GB of names or 2^32 names would have to be kept.
    pub(crate) fn push(&mut self, name: &str) -> Option<()> {
        let end = u32::try_from(self.text.len() + name.len()).ok()?;
        u32::try_from(self.ends.len() + 1).ok()?;
        self.text.push_str(name);
        self.ends.push(end);
        Some(())
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// # Panics
    /// If there is no such name.
    pub(crate) fn get(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start as usize..self.ends[index] as usize]
    }

    /// Makes names findable, after the last was pushed; gives the indexes of two that are the same.
    pub(crate) fn index(&mut self) -> Result<(), (usize, usize)> {
        let mut sorted: Vec<u32> = (0..self.ends.len() as u32).collect();
        sorted.sort_unstable_by(|&a, &b| self.get(a as usize).cmp(self.get(b as usize)));
        let same = sorted.windows(2).find(|pair| self.get(pair[0] as usize) == self.get(pair[1] as usize));
        if let Some(pair) = same {
            let (a, b) = (pair[0] as usize, pair[1] as usize);
            return Err((a.min(b), a.max(b)));
        }
        self.sorted = sorted;
        Ok(())
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let found = self.sorted.binary_search_by(|&index| self.get(index as usize).cmp(name)).ok()?;
        Some(self.sorted[found] as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Names {
        let mut names = Names::default();
        list.iter().for_each(|name| names.push(name).expect("few names"));
        names
    }

    #[test]
    fn found_by_name_and_index() {
        let mut list = names(&["b", "", "ab", "é"]);
        list.index().expect("no duplicates");
        for index in 0..list.len() {
            assert_eq!(list.find(list.get(index)), Some(index));
        }
        assert_eq!(list.find("a"), None);
        assert_eq!(Names::default().find(""), None);
    }

    #[test]
    fn duplicates_are_reported() {
        assert_eq!(names(&["c", "a", "b", "a"]).index(), Err((1, 3)));
    }
}
