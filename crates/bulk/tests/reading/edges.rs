//! What files of texts have at their edges: marks, pipes, columns that differ, damage in the middle.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int64Array, LargeStringArray, ListArray, RecordBatch, StringArray,
    StringViewArray, TimestampMillisecondArray,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field, Schema};
use connote_bulk::{ErrorKind, InputFormat, Source, SourceOptions, TextFrom, ValueFrom};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

#[cfg(unix)]
use super::piped;
use super::{opened, options, refused, rest, told_of, written};

fn parquet(path: &Path, batch: &RecordBatch, group: usize) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let file = File::create(path).expect("created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("begun");
    writer.write(batch).expect("written");
    writer.close().expect("written");
}

/// A column that the text is made of is not its title too, which most prompts have no place for.
#[test]
fn a_field_of_json_has_one_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = "{\"title\": \"T\", \"task\": \"do it\", \"body\": \"b\", \"none\": null}\n";
    let path = written(folder.path(), "a.jsonl", line);
    let mut options = options(&[&path]);
    options.text = TextFrom::Template("{title}: {body} {task}".parse().expect("a template"));
    options.keep = vec!["*".to_owned()];
    let mut source = opened(&options);
    let chunk = source.next_chunk(9).expect("rows").expect("one");
    let input = chunk.rows[0].input.clone().expect("a text");
    // A title would come out before that of the command line.
    assert_eq!(format!("{input:?}"), format!("{:?}", connote::Input::new("T: b do it")));
    let names: Vec<_> = source.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "body", "none", "task", "title"]);
    // Unless it is asked for.
    (options.text, options.title) =
        (TextFrom::Column("body".to_owned()), ValueFrom::Column("title".to_owned()));
    options.task = ValueFrom::Column("none".to_owned());
    let chunk = opened(&options).next_chunk(9).expect("rows").expect("one");
    let titled = connote::Input::new("b").title("T");
    assert_eq!(format!("{:?}", chunk.rows[0].input.clone().expect("a text")), format!("{titled:?}"));
}

/// Either could be meant; what is not used does not matter.
#[test]
fn a_name_of_two_columns_is_refused_where_it_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let csv = written(folder.path(), "a.csv", "id,text,n,text,n\n1,x,2,y,3\n");
    let strings = |values: &[&str]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let columns = [("id", "1"), ("text", "x"), ("n", "2"), ("text", "y"), ("n", "3")];
    let fields: Vec<Field> =
        columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let values = columns.iter().map(|(_, value)| strings(&[value])).collect();
    let table = RecordBatch::try_new(Arc::new(Schema::new(fields)), values).expect("a table");
    let arrow = folder.path().join("a.arrow");
    let mut writer =
        FileWriter::try_new(File::create(&arrow).expect("created"), &table.schema()).expect("begun");
    writer.write(&table).expect("written");
    writer.finish().expect("written");
    for path in [csv, arrow] {
        let mut options = options(&[&path]);
        let said = refused(&options);
        assert!(said.contains("two columns are called `text`; give one of them another name"), "{said}");
        for text in
            [TextFrom::Column("n".to_owned()), TextFrom::Template("{id} {n}".parse().expect("a template"))]
        {
            options.text = text;
            let said = refused(&options);
            assert!(said.contains("two columns are called `n`"), "{said}");
        }
        options.text = TextFrom::Column("id".to_owned());
        assert_eq!(told_of(&rest(&mut opened(&options))), ["\"1\" 1"]);
        for keep in ["n", "*"] {
            options.keep = vec![keep.to_owned()];
            let said = refused(&options);
            assert!(said.contains("two columns are called `"), "{said}");
        }
    }
}

#[test]
fn a_byte_order_mark_hides_no_name_and_no_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let csv = written(folder.path(), "a.csv", "\u{feff}text,n\nx,1\n");
    let mut options = options(&[&csv]);
    options.keep = vec!["n".to_owned()];
    assert_eq!(told_of(&rest(&mut opened(&options))), ["0 x"]);
    // The kinds of the first line count.
    let jsonl =
        written(folder.path(), "a.jsonl", "\u{feff}{\"text\": \"x\", \"id\": \"a\", \"n\": \"one\"}\n");
    options.inputs = vec![jsonl.clone()];
    let chunk = opened(&options).next_chunk(9).expect("rows").expect("one");
    assert_eq!(told_of(std::slice::from_ref(&chunk)), ["\"a\" x"]);
    for (column, value) in [(0, "a"), (1, "one")] {
        assert_eq!(chunk.carried.column(column).as_string::<i32>().value(0), value);
    }
}

