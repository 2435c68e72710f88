//! Bytes that are no text of UTF-8.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BinaryViewArray, DictionaryArray, Int32Array, LargeBinaryArray, RecordBatch,
    StringArray,
};
use connote_bulk::{SourceOptions, Template, TextFrom, ValueFrom};

use super::{options, refused, tables, told, written};

/// In columns of text a null is nothing; what is there and no text must not pass for a null.
#[test]
fn bytes_that_are_no_text_cost_their_row_of_a_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let values: [Option<&[u8]>; 4] = [Some(b"fine"), Some(b"\xff\xfe"), None, Some(b"\xc3\xa9")];
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
    let dictionary = DictionaryArray::new(
        Int32Array::from(vec![Some(0), Some(1), None, Some(2)]),
        Arc::new(BinaryArray::from_iter_values([&b"fine"[..], b"\xff\xfe", b"\xc3\xa9"])),
    );
    let columns: [ArrayRef; 4] = [
        Arc::new(values.into_iter().collect::<BinaryArray>()),
        Arc::new(values.into_iter().collect::<LargeBinaryArray>()),
        Arc::new(values.into_iter().collect::<BinaryViewArray>()),
        Arc::new(dictionary),
    ];
    for column in columns {
        let kind = column.data_type().clone();
        let table = [("text", texts.clone(), true), ("bytes", column, true)];
        let table = RecordBatch::try_from_iter_with_nullable(table).expect("a table");
        for path in tables(folder.path(), &table) {
            let of = |change: &dyn Fn(&mut SourceOptions)| {
                let mut options = options(&[&path]);
                options.text = TextFrom::Column("text".to_owned());
                change(&mut options);
                told(&options)
            };
            let bytes = || ValueFrom::Column("bytes".to_owned());
            let wrong = "1 invalid_utf8: line 2: `bytes` is not UTF-8";
            let title = of(&|options| options.title = bytes());
            assert_eq!((&*title[0], &*title[2], &*title[3]), ("0 a", "2 c", "3 d"), "{kind}");
            assert!(title[1].starts_with(wrong), "{kind}: {title:?}");
            let template: Template = "{text} {bytes}".parse().expect("a template");
            let template = of(&|options| options.text = TextFrom::Template(template.clone()));
            assert_eq!(
                (&*template[0], &*template[2], &*template[3]),
                ("0 a fine", "2 c ", "3 d \u{e9}"),
                "{kind}"
            );
            assert!(template[1].starts_with(wrong), "{kind}: {template:?}");
            let id = of(&|options| options.id = bytes());
            assert_eq!((&*id[0], &*id[2], &*id[3]), ("\"fine\" a", "2 c", "\"\u{e9}\" d"), "{kind}");
            assert!(id[1].starts_with(wrong), "{kind}: {id:?}");
            let task = of(&|options| options.task = bytes());
            assert!(task[1].starts_with(wrong) && task[2] == "2 c", "{kind}: {task:?}");
        }
    }
}

/// Half of UTF-16 is zeros, and the first line alone would look wrong.
#[test]
fn utf_16_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let fine = written(folder.path(), "fine.txt", "a\n");
    for (name, text) in [
        ("a.txt", "one\r\ntwo\r\n"),
        ("a.jsonl", "{\"text\": \"a\"}\n"),
        ("a.csv", "text\na\n"),
        ("a.tsv", "text\na\n"),
    ] {
        let units = || "\u{feff}".encode_utf16().chain(text.encode_utf16());
        let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
        for content in [little, big] {
            let path = written(folder.path(), name, content);
            let said = refused(&options(&[&path]));
            let what = format!(
                "{name}: cannot be read: it is UTF-16; make it UTF-8 first: iconv -f UTF-16 -t UTF-8"
            );
            assert!(said.contains(&what), "{said}");
        }
    }
    // The second of two is looked at before the first is read.
    let said = refused(&options(&[&fine, &folder.path().join("a.txt")]));
    assert!(said.contains("a.txt: cannot be read: it is UTF-16"), "{said}");
    // One of the bytes is none of its marks.
    let path = written(folder.path(), "b.txt", b"\xff\n\xfe\n");
    assert!(told(&options(&[&path])).iter().all(|row| row.contains("invalid_utf8")));
    for content in ["", "a"] {
        let path = written(folder.path(), "c.txt", content);
        assert_eq!(told(&options(&[&path])).len(), content.len());
    }
}

/// A byte at a time, as a slow pipe may bring them.
#[cfg(unix)]
#[test]
fn utf_16_from_a_pipe_is_refused_too() {
    use std::io::Write as _;

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
    let writer = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut pipe = std::fs::File::options().write(true).open(path).expect("opened");
            for byte in b"\xff\xfea\0\n\0" {
                // Nobody reads on.
                if pipe.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    });
    let mut source = connote_bulk::Source::open(&options(&[&path])).expect("it opens");
    let said = source.next_chunk(10).expect_err("it is refused").to_string();
    assert!(said.contains("pipe: cannot be read: it is UTF-16"), "{said}");
    drop(source);
    writer.join().expect("it ends");
}

/// All lines would be one text; of CSV they are records.
#[test]
fn lines_that_end_in_cr_alone_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in [
        ("a.txt", "one\rtwo\rthree"),
        ("b.txt", "one\rtwo\r"),
        ("a.jsonl", "{\"text\": \"a\"}\r{\"text\": \"b\"}\r"),
    ] {
        let rows = told(&options(&[&written(folder.path(), name, content)]));
        assert_eq!(rows.len(), 1);
        assert!(
            rows[0].starts_with("0 invalid_request: line 1: the lines end in CR alone")
                && rows[0].contains("tr '\\r' '\\n' < FILE"),
            "{rows:?}"
        );
    }
    for (name, content, wanted) in [
        ("a.csv", "id,text\r1,a\r2,\"b\rc\"\r", &["\"1\" a", "\"2\" b\rc"][..]),
        // A CR within a line that ends is a character of it.
        ("c.txt", "one\rtwo\nthree\r\n", &["0 one\rtwo", "1 three"]),
        ("d.txt", "one\r", &["0 one\r"]),
        ("e.txt", "one\ntwo\rthree", &["0 one", "1 two\rthree"]),
        ("b.jsonl", "{\"text\":\r\"a\"}\r", &["0 a"]),
    ] {
        assert_eq!(told(&options(&[&written(folder.path(), name, content)])), wanted, "{name}");
    }
}
