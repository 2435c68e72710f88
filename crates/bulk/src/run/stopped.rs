//! Runs that are stopped before every single change that they make: parts, their joining, the tidying. Whenever that is, what lies
//! there is true, and the same run again ends as if nothing had been.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use connote::jsonl::{RowError, numbered};
use connote::{Embedding, Input};

use super::durable::stop;
use super::manifest::tests::plan;
use super::writer::{Writer, Writing};
use super::*;
use crate::rows::{Place, Row};
use crate::{OutputFormat, Stored, Vectors};

const DIMENSIONS: usize = 4;
const PART_ROWS: NonZeroU64 = NonZeroU64::new(3).expect("some");
const ROWS: u64 = 5;

/// Ids with their vectors.
type Rows = Vec<(i64, Vec<f32>)>;

/// A model and what becomes of its rows.
#[derive(Clone, Copy)]
struct Work {
    format: OutputFormat,
    /// Different models have different vectors, of as many bytes.
    model: char,
    /// Whether the second of three rows fails.
    fails: bool,
    shard: Option<Shard>,
}

struct Silent;

impl Observer for Silent {
    fn begun(&self, _: u64, _: Option<u64>) {}
    fn computed(&self, _: &Results, _: u64, _: Progress) {}
    fn committed(&self, _: u64) {}
    fn complete(&self) {}
    fn note(&self, _: &str) {}
}

impl Work {
    fn plan(&self) -> Plan {
        let mut plan = plan();
        plan.part_rows = PART_ROWS;
        plan.shard = self.shard;
        plan.sink.format = self.format;
        plan.sink.schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
        plan.sink.space.fingerprint = self.fingerprint();
        plan
    }

    fn fingerprint(&self) -> String {
        self.model.to_string().repeat(16)
    }

    fn vector(&self, row: u64) -> Option<Vec<f32>> {
        let sign = if self.model == 'a' { 1.0 } else { -1.0 };
        // As many characters for all rows and models.
        (!self.fails || row % 3 != 1).then(|| vec![1.0, row as f32, sign, -sign])
    }

    /// What is read of the output of this work.
    fn rows(&self) -> Rows {
        (0..ROWS).filter_map(|row| Some((row as i64, self.vector(row)?))).collect()
    }

    fn compute(&self, folder: &mut PartFolder) -> Result<(), Error> {
        let missing = folder.missing();
        let mut writer = Writer::new(folder, InputWatch::new(Vec::new(), &[]), &Silent);
        for number in (0..part::count(ROWS, PART_ROWS)).filter(|&number| missing.has(number)) {
            let rows = part::rows_of(number, PART_ROWS, ROWS);
            let ids = Int64Array::from_iter_values(rows.clone().map(|row| row as i64));
            let carried = RecordBatch::try_from_iter_with_nullable([("id", Arc::new(ids) as _, true)]);
            let row = |row: u64| Row {
                number: row,
                id: numbered(row as usize),
                place: Place { file: "a.txt".into(), line: row + 1 },
                input: Ok(Input::new("a")),
            };
            let result = |row: u64| match self.vector(row) {
                Some(vector) => Ok(Embedding { vector, dimensions: DIMENSIONS, tokens: 3, truncated: false }),
                None => Err(RowError::at_line(row as usize + 1, "too_long", "no")),
            };
            let results = rows.clone().map(result).collect();
            let chunk = Chunk { rows: rows.map(row).collect(), carried: carried.expect("a column") };
            writer.take(Writing::Chunk(chunk, results, 0))?;
            writer.take(Writing::PartEnd(number))?;
        }
        writer.take(Writing::End(ROWS))
    }

    /// From nothing, or what is there, to the file.
    fn write_file(&self, output: &Path) -> Result<(), Error> {
        let target = assembly::Target::check(output)?;
        let parts = Destination::File(output.to_owned()).parts();
        let mut folder = PartFolder::open(&parts, self.plan(), true, false, &mut |_| ())?;
        self.compute(&mut folder)?;
        assemble(&folder, &target)?;
        folder.remove()
    }

    fn write_folder(&self, folder: &Path) -> Result<(), Error> {
        let mut folder = PartFolder::open(folder, self.plan(), false, false, &mut |_| ())?;
        self.compute(&mut folder)?;
        folder.leave()
    }
}

/// As `connote merge` does it.
fn merge(folders: &[PathBuf], output: &Path) -> Result<(), Error> {
    let merge = Merge::open(folders)?;
    let mut aside = output.as_os_str().to_owned();
    aside.push(".1.part");
    let (unfinished, file) = Unfinished::create_as(aside.into(), output)?;
    let (file, sum) = merge.write(file)?;
    unfinished.sync(&file)?;
    merge.write_beside(output, sum.as_ref(), || unfinished.commit(&file)).map(drop)
}

/// Every file, by its name.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => {
                files.extend(self::files(&path).into_iter().map(|(name, content)| {
                    (Path::new(path.file_name().expect("a name")).join(name), content)
                }))
            }
            false => {
                let name = path.file_name().expect("a name").into();
                files.insert(name, fs::read(&path).expect("read"));
            }
        }
    }
    files
}

