//! Fields of JSON: numbers to the last digit, and names that are there twice.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_schema::DataType;
use connote_bulk::{Source, SourceOptions, TextFrom};

use super::{chunks, options, told, written};

const LARGE: i64 = 9_007_199_254_740_993;

/// Values of the field `n`, as a kept column gives them, and the type of the column.
fn kept(values: &[&str]) -> (DataType, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = values.iter().map(|value| format!("{{\"text\": \"a\", \"n\": {value}}}\n"));
    let path = written(folder.path(), "a.jsonl", lines.collect::<String>());
    let chunks = chunks(&SourceOptions { keep: vec!["n".to_owned()], ..options(&[&path]) });
    let column = chunks[0].carried.column(1);
    let value = |row: usize| match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        _ => column.as_string::<i32>().value(row).to_owned(),
    };
    (column.data_type().clone(), (0..column.len()).map(value).collect())
}

/// A float beside them would round integers beyond 2^53.
#[test]
fn integers_beside_floats_stay_exact() {
    let large = LARGE.to_string();
    let negative = format!("-{large}");
    for mixed in [
        &[&*large, "1.5"][..],
        &["1.5", &large],
        &["1.5", "7", &negative],
        &["7", &large, "1e3"],
        &[&large, "null", "1.5"],
    ] {
        let (kind, values) = kept(mixed);
        let wanted = mixed.iter().map(|value| if *value == "null" { "" } else { value });
        assert_eq!(kind, DataType::Utf8, "{mixed:?}");
        assert!(values.iter().eq(wanted), "{values:?}");
    }
    assert_eq!(kept(&[&large, "7"]), (DataType::Int64, vec![large.clone(), "7".to_owned()]));
    // As large as a float has them all.
    let most = (LARGE - 1).to_string();
    assert_eq!(kept(&[&most, "1.5"]), (DataType::Float64, vec![most, "1.5".to_owned()]));
}

#[test]
fn large_ids_are_integers() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = format!("{{\"text\": \"a\", \"id\": {LARGE}}}\n{{\"text\": \"b\", \"id\": 7}}\n");
    let options = options(&[&written(folder.path(), "a.jsonl", lines)]);
    assert_eq!(Source::open(&options).expect("it opens").schema().field(0).data_type(), &DataType::Int64);
    assert_eq!(told(&options), [format!("{LARGE} a"), "7 b".to_owned()]);
}

/// Whichever way the text is named: either value could be meant.
#[test]
fn a_field_that_is_there_twice_costs_its_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = [
        r#"{"text": "a", "text": "b"}"#,
        r#"{"text": "a", "id": 5, "id": 6}"#,
        r#"{"text": "a", "title": "x", "title": "y"}"#,
        r#"{"text": "a", "task": "none", "task": "none"}"#,
        r#"{"text": "a", "n": 1, "n": 2.5}"#,
        r#"{"text": "a", "n": 3, "other": 1, "other": 2, "id": 9}"#,
    ];
    let path = written(folder.path(), "a.jsonl", lines.join("\n"));
    let names = ["text", "id", "title", "task", "n"];
    for text in [
        TextFrom::Default,
        TextFrom::Column("text".to_owned()),
        TextFrom::Template("{text}".parse().expect("a template")),
    ] {
        let options = SourceOptions { text, keep: vec!["n".to_owned()], ..options(&[&path]) };
        let rows = told(&options);
        for (place, name) in names.iter().enumerate() {
            let wanted =
                format!("{place} invalid_request: line {}: two fields are called `{name}`", place + 1);
            assert_eq!(rows[place], wanted);
        }
        // Others of one name do no harm.
        assert_eq!(rows[5], "9 a");
        // A value that nobody knows is none.
        let column = chunks(&options)[0].carried.column(1).clone();
        assert_eq!((column.data_type(), column.is_null(4)), (&DataType::Int64, true));
        assert_eq!(column.as_primitive::<Int64Type>().value(5), 3);
    }
    // With all fields kept, all have a use.
    let rows = told(&SourceOptions { keep: vec!["*".to_owned()], ..options(&[&path]) });
    assert!(rows[5].ends_with("line 6: two fields are called `other`"), "{rows:?}");
}

/// Whichever columns were named.
#[test]
fn a_lone_surrogate_is_told_with_its_column() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = "{\"text\": \"ab\\ud800\", \"id\": 7}\n{\"id\": 8, \"text\": \"\\udc00\"}\n";
    let path = written(folder.path(), "a.jsonl", rows);
    let plain = told(&options(&[&path]));
    assert!(
        plain[0].starts_with("7 invalid_json: line 1: `text` (column 19): it has a lone surrogate"),
        "{plain:?}"
    );
    let named = SourceOptions { text: TextFrom::Column("text".to_owned()), ..options(&[&path]) };
    assert_eq!(told(&named), plain);
    let template = TextFrom::Template("{text}".parse().expect("a template"));
    assert_eq!(told(&SourceOptions { text: template, ..options(&[&path]) }), plain);
}
