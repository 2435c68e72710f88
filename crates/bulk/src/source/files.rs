//! Which files an input means, and what they hold.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{InputFormat, pattern, unreadable};
use crate::{Error, ErrorKind, FileSum};

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// As it was named.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Of its content, in hexadecimal digits.
    pub sha256: String,
}

impl FileIdentity {
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        let FileSum { bytes, sha256 } = FileSum::of(path)?;
        Ok(Self { name: path.display().to_string(), bytes, sha256 })
    }
}

/// How a file stands in its folder: what is equal was not written to in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileState {
    path: PathBuf,
    about: Option<About>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct About {
    bytes: u64,
    modified: Option<SystemTime>,
    /// Which file it is and when anything of it was changed last, which no program can set back.
    #[cfg(unix)]
    node: (u64, u64, i64, i64),
}

impl FileState {
    pub(super) fn of(path: &Path) -> Self {
        let about = std::fs::metadata(path).ok().map(|about| About {
            bytes: about.len(),
            modified: about.modified().ok(),
            #[cfg(unix)]
            node: {
                use std::os::unix::fs::MetadataExt;
                (about.dev(), about.ino(), about.ctime(), about.ctime_nsec())
            },
        });
        Self { path: path.to_owned(), about }
    }

    /// How the same file stands now.
    pub(crate) fn now(&self) -> Self {
        Self::of(&self.path)
    }

    /// Whether the same file was written to, or may have been: a reader met what was there in between.
    pub(crate) fn was_written_to(&self, now: &Self) -> bool {
        match (&self.about, &now.about) {
            (Some(before), Some(now)) => {
                before.is_the_file_of(now) && (before.bytes, before.modified) != (now.bytes, now.modified)
            }
            _ => false,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl About {
    #[cfg(unix)]
    fn is_the_file_of(&self, other: &Self) -> bool {
        (self.node.0, self.node.1) == (other.node.0, other.node.1)
    }

    #[cfg(not(unix))]
    fn is_the_file_of(&self, _: &Self) -> bool {
        true
    }
}

/// One input.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) format: InputFormat,
    /// Its size, of a file.
    pub(super) bytes: Option<u64>,
}

/// Where an input is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Stdin,
    /// A pipe or a device.
    Pipe(PathBuf),
    File(FileState),
}

impl Input {
    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        self.state().map(FileState::path)
    }

    /// How the file stood before it was opened.
    pub(super) fn state(&self) -> Option<&FileState> {
        match &self.place {
            Place::File(state) => Some(state),
            Place::Stdin | Place::Pipe(_) => None,
        }
    }

    /// Its bytes, and a count of those that were taken.
    pub(super) fn open(&self) -> Result<Counted, Error> {
        let from: Box<dyn Read + Send> = match &self.place {
            Place::Stdin => Box::new(io::stdin()),
            Place::Pipe(path) => Box::new(File::open(path).map_err(|error| unreadable(self, &error))?),
            Place::File(_) => Box::new(self.open_file()?),
        };
        Ok(Counted { from, taken: Arc::default(), lines: Arc::default(), first: None })
    }

    /// The file, for formats that are read from their end.
    pub(super) fn open_file(&self) -> Result<File, Error> {
        match &self.place {
            Place::File(state) => File::open(state.path()).map_err(|error| unreadable(self, &error)),
            Place::Stdin | Place::Pipe(_) => Err(Error::new(
                ErrorKind::Usage,
                format_args!("{}: {} is read from files only; name one", self.name, self.format),
            )),
        }
    }
}

/// Counts what is taken.
pub(super) struct Counted {
    from: Box<dyn Read + Send>,
    taken: Arc<AtomicU64>,
    lines: Arc<AtomicU64>,
    /// The first byte of all.
    first: Option<u8>,
}

impl Counted {
    /// How many of the bytes are whole lines.
    pub(super) fn count_of_lines(&self) -> Arc<AtomicU64> {
        self.lines.clone()
    }

    pub(super) fn count(&self) -> Arc<AtomicU64> {
        self.taken.clone()
    }
}

