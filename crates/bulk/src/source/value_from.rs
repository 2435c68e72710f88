//! Where a value is that a row may have beside its text.

/// Where ids, titles or tasks are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ValueFrom {
    /// Where they are by custom, if they are there.
    #[default]
    Custom,
    /// In this column.
    Column(String),
    /// Nowhere: what stands where they are by custom is something else, and left alone.
    Nowhere,
}

impl ValueFrom {
    /// The column that was named.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Column(name) => Some(name),
            Self::Custom | Self::Nowhere => None,
        }
    }

    /// The column that was named, else the customary one.
    pub(super) fn or_custom<'a>(&'a self, custom: &'a str) -> Option<&'a str> {
        match self {
            Self::Custom => Some(custom),
            Self::Column(name) => Some(name),
            Self::Nowhere => None,
        }
    }
}
