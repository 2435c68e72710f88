//! What is asked of the engine for rows. By itself, since the engine counts for the whole process.

use connote::jsonl::{self, RowError};
use connote::{Embedder, Input, Options};
use connote_bulk::{Answering, Place, Row};
use testkit::tiny;

fn row(number: u64, input: Result<Input, RowError>) -> Row {
    let id = jsonl::numbered(number as usize);
    Row { number, id, place: Place { file: "f".into(), line: number + 1 }, input }
}

#[test]
fn what_is_equal_is_computed_once_and_rows_keep_their_order() {
    let embedder = Embedder::from_bytes(tiny::bert(1)).expect("a model");
    let mut answering = Answering::new(&embedder, Options::new(), None, None);
    let texts = ["cat", "dog", "cat", "house", "dog"];
    let unreadable = RowError::at_line(6, "invalid_json", "no");
    let mut rows: Vec<Row> =
        texts.iter().zip(0..).map(|(&text, number)| row(number, Ok(Input::new(text)))).collect();
    rows.push(row(5, Err(unreadable)));
    let computed = |embedder: &Embedder| embedder.statistics().texts;
    let before = computed(&embedder);
    let same = rows[..5].to_vec();
    let results = answering.answer(&mut rows).expect("answers");
    assert_eq!(computed(&embedder) - before, 3, "within a call");
    for (text, result) in texts.iter().zip(&results) {
        let alone = embedder.embed_one(*text).expect("a vector");
        assert_eq!(result.as_ref().expect("a vector"), &alone, "{text}");
    }
    assert_eq!(results[5].as_ref().expect_err("unreadable").kind, "invalid_json");
    let before = computed(&embedder);
    assert!(
        rows[..5].iter().all(|row| row.input.as_ref().is_ok_and(|input| input.text().is_empty())),
        "texts are held once"
    );
    let again = answering.answer(&mut same.clone()).expect("answers");
    assert_eq!(computed(&embedder), before, "from one call to the next");
    for (first, second) in results.iter().zip(&again) {
        assert_eq!(first.as_ref().expect("a vector"), second.as_ref().expect("a vector"));
    }
    // A title makes it another text.
    answering.answer(&mut [row(6, Ok(Input::new("cat").title("T")))]).expect("answers");
    let long = row(7, Ok(Input::new("cat ".repeat(600))));
    let mut strict =
        Answering::new(&embedder, Options::new().truncation(connote::Truncation::Error), None, None);
    let refused = strict.answer(&mut [long]).expect("answers");
    let error = refused[0].as_ref().expect_err("too long");
    assert!(error.kind == "too_long" && error.message.starts_with("line 8: "), "{error:?}");
}
