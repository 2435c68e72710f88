//! Parts that are joined are the file that was never cut.

use std::fs;
use std::path::PathBuf;

use connote_bulk::{ErrorKind, OutputFormat, Precision, Stored, assemble};
use testkit::random::Random;

use crate::files::{Table, batch, options, read, write, write_cut};

#[test]
fn joined_parts_are_the_file_that_was_never_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::seeded(7);
    for format in OutputFormat::ALL {
        for precision in Precision::ALL {
            let table = Table::new(8, 4096);
            let table = if format == OutputFormat::Npy { table.without_columns() } else { table };
            let options = options(format, precision, &table);
            let whole = folder.path().join(format!("whole.{format}"));
            write(&whole, &options, &table);
            let join = |sizes: &[usize], steps: &mut dyn FnMut() -> usize| {
                let parts = write_cut(folder.path(), &options, &table, sizes, steps);
                let joined = folder.path().join(format!("joined.{format}"));
                let file = fs::File::create(&joined).expect("a file");
                assemble(&options, &parts, 0, file).expect("joined");
                joined
            };
            // However the rows of a part came, its bytes are the same, and so are those of the whole.
            let cuts = [1024, 2048, 1024];
            let joined = fs::read(join(&cuts, &mut || 1024)).expect("read");
            for _ in 0..2 {
                let again = fs::read(join(&cuts, &mut || 1 + random.below(1500))).expect("read");
                assert!(again == joined, "{format} {precision}: the bytes depend on how the rows came");
            }
            // Lines, arrays and batches are the bytes of the whole; row groups are as many as parts.
            if format == OutputFormat::Parquet {
                let (one, other) = (batch(&whole), batch(&folder.path().join("joined.parquet")));
                assert_eq!(one, other, "{precision}");
            } else {
                assert!(joined == fs::read(&whole).expect("read"), "{format} {precision}");
            }
            // Parts of any size hold the same rows; of lines and arrays they are the same bytes too.
            let odd = join(&[1, 0, 2000, 95, 2000], &mut || 333);
            match format {
                OutputFormat::Parquet | OutputFormat::Arrow => {
                    assert_eq!(batch(&odd), batch(&whole), "{format} {precision}");
                }
                _ => assert!(fs::read(odd).expect("read") == joined, "{format} {precision}"),
            }
            // A whole file is a part as good as any: joining it alone changes nothing.
            let alone = folder.path().join(format!("alone.{format}"));
            assemble(&options, std::slice::from_ref(&whole), 0, fs::File::create(&alone).expect("a file"))
                .expect("joined");
            match format {
                // But for the deprecated `min` and `max` of its footer, which a copied chunk has no more.
                OutputFormat::Parquet => {
                    assert_eq!(batch(&alone), batch(&whole), "{precision}")
                }
                _ => assert!(fs::read(alone).expect("read") == fs::read(&whole).expect("read"), "{format}"),
            }
        }
    }
}

#[test]
fn no_parts_are_an_empty_file_of_the_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = Table::new(9, 0);
    for format in OutputFormat::ALL {
        let table = if format == OutputFormat::Npy { table.without_columns() } else { table.clone() };
        let options = options(format, Precision::F32, &table);
        let path = folder.path().join(format!("none.{format}"));
        assemble(&options, &[], 0, fs::File::create(&path).expect("a file")).expect("written");
        let written = folder.path().join(format!("written.{format}"));
        write(&written, &options, &table);
        assert!(fs::read(&path).expect("read") == fs::read(&written).expect("read"), "{format}");
        match format {
            // Without a row there is nothing that says how long vectors are.
            OutputFormat::Jsonl | OutputFormat::Csv => {
                let error = Stored::open(&path).err().expect("refused").to_string();
                assert!(error.contains("has no vectors"), "{error}");
            }
            _ => assert!(read(&path).1.is_empty(), "{format}"),
        }
    }
}

#[test]
fn a_part_of_another_output_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = Table::new(10, 20);
    for format in OutputFormat::ALL {
        let table = if format == OutputFormat::Npy { table.without_columns() } else { table.clone() };
        let mine = options(format, Precision::F32, &table);
        let part = folder.path().join(format!("part.{format}"));
        let mut others = vec![("precision", options(format, Precision::F16, &table))];
        let mut other_model = mine.clone();
        other_model.space.fingerprint = "another".to_owned();
        others.push(("model", other_model));
        others.push(("columns", options(format, Precision::F32, &table.without_columns())));
        for (what, other) in others {
            let told = match format {
                OutputFormat::Parquet | OutputFormat::Arrow => true,
                OutputFormat::Csv => what == "columns",
                OutputFormat::Npy => what == "precision",
                // A line says nothing of the others.
                OutputFormat::Jsonl => false,
            };
            let table = if what == "columns" { table.without_columns() } else { table.clone() };
            write(&part, &other, &table);
            let joined = fs::File::create(folder.path().join("joined")).expect("a file");
            let result = assemble(&mine, std::slice::from_ref(&part), 0, joined);
            assert_eq!(result.is_err(), told, "{format}: {what}");
            if let Err(error) = result {
                assert_eq!(error.kind(), ErrorKind::Mismatch, "{format}: {what}: {error}");
                assert!(error.to_string().contains("part."), "{error}");
            }
        }
        let missing = PathBuf::from("/nowhere/part");
        let joined = fs::File::create(folder.path().join("joined")).expect("a file");
        let error = assemble(&mine, &[missing], 0, joined).expect_err("not there");
        assert_eq!(error.kind(), ErrorKind::Input);
    }
}
