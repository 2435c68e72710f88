//! Texts that were cut to fit are reported, also where the output shows no tokens.

use connote::Embedding;

use crate::say::say;

/// Counts them.
pub(crate) struct Cut {
    limit: usize,
    count: u64,
}

impl Cut {
    /// Of texts that are cut to so many tokens.
    pub(crate) fn to(limit: usize) -> Self {
        Self { limit, count: 0 }
    }

    pub(crate) fn add(&mut self, embedding: &Embedding) {
        self.count += u64::from(embedding.truncated);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Says on stderr how many of these, such as `texts`, were cut, if there are any.
    pub(crate) fn tell(&self, what: &str) {
        if self.count > 0 {
            say(format_args!(
                "connote: {what} cut to the limit of {} tokens: {}; --truncate error refuses them instead",
                self.limit, self.count
            ));
        }
    }
}