#[test]
fn a_null_id_is_none_in_every_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = written(folder.path(), "1.jsonl", "{\"text\": \"a\", \"id\": 7}\n");
    let second = written(folder.path(), "2.jsonl", "{\"text\": \"b\", \"id\": null}\n{\"text\": \"c\"}\n");
    let mut options = options(&[&first, &second]);
    for text in [TextFrom::Default, TextFrom::Column("text".to_owned())] {
        options.text = text;
        assert_eq!(told_of(&rest(&mut opened(&options))), ["7 a", "1 b", "2 c"]);
    }
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let integers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
    let strings: ArrayRef = Arc::new(StringArray::from(vec![Some("7"), None]));
    let path = folder.path().join("a.parquet");
    options.inputs = vec![path.clone()];
    for (ids, rows) in [(integers, ["7 a", "1 b"]), (strings, ["\"7\" a", "1 b"])] {
        let columns = [("id", ids.clone(), true), ("text", texts.clone(), true)];
        parquet(&path, &RecordBatch::try_from_iter_with_nullable(columns).expect("a table"), 10);
        let chunks = rest(&mut opened(&options));
        assert_eq!(told_of(&chunks), rows);
        let column = chunks[0].carried.column(0);
        let written = match ids.data_type() {
            DataType::Int64 => column.as_primitive::<Int64Type>().value(1).to_string(),
            _ => column.as_string::<i32>().value(1).to_owned(),
        };
        assert_eq!((column.null_count(), &*written), (0, "1"));
    }
}

#[test]
fn files_of_other_columns_are_refused_before_any_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let few = written(folder.path(), "few.csv", "text,a\nx,1\n");
    let many = written(folder.path(), "many.csv", "text,a,b\nx,1,2\n");
    for inputs in [[&*few, &*many], [&*many, &*few]] {
        let mut options = options(&inputs);
        options.text = TextFrom::Column("text".to_owned());
        options.keep = vec!["*".to_owned()];
        let message = refused(&options);
        assert!(
            message.contains("many.csv has a column `b` to keep, and ")
                && message.contains("few.csv has not"),
            "{message}"
        );
        options.keep = vec!["a".to_owned()];
        assert_eq!(rest(&mut opened(&options)).len(), 2);
    }
    // Text that is JSON would be written without quotes.
    let json = written(folder.path(), "a.jsonl", "{\"text\": \"x\", \"a\": [1]}\n");
    let mut options = options(&[&json, &few]);
    (options.text, options.keep) = (TextFrom::Column("text".to_owned()), vec!["a".to_owned()]);
    assert!(refused(&options).contains("is of type Utf8, and `a` of"), "{}", refused(&options));
}

#[test]
fn bytes_that_are_no_text_cost_their_row_in_whichever_column() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), "a.csv", b"id,text,n\n1,a,\xff\n\xff,b,2\n3,c,3\n");
    let mut options = options(&[&path]);
    options.keep = vec!["n".to_owned()];
    let rows = told_of(&rest(&mut opened(&options)));
    assert!(rows[0].starts_with("\"1\" invalid_utf8: line 2: field 3 "), "{}", rows[0]);
    assert!(rows[1].starts_with("1 invalid_utf8: line 3: field 1 "), "{}", rows[1]);
    assert_eq!(rows[2], "\"3\" c");
}

