//! Rows of `f32` with a stride: a whole matrix, or a few columns of a wider one (one head of many).

/// `count` rows of `width` values, each `stride` after the one before.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    count: usize,
    width: usize,
    stride: usize,
}

fn check(len: usize, count: usize, width: usize, stride: usize) {
    assert!(width <= stride, "rows of {width} values overlap at a stride of {stride}");
    // Checked: a sum that wraps would pass, and the tiles trust these rows.
    let needed = match count.checked_sub(1) {
        None => Some(0),
        Some(before) => before.checked_mul(stride).and_then(|start| start.checked_add(width)),
    };
    assert!(
        needed.is_some_and(|needed| needed <= len),
        "{count} rows of {width} at stride {stride} reach past {len} values"
    );
}

impl<'a> Rows<'a> {
    /// Rows laid one after the other.
    pub fn new(data: &'a [f32], width: usize) -> Self {
        assert!(
            width > 0 && data.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            data.len()
        );
        Self { data, count: data.len() / width, width, stride: width }
    }

    /// Rows inside wider ones. `data` starts at the first value of the first row.
    pub fn strided(data: &'a [f32], count: usize, width: usize, stride: usize) -> Self {
        check(data.len(), count, width, stride);
        Self { data, count, width, stride }
    }

    /// How many rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Values a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// One row.
    pub fn row(&self, index: usize) -> &'a [f32] {
        assert!(index < self.count, "row {index} of {}", self.count);
        &self.data[index * self.stride..][..self.width]
    }

    /// The values from row `first` on, with the stride: what a tile kernel reads.
    pub(crate) fn from(&self, first: usize) -> (&'a [f32], usize) {
        (&self.data[first * self.stride..], self.stride)
    }
}

/// As [`Rows`], to write to.
#[derive(Debug)]
pub struct RowsMut<'a> {
    data: &'a mut [f32],
    count: usize,
    width: usize,
    stride: usize,
}

impl<'a> RowsMut<'a> {
    /// Rows laid one after the other.
    pub fn new(data: &'a mut [f32], width: usize) -> Self {
        assert!(
            width > 0 && data.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            data.len()
        );
        Self { count: data.len() / width, data, width, stride: width }
    }

    /// Rows inside wider ones. `data` starts at the first value of the first row.
    pub fn strided(data: &'a mut [f32], count: usize, width: usize, stride: usize) -> Self {
        check(data.len(), count, width, stride);
        Self { data, count, width, stride }
    }

    /// How many rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Values a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// One row.
    pub fn row(&mut self, index: usize) -> &mut [f32] {
        assert!(index < self.count, "row {index} of {}", self.count);
        &mut self.data[index * self.stride..][..self.width]
    }
}
