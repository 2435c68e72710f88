//! What lies beside a file whose texts come as they come.

use std::fs::File;
use std::io::{self, Seek};
use std::path::PathBuf;

use bulk::{Beside, FailedRows, FileSum, OutputFormat, Results, Row, SinkOptions};

use super::{Place, Task};
use crate::aside::follow_links;
use crate::failure::Failure;

/// Collects what lies beside an output.
pub(super) struct Listing {
    output: PathBuf,
    /// What the vectors are, and how they are written.
    sink: SinkOptions,
    rows: u64,
    /// Rows that failed, once there are any. The file has no name: however the run ends, nothing of it stays.
    failed: Option<FailedRows<File>>,
}

impl Listing {
    /// For a file of vectors; other outputs have nothing beside them.
    pub(super) fn begin(
        task: &Task<'_>,
        place: &Place,
        format: Option<OutputFormat>,
    ) -> Result<Option<Self>, Failure> {
        let (Place::File(path), Some(format)) = (place, format) else { return Ok(None) };
        let output = follow_links(path).map_err(|error| Failure::writing(path.display(), &error))?;
        Ok(Some(Self { output, sink: task.sink(format)?, rows: 0, failed: None }))
    }

    /// These rows were written.
    pub(super) fn add(&mut self, rows: &[Row], results: &Results) -> Result<(), Failure> {
        self.rows += rows.len() as u64;
        for (row, result) in rows.iter().zip(results) {
            let Err(error) = result else { continue };
            let list = match &mut self.failed {
                Some(list) => list,
                // Where there must be room for it in the end.
                None => {
                    let file = tempfile::tempfile_in(files::folder_of(&self.output)).map_err(of_list)?;
                    self.failed.insert(FailedRows::new(file))
                }
            };
            list.add(row, error).map_err(of_list)?;
        }
        Ok(())
    }

    /// Of an output that is on the disk, has this sum and so many rows of another space than it names, and gets its name by `name`.
    pub(super) fn write(
        self,
        sum: &FileSum,
        other_spaces: u64,
        name: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Beside, Failure> {
        let list = self.failed.map(|failed| {
            let mut list = failed.finish()?;
            list.rewind()?;
            Ok(list)
        });
        let list = list.transpose().map_err(of_list)?.map(Ok);
        let description = self.sink.description(sum, other_spaces);
        Beside::write(&self.output, self.sink.format, description.as_deref(), self.rows, list, name)
    }
}

fn of_list(error: io::Error) -> Failure {
    Failure::writing("the list of rows that failed, a temporary file", &error)
}
