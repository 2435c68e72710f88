//! A file that is whole only at its end, for texts that come as they come.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;

use bulk::{
    Chunk, OutputFormat, Results, SinkOptions, description_path, row_numbers_path, write_row_numbers,
};

use super::Place;
use crate::aside::Aside;
use crate::failure::Failure;
use crate::say::say;

/// Where the file is written, and where it goes.
pub(super) struct Spool {
    to: To,
    options: SinkOptions,
    rows: u64,
    /// Numbers of the rows that have no vector, for the format that leaves them out.
    failed: Vec<u64>,
}

enum To {
    /// A file, under its name when it is complete.
    Aside(Aside),
    /// A copy of a file without a name: what the format is written to must be a file, whatever this is.
    Copy(Box<dyn Write>, String),
}

impl Spool {
    /// A file to write to.
    pub(super) fn create(place: &Place, options: &SinkOptions) -> Result<(Self, File), Failure> {
        let copied = |to: Box<dyn Write>, name: String| {
            let file = tempfile::tempfile().map_err(|error| Failure::writing("a temporary file", &error));
            file.map(|file| (To::Copy(to, name), file))
        };
        let (to, file) = match place {
            Place::Stdout => copied(Box::new(io::stdout()), "standard output".to_owned())?,
            Place::Device(path) => {
                let name = path.display().to_string();
                copied(Box::new(File::create(path).map_err(|error| Failure::writing(&name, &error))?), name)?
            }
            Place::File(path) | Place::Folder(path) => {
                let (aside, file) = Aside::create(path)?;
                (To::Aside(aside), file)
            }
        };
        Ok((Self { to, options: options.clone(), rows: 0, failed: Vec::new() }, file))
    }

    /// These rows were written.
    pub(super) fn add(&mut self, chunk: &Chunk, results: &Results) {
        self.rows += chunk.rows.len() as u64;
        if self.options.format == OutputFormat::Npy {
            let failed = chunk.rows.iter().zip(results).filter(|(_, result)| result.is_err());
            self.failed.extend(failed.map(|(row, _)| row.number));
        }
    }

    /// The file is complete.
    pub(super) fn finish(mut self, mut file: File) -> Result<(), Failure> {
        match std::mem::replace(&mut self.to, To::Copy(Box::new(io::sink()), String::new())) {
            To::Copy(mut to, name) => {
                let copied =
                    file.rewind().and_then(|()| io::copy(&mut file, &mut to)).and_then(|_| to.flush());
                copied.map_err(|error| Failure::writing(&name, &error))?;
                if !self.failed.is_empty() {
                    say(format_args!(
                        "connote: {} rows failed and are not in the npy output",
                        self.failed.len()
                    ));
                }
            }
            To::Aside(aside) => {
                self.write_beside(aside.target())?;
                aside.complete()?;
            }
        }
        Ok(())
    }

    fn write_beside(&self, target: &Path) -> Result<(), Failure> {
        let written = |path: &Path, error: &io::Error| Failure::writing(path.display(), error);
        if let Some(description) = self.options.description() {
            let path = description_path(target);
            std::fs::write(&path, description).map_err(|error| written(&path, &error))?;
        }
        if !self.failed.is_empty() {
            let path = row_numbers_path(target);
            let file = File::create(&path).map_err(|error| written(&path, &error))?;
            let mut failed = self.failed.iter().map(|row| Ok(*row));
            write_row_numbers(file, self.rows, &mut failed, self.failed.len() as u64)?;
            say(format_args!(
                "connote: {} rows failed and are not in it; {} has the numbers of those that are",
                self.failed.len(),
                path.display()
            ));
        }
        Ok(())
    }
}