#[test]
fn strings_of_every_type_are_texts_and_columns_keep_theirs() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts = ["a", "b", "a"];
    let dictionary: DictionaryArray<Int32Type> = texts.into_iter().collect();
    let when = TimestampMillisecondArray::from(vec![Some(1), None, Some(3)]).with_timezone("UTC");
    let lists =
        ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    let kept: [ArrayRef; 3] = [Arc::new(dictionary.clone()), Arc::new(when), Arc::new(lists)];
    let columns: [ArrayRef; 4] = [
        Arc::new(StringArray::from_iter_values(texts)),
        Arc::new(LargeStringArray::from_iter_values(texts)),
        Arc::new(StringViewArray::from_iter_values(texts)),
        Arc::new(dictionary),
    ];
    for column in columns {
        let mut table = vec![("text", column, true)];
        table
            .extend(["d", "w", "l"].into_iter().zip(kept.clone()).map(|(name, column)| (name, column, true)));
        let table = RecordBatch::try_from_iter_with_nullable(table).expect("a table");
        let paths = [folder.path().join("a.parquet"), folder.path().join("a.feather")];
        parquet(&paths[0], &table, 2);
        // As pandas writes it.
        let options_of = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
        let file = File::create(&paths[1]).expect("created");
        let mut writer =
            FileWriter::try_new_with_options(file, &table.schema(), options_of.expect("lz4")).expect("begun");
        writer.write(&table).expect("written");
        writer.finish().expect("written");
        for path in &paths {
            let mut options = options(&[path]);
            (options.text, options.keep) = (TextFrom::Column("text".to_owned()), vec!["*".to_owned()]);
            let chunks = rest(&mut opened(&options));
            assert_eq!(told_of(&chunks), ["0 a", "1 b", "2 a"]);
            let batches: Vec<_> = chunks.iter().map(|chunk| chunk.carried.clone()).collect();
            let whole =
                arrow_select::concat::concat_batches(&batches[0].schema(), &batches).expect("one table");
            for (place, column) in kept.iter().enumerate() {
                assert_eq!(whole.column(place + 1).data_type(), column.data_type());
                assert_eq!(whole.column(place + 1).null_count(), column.null_count());
            }
        }
    }
}

#[test]
fn a_chunk_of_long_texts_has_few_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let long: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..8).map(|row| row.to_string().repeat(400_000))));
    let path = folder.path().join("a.parquet");
    parquet(&path, &RecordBatch::try_from_iter_with_nullable([("text", long, true)]).expect("a table"), 100);
    let chunks = rest(&mut opened(&options(&[&path])));
    assert_eq!(chunks.iter().map(|chunk| chunk.rows.len()).collect::<Vec<_>>(), [3, 3, 2]);
    assert!(chunks.iter().flat_map(|chunk| &chunk.rows).enumerate().all(|(at, row)| row.number == at as u64));
}

/// Rows before the damage are given out, then an error, then nothing.
#[test]
fn damage_in_the_middle_ends_the_input_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..600).map(|row| format!("text {row}"))));
    let path = folder.path().join("a.parquet");
    parquet(&path, &RecordBatch::try_from_iter_with_nullable([("text", texts, true)]).expect("a table"), 300);
    let mut content = fs::read(&path).expect("read");
    let middle = content.windows(8).position(|bytes| bytes == b"text 300").expect("the second group");
    // The page's header stands before its values.
    content[middle - 60..middle].fill(0xff);
    fs::write(&path, content).expect("written");
    let mut source = opened(&options(&[&path]));
    let mut rows = 0;
    let error = loop {
        match source.next_chunk(100) {
            Ok(chunk) => rows += chunk.expect("an error comes first").rows.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Input);
    let message = error.to_string();
    assert!(
        message.contains("a.parquet") && message.contains(&format!("rows from {} on", rows + 1)),
        "{message}"
    );
    assert!((256..=300).contains(&rows), "{rows}");
    assert!(source.next_chunk(100).expect("the end").is_none());
}

#[test]
fn what_is_compressed_as_a_whole_says_how_to_unpack_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let message = refused(&options(&[&written(folder.path(), "a.csv.gz", "")]));
    assert!(message.contains("gzip -dc ") && message.ends_with("--input-format csv"), "{message}");
    let message = refused(&options(&[&written(folder.path(), "a.parquet.zst", "")]));
    assert!(message.ends_with("unpack it with zstd -d"), "{message}");
}

