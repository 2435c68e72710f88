//! Whether the models' files are still what was opened.
//!
//! They are mapped, not copied: who writes into one changes the vectors of a server that has it, and who cuts it short ends that
//! server. A file that another took the place of stays what it was for who has it, so only changes in place are looked for.

use std::fs::{self, Metadata};
use std::path::PathBuf;

use crate::models::Models;

/// Files, as they were when a service began.
pub(crate) struct Opened(Vec<(PathBuf, Metadata)>);

impl Opened {
    pub(crate) fn of(models: &Models) -> Self {
        let shards = models.all().iter().flat_map(|served| served.embedder.model().gguf().shards());
        let paths = shards.filter_map(|shard| shard.path());
        Self(paths.filter_map(|path| Some((path.to_owned(), fs::metadata(path).ok()?))).collect())
    }

    /// The first that was changed in place, and what follows from that.
    pub(crate) fn changed(&self) -> Option<String> {
        let changed = |(path, then): &&(PathBuf, Metadata)| {
            fs::metadata(path).is_ok_and(|now| is_same_file(&now, then) && !is_as_it_was(&now, then))
        };
        let (path, _) = self.0.iter().find(changed)?;
        Some(format!(
            "the model's file {} was changed in place while it was served, so vectors may be wrong; start the server again, and \
             replace files by renaming others into their place",
            path.display()
        ))
    }
}

#[cfg(unix)]
fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Elsewhere a file cannot be told from another of its name, and one that is mapped is mostly not written to.
#[cfg(not(unix))]
fn is_same_file(_: &Metadata, _: &Metadata) -> bool {
    false
}

fn is_as_it_was(now: &Metadata, then: &Metadata) -> bool {
    now.len() == then.len() && now.modified().ok() == then.modified().ok()
}
