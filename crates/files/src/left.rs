//! What processes left that were killed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use crate::folder_of;

/// What stands before and behind the number of an unfinished file.
pub(crate) const BEFORE: &str = ".connote-";
pub(crate) const BEHIND: &str = ".part";

/// The age of a file that was left, where several machines may write the same one: not all file systems show each the locks of the others,
/// and who is at work writes all the time.
pub const SHARED: Duration = Duration::from_secs(60);

/// Removes what killed processes left of `target`, if it has not been written to for so long. Whoever is at work on one holds a lock; its
/// number would say nothing of another container or machine. Where there are no locks it stays.
pub fn clear_left(target: &Path, age: Duration) {
    let Some(name) = target.file_name() else { return };
    for entry in fs::read_dir(folder_of(target)).into_iter().flatten().flatten() {
        // To open a pipe would be to wait.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !is_unfinished(&entry.file_name(), name) {
            continue;
        }
        let path = entry.path();
        if let Ok(file) = OpenOptions::new().read(true).write(true).open(&path)
            && is_older(&file, age)
            && file.try_lock().is_ok()
        {
            // What cannot be removed lies there as before.
            let _ = fs::remove_file(&path);
        }
    }
}

fn is_older(file: &File, age: Duration) -> bool {
    let modified = file.metadata().and_then(|about| about.modified());
    modified.is_ok_and(|time| time.elapsed().unwrap_or_default() >= age)
}

/// Whether an unfinished file of this name is on its way to `target`.
fn is_unfinished(name: &OsStr, target: &OsStr) -> bool {
    let rest = name.as_encoded_bytes().strip_prefix(target.as_encoded_bytes());
    let number = rest.and_then(|rest| rest.strip_prefix(BEFORE.as_bytes())?.strip_suffix(BEHIND.as_bytes()));
    number.is_some_and(|number| {
        number.first().is_some_and(u8::is_ascii_digit)
            && number.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
    })
}
