//! JSONL and CSV: a line a row, of which a part can be cut anywhere.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use arrow_json::writer::EncoderOptions;
use connote::Embedding;
use connote::jsonl::RowError;
use index::Precision;
use serde::Serialize;

use super::carried::{self, Column};
use super::{OutputFormat, SCALE, SinkOptions, encode, not_written, open_part, other_part};
use crate::encoded::Encoded;
use crate::error::{Error, ErrorKind};
use crate::file_sum::{FileSum, Summing};
use crate::rows::{Answered, Row};
use crate::text_form::all_as_written;

/// Rows with their vectors as lines, wherever these go.
pub struct LineEncoder {
    options: SinkOptions,
    header: Vec<u8>,
    /// `"name":` of each carried column.
    keys: Vec<Vec<u8>>,
    encoding: EncoderOptions,
    encoded: Encoded,
}

impl LineEncoder {
    /// For [`OutputFormat::Jsonl`] and [`OutputFormat::Csv`].
    ///
    /// # Errors
    /// If the options make no sense ([`SinkOptions::check`]), or the format is none of lines.
    pub fn create(options: &SinkOptions) -> Result<Self, Error> {
        options.check()?;
        if !matches!(options.format, OutputFormat::Jsonl | OutputFormat::Csv) {
            let message = format_args!("{} is written to a file, not line by line; name one", options.format);
            return Err(Error::new(ErrorKind::Usage, message));
        }
        let carried = options.schema.fields().iter().skip(1);
        let keys = carried.map(|field| Ok([&serde_json::to_vec(field.name())?[..], b":"].concat()));
        Ok(Self {
            options: options.clone(),
            header: header(options)?,
            keys: keys.collect::<serde_json::Result<_>>().map_err(not_written)?,
            encoding: carried::encoding(),
            encoded: Encoded::new(options.precision),
        })
    }

    /// What comes before all rows: a line with the names of the columns, or nothing.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Appends a line for each row.
    ///
    /// # Errors
    /// If a vector is not of the space or does not fit the precision.
    pub fn encode(&mut self, rows: &Answered<'_>, into: &mut Vec<u8>) -> Result<(), Error> {
        rows.check()?;
        let Self { options, keys, encoding, encoded, .. } = self;
        let carried = all_as_written(&rows.chunk.carried).map_err(not_written)?;
        let mut columns = carried::columns(&carried, encoding).map_err(not_written)?;
        if columns.len() != keys.len() {
            return Err(not_written(format_args!(
                "{} columns where {} were told",
                columns.len(),
                keys.len()
            )));
        }
        for (place, (row, result)) in rows.chunk.rows.iter().zip(rows.results).enumerate() {
            encoded.clear();
            if let Ok(embedding) = result {
                encode(row, embedding, options, encoded)?;
            }
            let vectors =
                Vectors { encoded, dimensions: options.space.dimensions, per_token: options.per_token };
            match options.format {
                OutputFormat::Csv => write_csv(into, place, row, &mut columns, result, &vectors),
                _ => write_json(into, place, row, keys, &mut columns, result, &vectors),
            }
            .map_err(not_written)?;
        }
        Ok(())
    }
}

/// Writes one part of lines.
pub(super) struct LinesWriter {
    out: BufWriter<Summing<File>>,
    encoder: LineEncoder,
    lines: Vec<u8>,
}

impl LinesWriter {
    pub(super) fn create(file: File, options: &SinkOptions) -> Result<Self, Error> {
        let encoder = LineEncoder::create(options)?;
        let mut out = BufWriter::with_capacity(1 << 16, Summing::new(file));
        out.write_all(encoder.header()).map_err(not_written)?;
        Ok(Self { out, encoder, lines: Vec::new() })
    }

    pub(super) fn write(&mut self, rows: &Answered<'_>) -> Result<(), Error> {
        self.lines.clear();
        self.encoder.encode(rows, &mut self.lines)?;
        self.out.write_all(&self.lines).map_err(not_written)
    }

    pub(super) fn finish(self) -> Result<(File, FileSum), Error> {
        Ok(self.out.into_inner().map_err(|error| not_written(error.error()))?.finish())
    }
}

/// The line before all rows, if the format has one.
fn header(options: &SinkOptions) -> Result<Vec<u8>, Error> {
    if options.format != OutputFormat::Csv {
        return Ok(Vec::new());
    }
    let scale = (options.precision == Precision::Int8).then_some(SCALE);
    let carried = options.schema.fields().iter().skip(1).map(|field| field.name().as_str());
    let own = ["tokens", "truncated"].into_iter().chain(scale).chain(["error", "embedding"]);
    csv_line(["id"].into_iter().chain(carried).chain(own)).map_err(not_written)
}

/// Parts one after another; what each begins with stands only once.
pub(super) fn assemble(
    options: &SinkOptions,
    parts: &[PathBuf],
    into: File,
) -> Result<(File, FileSum), Error> {
    let mut out = BufWriter::with_capacity(1 << 16, Summing::new(into));
    let header = header(options)?;
    out.write_all(&header).map_err(not_written)?;
    for part in parts {
        let mut rows = BufReader::new(open_part(part)?);
        let mut begins = Vec::with_capacity(header.len());
        let reading = |error: io::Error| Error::reading(part, &error);
        Read::take(&mut rows, header.len() as u64).read_to_end(&mut begins).map_err(reading)?;
        if begins != header {
            return Err(other_part(part, "it has other columns"));
        }
        copy(&mut rows, &mut out).map_err(|error| match error {
            Copying::Reading(error) => reading(error),
            Copying::Writing(error) => not_written(error),
        })?;
    }
    Ok(out.into_inner().map_err(|error| not_written(error.error()))?.finish())
}

