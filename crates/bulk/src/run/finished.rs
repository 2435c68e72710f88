//! A folder of parts as the result of a run.

use std::path::{Path, PathBuf};

use super::folder;
use super::manifest::Manifest;
use super::part;
use crate::{Error, ErrorKind};

/// The parts in `folder`, in their order: those that its manifest has; none if it has no manifest, and whatever lies in it is of
/// no run.
///
/// # Errors
/// If the run in it did not come to its end, a part is damaged, or something cannot be read.
pub fn finished_parts(folder: &Path) -> Result<Option<Vec<PathBuf>>, Error> {
    let Some(manifest) = Manifest::read(folder)? else { return Ok(None) };
    let refused = |why: String| {
        let folder = folder.display();
        let again = "run the same `connote embed` on this folder again, which computes what is left";
        Error::new(ErrorKind::Mismatch, format_args!("{folder}: {why}; {again}"))
    };
    let plan = &manifest.plan;
    let extension = plan.sink.format.name();
    let rows = manifest.rows.ok_or_else(|| refused("the end of the input was not reached".to_owned()))?;
    let here = |number: &u64| plan.shard.is_none_or(|shard| shard.has(*number));
    let mut parts = Vec::new();
    for number in (0..part::count(rows, plan.part_rows)).filter(here) {
        let record = manifest.parts.iter().find(|record| record.number == number);
        let record = record.ok_or_else(|| refused(format!("part {number} is missing")))?;
        if !folder::is_whole(folder, record, extension)? {
            return Err(refused(format!("part {number} is damaged")));
        }
        parts.push(folder.join(part::file_name(number, extension)));
    }
    Ok(Some(parts))
}