/// The file form is the stream form between a magic and a footer, dictionaries too; the writer can write all of it.
#[cfg(unix)]
#[test]
fn a_pipe_of_arrow_is_read_in_both_forms() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![4, 5, 6]));
    let columns = [("id", ids), ("text", Arc::new(texts) as ArrayRef)];
    let table = RecordBatch::try_from_iter(columns).expect("a table");
    let mut file = FileWriter::try_new(Vec::new(), &table.schema()).expect("begun");
    let mut stream = StreamWriter::try_new(Vec::new(), &table.schema()).expect("begun");
    // More than a pipe holds.
    for _ in 0..2000 {
        file.write(&table).expect("written");
        stream.write(&table).expect("written");
    }
    let forms =
        [("file", file.into_inner().expect("written")), ("stream", stream.into_inner().expect("written"))];
    for (name, bytes) in forms {
        let (pipe, writer) = piped(folder.path(), name, bytes);
        let options = SourceOptions { format: Some(InputFormat::Arrow), ..options(&[&pipe]) };
        let rows = told_of(&rest(&mut opened(&options)));
        assert_eq!((rows.len(), &rows[5999][..]), (6000, "6 a"));
        assert_eq!(rows[..3], ["4 a", "5 b", "6 a"]);
        writer.join().expect("no panic").expect("all of it was read");
    }
    // Cut short between two batches, before what marks the end; and in the footer.
    let mut stream = StreamWriter::try_new(b"ARROW1\0\0".to_vec(), &table.schema()).expect("begun");
    stream.write(&table).expect("written");
    let mut ended = FileWriter::try_new(Vec::new(), &table.schema()).expect("begun");
    ended.write(&table).expect("written");
    let between = stream.into_inner().expect("written");
    let footer = ended.into_inner().expect("written");
    for (name, bytes, cut) in [("between", between, 8), ("footer", footer, 3)] {
        let (pipe, writer) = piped(folder.path(), name, bytes[..bytes.len() - cut].to_vec());
        let options = SourceOptions { format: Some(InputFormat::Arrow), ..options(&[&pipe]) };
        let mut source = opened(&options);
        let end = std::iter::from_fn(|| source.next_chunk(9).transpose()).find_map(Result::err);
        writer.join().expect("no panic").expect("all of it was read");
        assert!(end.is_some_and(|error| error.to_string().contains("cut short")), "{name}");
    }
    let (pipe, writer) = piped(folder.path(), "old", "FEA1, and whatever follows");
    let options = SourceOptions { format: Some(InputFormat::Arrow), ..options(&[&pipe]) };
    assert!(refused(&options).contains("Feather of version 1"));
    let _ = writer.join().expect("no panic");
}

/// All were written by pyarrow: one row, `text` = `a`, in the last a dictionary, which is read when the file is opened.
#[test]
fn zstd_is_read_by_the_build_that_has_it_and_named_by_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let contents: [(&str, &[u8]); 3] = [
        ("a.parquet", include_bytes!("../source/zstd.parquet")),
        ("a.arrow", include_bytes!("../source/zstd.arrow")),
        ("b.arrow", include_bytes!("../source/zstd_dictionary.arrow")),
    ];
    for (name, content) in contents {
        let path = written(folder.path(), name, content);
        let read = Source::open(&options(&[&path])).and_then(|mut source| source.next_chunk(9));
        match read {
            Ok(chunk) => assert!(cfg!(feature = "zstd") && told_of(&[chunk.expect("a row")]) == ["0 a"]),
            Err(error) => {
                assert!(!cfg!(feature = "zstd") && error.to_string().contains("--features zstd"), "{error}");
            }
        }
    }
}

/// Who writes a row and waits for its vector gets it.
#[cfg(unix)]
#[test]
fn records_from_a_pipe_are_given_out_without_waiting_for_more() {
    use std::io::Write as _;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    let folder = tempfile::tempdir().expect("a folder");
    for (name, end, mark) in [("a", "\n", ""), ("b", "\r\n", ""), ("c", "\r\n", "\u{feff}")] {
        let path = folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success());
        let (answered, answers) = channel();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut pipe = File::options().write(true).open(path).expect("opened");
                pipe.write_all(format!("{mark}text{end}a{end}b{end}").as_bytes()).expect("written");
                // The pipe stays open so long.
                answers.recv_timeout(Duration::from_secs(30)).is_ok()
            }
        });
        let mut options = options(&[&path]);
        options.format = Some(InputFormat::Csv);
        let mut source = opened(&options);
        let mut rows = 0;
        while rows < 2 {
            rows += source.next_chunk(100).expect("rows").expect("a row").rows.len();
        }
        // Nobody listens, if it took too long.
        let _ = answered.send(());
        assert!(writer.join().expect("it ends"), "{name}: rows were held back");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in a file, it is rows and errors.
    #[test]
    fn no_bytes_panic(mut content in proptest::collection::vec(any::<u8>(), 0..300), begin in 0..8_usize) {
        let folder = tempfile::tempdir().expect("a folder");
        let begins: [&[u8]; 8] = [
            b"", b"PAR1", b"ARROW1\0\0", b"text,id\n", b"{\"text\": \"", b"\xff\xff\xff\xff", b"\xff\xfe", b"id;text\n",
        ];
        content.splice(..0, begins[begin].iter().copied());
        content.extend_from_slice(if begin == 1 { b"PAR1" } else { b"" });
        for name in ["a.txt", "a.jsonl", "a.csv", "a.tsv", "a.parquet", "a.arrow"] {
            let path = written(folder.path(), name, &content);
            let Ok(mut source) = Source::open(&options(&[&path])) else { continue };
            while let Ok(Some(chunk)) = source.next_chunk(3) {
                prop_assert_eq!(chunk.rows.len(), chunk.carried.num_rows());
            }
        }
    }

    /// A table with one damaged byte is rows and errors, too.
    #[test]
    fn no_damage_panics(at in 0.0..1.0_f64, byte in any::<u8>(), is_parquet in any::<bool>()) {
        let folder = tempfile::tempdir().expect("a folder");
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..40).map(|row| format!("text {row}"))));
        let table = RecordBatch::try_from_iter_with_nullable([("text", texts, true)]).expect("a table");
        let path = folder.path().join(if is_parquet { "a.parquet" } else { "a.arrow" });
        if is_parquet {
            parquet(&path, &table, 15);
        } else {
            let mut writer = FileWriter::try_new(File::create(&path).expect("created"), &table.schema()).expect("begun");
            writer.write(&table).expect("written");
            writer.finish().expect("written");
        }
        let mut content = fs::read(&path).expect("read");
        let place = (content.len() as f64 * at) as usize;
        content[place] = byte;
        fs::write(&path, content).expect("written");
        if let Ok(mut source) = Source::open(&options(&[&path])) {
            while let Ok(Some(chunk)) = source.next_chunk(7) {
                prop_assert_eq!(chunk.rows.len(), chunk.carried.num_rows());
            }
        }
    }
}

