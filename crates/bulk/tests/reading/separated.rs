//! Values separated by something else than the name of the file says.

use connote_bulk::{InputFormat, SourceOptions, TextFrom};

use super::{options, refused, told, written};

/// The whole lines would be the texts.
#[test]
fn a_line_of_names_that_is_one_column_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content, option) in [
        ("excel.csv", "id;text;lang\n1;hello world;en\n", "has `;` between words: say --delimiter ';' ("),
        ("marked.csv", "\u{feff}id;text\r\n1;hello\r\n", "say --delimiter ';' ("),
        // As R writes it: the quotes are those of names.
        ("quoted.csv", "\"id\";\"text\"\n1;\"hello\"\n", "say --delimiter ';' ("),
        ("blank.csv", "\n\r\nid;text\n1;hello, world\n", "say --delimiter ';' ("),
        ("tabs.csv", "id\ttext\tlang\n1\thello\ten\n", "has `\\t` between words: say --input-format tsv ("),
        ("bars.csv", "id|text|lang\n1|hello|en\n", "say --delimiter '|' ("),
        ("alone.csv", "text;", "say --delimiter ';' ("),
        ("most.csv", "a|b;text;c\n", "say --delimiter ';' ("),
        ("commas.tsv", "id,text,lang\n1,hello,en\n", "say --input-format csv --delimiter ',' ("),
    ] {
        let path = written(folder.path(), name, content);
        for text in [TextFrom::Default, TextFrom::Column("text".to_owned())] {
            let said = refused(&SourceOptions { text, ..options(&[&path]) });
            assert!(said.contains(&format!("{name}: line 1 is one column, `")), "{said}");
            assert!(said.contains(option) && !said.contains('\n'), "{name}: {said}");
        }
    }
    // Who says what separates, or names the whole of it, means it.
    let path = written(folder.path(), "meant.csv", "question; answer\nwhy; so\n");
    let comma = SourceOptions { delimiter: Some(",".parse().expect("one")), ..options(&[&path]) };
    let whole = TextFrom::Column("question; answer".to_owned());
    for options in [comma, SourceOptions { text: whole, ..options(&[&path]) }] {
        assert_eq!(told(&options), ["0 why; so"]);
    }
    // The second of two is looked at before the first is read.
    let first = written(folder.path(), "first.csv", "text\nx\n");
    let said = refused(&options(&[&first, &folder.path().join("excel.csv")]));
    assert!(said.contains("excel.csv: line 1 is one column"), "{said}");
}

#[test]
fn a_name_in_quotes_and_values_may_hold_any_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    for (content, wanted) in [
        ("\"text; or not\"\na;b\n", "0 a;b"),
        ("\"te\nxt;|\"\na\tb|c\n", "0 a\tb|c"),
        ("text\na;b;c\n", "0 a;b;c"),
        ("\"a \"\"b\"\"; c\"\nx;y\n", "0 x;y"),
    ] {
        let path = written(folder.path(), "a.csv", content);
        assert_eq!(told(&options(&[&path])), [wanted], "{content}");
    }
    // Two columns are two, whatever is in their names.
    let path = written(folder.path(), "b.csv", "id;x,text\n1,a;b\n");
    assert_eq!(
        told(&SourceOptions { text: TextFrom::Column("text".to_owned()), ..options(&[&path]) }),
        ["0 a;b"]
    );
}

#[test]
fn csv_is_read_by_the_delimiter_that_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    for delimiter in [";", "|", "\t", "\\t", ",", "\u{1f}"] {
        let between = if delimiter == "\\t" { "\t" } else { delimiter };
        let lines = ["id_text_lang", "1_\"hello_\"\"w\"\"\nworld\"_en", "2_, and;_de", "3_\"open_de"];
        // A value with another delimiter is in quotes where that is this one.
        let content = lines.map(|line| line.replace('_', between)).join("\n");
        let content = content.replace(", and;", "\", and;\"");
        let path = written(folder.path(), "a.csv", content);
        let mut options = options(&[&path]);
        options.delimiter = Some(delimiter.parse().expect("a delimiter"));
        options.keep = vec!["lang".to_owned()];
        let rows = told(&options);
        assert_eq!(rows[0], format!("\"1\" hello{between}\"w\"\nworld"), "{delimiter:?}");
        assert_eq!(rows[1], "\"2\" , and;", "{delimiter:?}");
        assert!(rows[2].contains("line 5: a quote is opened here"), "{}", rows[2]);
        assert_eq!(rows.len(), 3);
    }
}

#[test]
fn a_delimiter_is_for_csv_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let delimiter = Some(";".parse().expect("a delimiter"));
    for (name, content) in
        [("a.tsv", "id\ttext\n1\tx\n"), ("a.txt", "id;text\n1;x\n"), ("a.jsonl", "{\"text\": \"x\"}\n")]
    {
        let path = written(folder.path(), name, content);
        let said = refused(&SourceOptions { delimiter, ..options(&[&path]) });
        assert!(
            said.contains(&format!("{name}: --delimiter ';' is for CSV"))
                && said.contains("say --input-format csv"),
            "{said}"
        );
    }
    let path = folder.path().join("a.txt");
    let format = Some(InputFormat::Csv);
    assert_eq!(told(&SourceOptions { delimiter, format, ..options(&[&path]) }), ["\"1\" x"]);
}