/// Fails where the bytes begin as those of UTF-16 do, and as no text of UTF-8 and no table does.
impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        let before = self.taken.fetch_add(count as u64, Ordering::Relaxed);
        if before < 2 {
            let mut begins = self.first.into_iter().chain(into[..count].iter().copied());
            let first = begins.next();
            if let (Some(0xff), Some(0xfe)) | (Some(0xfe), Some(0xff)) = (first, begins.next()) {
                let what = "it is UTF-16; make it UTF-8 first: iconv -f UTF-16 -t UTF-8 FILE > NEW";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            self.first = first;
        }
        if let Some(end) = into[..count].iter().rposition(|byte| *byte == b'\n') {
            self.lines.store(before + end as u64 + 1, Ordering::Relaxed);
        }
        Ok(count)
    }
}

/// Files, patterns and `-` as inputs.
pub(super) fn expand(names: &[PathBuf], format: Option<InputFormat>) -> Result<Vec<Input>, Error> {
    let mut inputs = Vec::new();
    for path in names {
        if path.as_os_str() == "-" {
            if inputs.iter().any(|input: &Input| matches!(input.place, Place::Stdin)) {
                return Err(Error::new(ErrorKind::Usage, "standard input (`-`) can be read only once"));
            }
            let format = format.unwrap_or(InputFormat::Lines);
            inputs.push(Input {
                name: "standard input".to_owned(),
                place: Place::Stdin,
                format,
                bytes: None,
            });
            continue;
        }
        let name = path.display();
        // A file of just this name is meant, whatever a pattern would make of it.
        if path.exists() || !path.to_string_lossy().contains(['*', '?', '[']) {
            inputs.push(input(path, format)?);
            continue;
        }
        let before = inputs.len();
        for path in pattern::matching(path)? {
            if !path.is_dir() {
                inputs.push(input(&path, format)?);
            }
        }
        if inputs.len() == before {
            return Err(Error::new(ErrorKind::Input, format_args!("{name}: there is no such file")));
        }
    }
    Ok(inputs)
}

fn input(path: &Path, format: Option<InputFormat>) -> Result<Input, Error> {
    let name = path.display().to_string();
    let about = std::fs::metadata(path).map_err(|error| Error::reading(path, &error))?;
    if about.is_dir() {
        return Err(Error::new(
            ErrorKind::Input,
            format_args!("{name}: is a folder; name a file of texts, or a pattern such as '{name}/*.csv'"),
        ));
    }
    let format = format.map_or_else(|| format_of(path), Ok)?;
    let (place, bytes) = match about.is_file() {
        true => (Place::File(FileState::of(path)), Some(about.len())),
        false => (Place::Pipe(path.to_owned()), None),
    };
    Ok(Input { name, place, format, bytes })
}

fn format_of(path: &Path) -> Result<InputFormat, Error> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("").to_ascii_lowercase();
    match ending.as_str() {
        "jsonl" | "ndjson" => Ok(InputFormat::Jsonl),
        "csv" => Ok(InputFormat::Csv),
        "tsv" | "tab" => Ok(InputFormat::Tsv),
        "parquet" | "pq" => Ok(InputFormat::Parquet),
        "arrow" | "feather" | "ipc" | "arrows" => Ok(InputFormat::Arrow),
        "gz" | "bz2" | "xz" | "zst" => Err(compressed(path, &ending)),
        "json" | "npy" | "zip" | "xlsx" | "pdf" => Err(Error::new(
            ErrorKind::Usage,
            format_args!(
                "{}: files ending in .{ending} cannot be read; give lines of text, JSONL, CSV, TSV, Parquet or Arrow (or say which it is with --input-format)",
                path.display()
            ),
        )),
        _ => Ok(InputFormat::Lines),
    }
}

/// Says how a compressed file can be read all the same.
fn compressed(path: &Path, ending: &str) -> Error {
    let unpack = match ending {
        "gz" => "gzip",
        "bz2" => "bzip2",
        "zst" => "zstd",
        other => other,
    };
    let name = path.display();
    let message = match format_of(&path.with_extension("")) {
        Ok(format) if format != InputFormat::Parquet => format!(
            "{name}: is compressed; unpack it, or read it through a pipe: {unpack} -dc {name} | connote embed --input-format {format}"
        ),
        _ => format!("{name}: is compressed; unpack it with {unpack} -d"),
    };
    Error::new(ErrorKind::Usage, message)
}