/// Which side of a copy failed.
pub(super) enum Copying {
    Reading(io::Error),
    Writing(io::Error),
}

/// As [`io::copy`], which does not say which side failed.
pub(super) fn copy(from: &mut impl Read, to: &mut impl Write) -> Result<u64, Copying> {
    let mut buffer = vec![0; 1 << 16];
    let mut copied = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Copying::Reading(error)),
        };
        to.write_all(&buffer[..count]).map_err(Copying::Writing)?;
        copied += count as u64;
    }
}

/// The form of `connote::jsonl::write`, with the carried columns after the id.
fn write_json(
    line: &mut Vec<u8>,
    place: usize,
    row: &Row,
    keys: &[Vec<u8>],
    columns: &mut [Column<'_>],
    result: &Result<Embedding, RowError>,
    vectors: &Vectors<'_>,
) -> io::Result<()> {
    line.extend_from_slice(b"{\"id\":");
    line.extend_from_slice(row.id.get().as_bytes());
    for (key, column) in keys.iter().zip(columns) {
        line.push(b',');
        line.extend_from_slice(key);
        column.write(place, line);
    }
    match result {
        Ok(embedding) => {
            write!(line, ",\"tokens\":{},\"truncated\":{},", embedding.tokens, embedding.truncated)?;
            if let Some(scales) = vectors.scales() {
                line.extend_from_slice(b"\"scale\":");
                write_scales(line, scales, vectors.per_token)?;
                line.push(b',');
            }
            line.extend_from_slice(b"\"embedding\":");
            vectors.write(line)?;
        }
        Err(RowError { kind, message }) => {
            line.extend_from_slice(b",\"error\":");
            serde_json::to_writer(&mut *line, &Why { kind, message })?;
        }
    }
    line.extend_from_slice(b"}\n");
    Ok(())
}

#[derive(Serialize)]
struct Why<'a> {
    kind: &'a str,
    message: &'a str,
}

fn write_csv(
    line: &mut Vec<u8>,
    place: usize,
    row: &Row,
    columns: &mut [Column<'_>],
    result: &Result<Embedding, RowError>,
    vectors: &Vectors<'_>,
) -> io::Result<()> {
    let mut cells = vec![cell(row.id.get().as_bytes().to_vec())];
    for column in columns {
        let mut json = Vec::new();
        column.write(place, &mut json);
        cells.push(cell(json));
    }
    let is_int8 = matches!(vectors.encoded, Encoded::Int8 { .. });
    match result {
        Ok(embedding) => {
            cells.extend([embedding.tokens.to_string().into(), embedding.truncated.to_string().into()]);
            if let Some(scales) = vectors.scales() {
                let mut scale = Vec::new();
                write_scales(&mut scale, scales, vectors.per_token)?;
                cells.push(scale);
            }
            let mut array = Vec::new();
            vectors.write(&mut array)?;
            cells.extend([Vec::new(), array]);
        }
        Err(error) => {
            cells.extend(std::iter::repeat_n(Vec::new(), 2 + usize::from(is_int8)));
            cells.extend([format!("{}: {}", error.kind, error.message).into_bytes(), Vec::new()]);
        }
    }
    line.extend(csv_line(cells)?);
    Ok(())
}

/// JSON as a cell: strings as they are, null as nothing, all else as JSON.
fn cell(json: Vec<u8>) -> Vec<u8> {
    match json.first() {
        Some(b'"') => serde_json::from_slice::<String>(&json).map_or(json, String::into_bytes),
        Some(b'n') => Vec::new(),
        _ => json,
    }
}

fn csv_line(cells: impl IntoIterator<Item = impl AsRef<[u8]>>) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// The vector, or the vectors, of one row.
struct Vectors<'a> {
    encoded: &'a Encoded,
    dimensions: usize,
    per_token: bool,
}

impl Vectors<'_> {
    fn scales(&self) -> Option<&[f32]> {
        match self.encoded {
            Encoded::Int8 { scales, .. } => Some(scales),
            _ => None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        match self.encoded {
            Encoded::F32(values) => self.write_list(out, values, self.dimensions),
            Encoded::F16(values) => {
                let values: Vec<f32> = values.iter().map(|value| value.to_f32()).collect();
                self.write_list(out, &values, self.dimensions)
            }
            Encoded::Int8 { values, .. } => self.write_list(out, values, self.dimensions),
            Encoded::Bits(bytes) => self.write_list(out, bytes, self.dimensions.div_ceil(8)),
        }
    }

    /// `values` as an array, or with vectors per token an array of arrays of `width`.
    fn write_list<T: Serialize>(&self, out: &mut Vec<u8>, values: &[T], width: usize) -> io::Result<()> {
        let written = match self.per_token {
            false => serde_json::to_writer(out, values),
            true => serde_json::to_writer(out, &values.chunks(width).collect::<Vec<_>>()),
        };
        Ok(written?)
    }
}

/// The number, or with vectors per token an array of them.
fn write_scales(out: &mut Vec<u8>, scales: &[f32], per_token: bool) -> io::Result<()> {
    let written = match scales {
        [scale] if !per_token => serde_json::to_writer(out, scale),
        _ => serde_json::to_writer(out, scales),
    };
    Ok(written?)
}