/// The rows that have vectors, and the fingerprint, if there is one.
fn read(output: &Path) -> Result<(Option<String>, Rows), Error> {
    let mut stored = Stored::open(output)?;
    let mut rows = Vec::new();
    while let Some(chunk) = stored.next_chunk()? {
        let Vectors::F32(values) = chunk.vectors else { panic!("floats were written") };
        let ids = chunk.carried.column(0).as_primitive::<Int64Type>().values().to_vec();
        let found = ids.into_iter().zip(values.chunks(DIMENSIONS).map(<[f32]>::to_vec));
        rows.extend(found.zip(chunk.present).filter(|(_, present)| *present).map(|(row, _)| row));
    }
    Ok((stored.space().map(|space| space.fingerprint.clone()), rows))
}

/// What can be read is all of one work, its ids and its description too; or the file says itself that it cannot be used.
fn look(output: &Path, works: [Work; 2], when: &str) {
    match read(output) {
        Ok((fingerprint, rows)) => {
            let work = works.iter().find(|work| work.rows() == rows);
            let work = work.unwrap_or_else(|| panic!("{when}: {rows:?}"));
            assert!(fingerprint.is_none_or(|said| said == work.fingerprint()), "{when}: another space");
        }
        Err(error) => {
            let told = error.to_string();
            assert!(works[0].format == OutputFormat::Npy && told.contains("connote embed"), "{when}: {told}");
        }
    }
}

/// A work, and another over its output: of another model, with rows that fail or without.
fn pairs() -> Vec<[Work; 2]> {
    let pair = |(format, failed, fails)| {
        let old = Work { format, model: 'a', fails: failed, shard: None };
        [old, Work { model: 'b', fails, ..old }]
    };
    let pairs = [
        (OutputFormat::Npy, false, false),
        (OutputFormat::Npy, true, true),
        (OutputFormat::Npy, true, false),
        (OutputFormat::Npy, false, true),
        (OutputFormat::Csv, false, false),
        (OutputFormat::Csv, true, false),
        (OutputFormat::Jsonl, false, true),
        (OutputFormat::Arrow, true, true),
    ];
    pairs.map(pair).into()
}

/// A folder with what is there before.
fn folder_with(files: &BTreeMap<PathBuf, Vec<u8>>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    files.iter().for_each(|(name, content)| fs::write(folder.path().join(name), content).expect("written"));
    folder
}

/// Where an undisturbed run of a work leaves what.
fn undisturbed(work: Work) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    work.write_file(&folder.path().join(format!("v.{}", work.format))).expect("it runs");
    files(folder.path())
}

#[test]
fn a_run_that_is_stopped_anywhere_leaves_what_is_true_and_goes_on() {
    for [old, new] in pairs() {
        let name = format!("v.{}", old.format);
        let [before, wanted] = [old, new].map(undisturbed);
        for stop in 0.. {
            let folder = folder_with(&before);
            let output = folder.path().join(&name);
            let when = format!("{name}, failed before {}, now {}, stop {stop}", old.fails, new.fails);
            let ended = stop::after(stop, || new.write_file(&output)).is_some();
            look(&output, [old, new], &when);
            if !ended {
                new.write_file(&output).unwrap_or_else(|error| panic!("{when}: {error}"));
            }
            assert!(files(folder.path()) == wanted, "{when}: {:?}", files(folder.path()).keys());
            assert_eq!(read(&output).expect("it reads"), (Some(new.fingerprint()), new.rows()), "{when}");
            if ended {
                // Two parts, one file, and their going.
                assert!(stop > 20, "{when}");
                break;
            }
        }
    }
}

#[test]
fn shares_and_their_merge_that_are_stopped_anywhere_go_on() {
    for [old, new] in pairs() {
        let name = format!("v.{}", old.format);
        let [before, wanted] = [old, new].map(undisturbed);
        let shares = tempfile::tempdir().expect("a folder");
        let mut folders = Vec::new();
        for shard in ["1/2", "2/2"] {
            let work = Work { shard: Some(shard.parse().expect("a share")), ..new };
            let whole = shares.path().join(format!("whole-{}", &shard[..1]));
            work.write_folder(&whole).expect("it runs");
            for stop in 0.. {
                let share = shares.path().join(format!("{}-{stop}", &shard[..1]));
                let ended = stop::after(stop, || work.write_folder(&share)).is_some();
                if !ended {
                    work.write_folder(&share).unwrap_or_else(|error| panic!("{shard}, stop {stop}: {error}"));
                }
                assert!(files(&share) == files(&whole), "{name} {shard}, stop {stop}");
                if ended {
                    assert!(stop > 5, "{name} {shard}: {stop}");
                    break;
                }
            }
            folders.push(whole);
        }
        for stop in 0.. {
            let folder = folder_with(&before);
            let output = folder.path().join(&name);
            let when = format!("{name}, failed before {}, now {}, stop {stop}", old.fails, new.fails);
            let ended = stop::after(stop, || merge(&folders, &output)).is_some();
            look(&output, [old, new], &when);
            if !ended {
                merge(&folders, &output).unwrap_or_else(|error| panic!("{when}: {error}"));
            }
            assert!(files(folder.path()) == wanted, "{when}: {:?}", files(folder.path()).keys());
            if ended {
                assert!(stop > 5, "{when}");
                break;
            }
        }
    }
}
