//! Files of texts in, files of vectors out: for hours, interrupted at any moment, finished exactly once.
//!
//! Files of any format become [`Chunk`]s of rows (`source`), which get their vectors and become files of any format
//! (`sink`), in parts that are committed one by one (`run`).
#![forbid(unsafe_code)]

mod decoding;
mod encoded;
mod error;
mod file_sum;
mod numbers;
mod rows;
mod run;
mod sink;
mod source;
mod space;
mod spaces;
mod stored;
mod text_form;
mod uuids;

pub use error::{Error, ErrorKind};
pub use file_sum::{FileSum, Summing};
pub use index::{Precision, Space};
pub use numbers::is_exact_as_float;
pub use rows::{Answered, Chunk, Place, Row};
pub use run::{
    Answering, Beside, CpuShare, DEFAULT_PART_ROWS, Destination, FailedRows, FinishedPart, FinishedRun, Job,
    Merge, Observer, PART_ROWS_STEP, PartRecord, Plan, Results, Shard, Summary, finished_part, finished_run,
    lowest_priority, run,
};
pub use sink::{LineEncoder, OutputFormat, PartWriter, SinkOptions, assemble, write_row_numbers};
pub use source::{
    Delimiter, FileIdentity, InputFormat, Progress, Quotes, Source, SourceOptions, Template, TextFrom,
    ValueFrom,
};
pub use space::{DESCRIPTION_KEY, Description, OTHER_SPACES_KEY, Scale, description_path, row_numbers_path};
pub use spaces::Spaces;
pub use stored::{Stored, StoredChunk, Vectors, read_description};
pub use text_form::{has_text_form, to_text};