/// Where a quote is never closed, all rows behind it are one field, and that must not pass for a text.
#[test]
fn a_quote_that_is_never_closed_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content, wanted) in [
        ("open.csv", "text\na\n\"b\nc\nd\n", &["0 a", "1 invalid_request: line 3: a quote"][..]),
        ("escaped.csv", "text,n\na,1\n\"b\"\"\n,2\nc,3\n", &["0 a", "1 invalid_request: line 3: a quote"]),
        ("open.tsv", "n\ttext\n1\ta\n2\t\"b, c\n", &["0 a", "1 invalid_request: line 3: a quote"]),
        // These are closed, or are no quotes of fields.
        ("closed.csv", "text\n\"a\nb\"\n\"c\"\"d\"", &["0 a\nb", "1 c\"d"]),
        ("last.csv", "text\r\n\"a\"\r\n\"b\"\r\n", &["0 a", "1 b"]),
        ("inside.csv", "text\n5\" nails\nsay \"no\n", &["0 5\" nails", "1 say \"no"]),
        ("mark.csv", "\u{feff}\"text\"\n\"a\"\n\"b, c\"", &["0 a", "1 b, c"]),
        // A mark within is a character, and the quote behind it, too.
        ("within.csv", "text\na\n\u{feff}\"b\n", &["0 a", "1 \u{feff}\"b"]),
    ] {
        let path = written(folder.path(), name, content);
        let mut named = options(&[&path]);
        named.text = TextFrom::Column("text".to_owned());
        let told = told_of(&rest(&mut opened(&named)));
        assert_eq!(told.len(), wanted.len(), "{name}: {told:?}");
        for (told, wanted) in told.iter().zip(wanted) {
            assert!(
                told == wanted || (wanted.contains("quote") && told.starts_with(wanted)),
                "{name}: {told}"
            );
        }
    }
    // Nor for an id or a kept column.
    let path = written(folder.path(), "kept.csv", "id,n,text\nx,1,a\n\"y,2,b\nz,3,c\n");
    let mut source = opened(&SourceOptions { keep: vec!["n".to_owned()], ..options(&[&path]) });
    let chunk = source.next_chunk(10).expect("read").expect("rows");
    assert_eq!(chunk.rows.iter().map(|row| row.id.get()).collect::<Vec<_>>(), ["\"x\"", "1"]);
    assert_eq!(chunk.carried.column(1).null_count(), 1);
    // Bytes that nobody reads cost nothing.
    let path = written(folder.path(), "other.csv", b"x,text\n\xff,hello\n");
    let mut named = options(&[&path]);
    named.text = TextFrom::Column("text".to_owned());
    assert_eq!(told_of(&rest(&mut opened(&named))), ["0 hello"]);
    let path = written(folder.path(), "header.csv", "\"text\na\nb\n");
    let Err(error) = connote_bulk::Source::open(&options(&[&path])) else { panic!("a quote is open") };
    assert!(error.to_string().contains("header.csv: line 1: a quote is opened and never closed"), "{error}");
}
