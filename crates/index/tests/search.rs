//! Searches against a naive oracle.

mod collections;

use collections::{build, dot, eighths, language, price, random, scheme, sold, sorted, year};
use connote_index::{Builder, Collection, ErrorKind, Filter, Plan, Precision, Values, Vectors};
use kernels::Level;
use proptest::prelude::*;
use tempfile::tempdir;
use threads::Team;

const ALL: [Precision; 4] = Precision::ALL;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn f32_and_f16_give_what_a_stable_sort_gives(
        dimensions in 1usize..90, rows in 0usize..300, top in 0usize..40, seed in any::<u64>(), step in 1usize..70,
    ) {
        let values = eighths(dimensions * rows, seed);
        let query = eighths(dimensions, seed ^ 1);
        let folder = tempdir().expect("a folder");
        let collection = build(&folder, scheme(dimensions, &ALL), &values, step).expect("it is built");
        prop_assert_eq!(collection.rows(), rows);
        let scores: Vec<f32> = values.chunks(dimensions).map(|row| dot(row, &query)).collect();
        let wanted = sorted(&scores, top, |_| true);
        for precision in [Precision::F32, Precision::F16] {
            let plan = Plan { top, ..Plan::new(precision) };
            let hits = collection.search(&Team::new(2), std::slice::from_ref(&query), &plan).expect("it is searched");
            prop_assert_eq!(&hits[0], &wanted);
        }
    }

    #[test]
    fn int8_and_binary_give_the_order_of_their_own_scores(
        dimensions in 1usize..90, rows in 1usize..300, seed in any::<u64>(),
    ) {
        let values = eighths(dimensions * rows, seed);
        let query = eighths(dimensions, seed ^ 1);
        let folder = tempdir().expect("a folder");
        let collection = build(&folder, scheme(dimensions, &ALL), &values, 64).expect("it is built");
        let team = Team::new(2);
        let quantised = |row: &[f32]| {
            let largest = row.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let integer = |value: &f32| if largest > 0.0 { (value * (127.0 / largest)).round() } else { 0.0 };
            (row.iter().map(integer).collect::<Vec<f32>>(), largest / 127.0)
        };
        let (query_integers, query_scale) = quantised(&query);
        let scores: Vec<f32> = values.chunks(dimensions).map(|row| {
            let (integers, scale) = quantised(row);
            dot(&integers, &query_integers) * scale * query_scale
        }).collect();
        let hits = collection.search(&team, std::slice::from_ref(&query), &Plan::new(Precision::Int8)).expect("searched");
        prop_assert_eq!(&hits[0], &sorted(&scores, 10, |_| true));

        let signs: Vec<f32> = values.chunks(dimensions).map(|row| {
            let same = row.iter().zip(&query).filter(|(a, b)| (**a > 0.0) == (**b > 0.0)).count();
            (2.0 * same as f32 - dimensions as f32) / dimensions as f32
        }).collect();
        let hits = collection.search(&team, std::slice::from_ref(&query), &Plan::new(Precision::Binary)).expect("searched");
        prop_assert_eq!(&hits[0], &sorted(&signs, 10, |_| true));

        // With all rows as candidates the answer is the exact one.
        let exact: Vec<f32> = values.chunks(dimensions).map(|row| dot(row, &query)).collect();
        for precision in [Precision::Int8, Precision::Binary] {
            let plan = Plan { rescore: rows, ..Plan::new(precision) };
            let hits = collection.search(&team, std::slice::from_ref(&query), &plan).expect("searched");
            prop_assert_eq!(&hits[0], &sorted(&exact, 10, |_| true));
        }
    }

    #[test]
    fn filters_leave_the_rows_that_pass_all(rows in 1usize..400, seed in any::<u64>(), which in 0usize..13) {
        let values = eighths(8 * rows, seed);
        let query = eighths(8, seed ^ 1);
        let folder = tempdir().expect("a folder");
        let collection = build(&folder, scheme(8, &ALL), &values, 100).expect("it is built");
        let (filters, keep): (&[&str], fn(usize) -> bool) = [
            (&["lang=en"] as &[&str], (|row| language(row) == Some("en")) as fn(usize) -> bool),
            (&["lang="], |row| language(row) == Some("")),
            (&["lang!=en"], |row| language(row) != Some("en")),
            (&["lang=de", "year=2001"], |row| language(row) == Some("de") && year(row) == Some(2001)),
            (&["year!=2001", "id!=0"], |row| year(row) != Some(2001) && row != 0),
            (&["lang=nowhere"], |_| false),
            (&["lang"], |row| language(row).is_some()),
            (&["!lang"], |row| language(row).is_none()),
            (&["price=0.10"], |row| price(row) == Some(0.1)),
            (&["price!=0"], |row| price(row) != Some(0.0)),
            (&["sold=true"], |row| sold(row) == Some(true)),
            (&["sold!=FALSE", "year"], |row| sold(row) != Some(false) && year(row).is_some()),
            (&["!price", "sold"], |row| price(row).is_none() && sold(row).is_some()),
        ][which];
        let scores: Vec<f32> = values.chunks(8).map(|row| dot(row, &query)).collect();
        let filters: Vec<Filter> = filters.iter().map(|text| text.parse().expect("a filter")).collect();
        let plan = Plan { filters, ..Plan::new(Precision::F32) };
        let hits = collection.search(&Team::new(2), &[query], &plan).expect("searched");
        prop_assert_eq!(&hits[0], &sorted(&scores, 10, keep));
    }
}

/// Ordinary numbers, whose sums round: the same bits whatever the threads, the level and the company of queries.
#[test]
fn answers_are_the_same_bits_at_any_number_of_threads_and_level() {
    let (dimensions, rows) = (131, 5000);
    let values: Vec<f32> =
        random(dimensions * rows, 5).iter().map(|bits| *bits as i32 as f32 / 3e9).collect();
    let queries: Vec<Vec<f32>> = (0..3)
        .map(|seed| random(dimensions, 77 + seed).iter().map(|bits| *bits as i32 as f32 / 3e9).collect())
        .collect();
    let folder = tempdir().expect("a folder");
    let first = build(&folder, scheme(dimensions, &ALL), &values, 512).expect("it is built");
    for precision in ALL {
        let plan = Plan { top: 50, ..Plan::new(precision) };
        let wanted = first.search(&Team::new(1), &queries, &plan).expect("searched");
        assert_eq!(wanted.iter().map(Vec::len).collect::<Vec<_>>(), [50; 3]);
        for level in Level::available() {
            let collection =
                Collection::open(folder.path()).and_then(|collection| collection.at_level(level));
            let collection = collection.expect("it opens");
            for threads in [1, 2, 5] {
                let hits = collection.search(&Team::new(threads), &queries, &plan).expect("searched");
                assert_eq!(hits, wanted, "{precision} {level} {threads}");
            }
            let alone = collection.search(&Team::new(2), &queries[2..], &plan).expect("searched");
            assert_eq!(alone[0], wanted[2], "{precision} {level}");
        }
    }
}

#[test]
fn values_come_back_with_the_rows() {
    let folder = tempdir().expect("a folder");
    let collection =
        build(&folder, scheme(4, &[Precision::F16]), &eighths(4 * 50, 3), 7).expect("it is built");
    for row in 0..50 {
        let text = |column| collection.value(column, row).expect("a value").to_string();
        assert_eq!(text(0), (row * 10).to_string());
        assert_eq!(text(1), language(row).unwrap_or(""));
        assert_eq!(text(2), year(row).map(|year| year.to_string()).unwrap_or_default());
        assert_eq!(text(3), price(row).map(|price| price.to_string()).unwrap_or_default());
        assert_eq!(text(4), sold(row).map(|sold| sold.to_string()).unwrap_or_default());
        assert_eq!(collection.vector(row).expect("a vector"), eighths(4 * 50, 3)[row * 4..][..4]);
    }
    assert_eq!(collection.value(0, 50).expect_err("no row").kind(), ErrorKind::Usage);
    assert_eq!(collection.value(5, 0).expect_err("no column").kind(), ErrorKind::Usage);
    assert_eq!(collection.space().fingerprint, "0123456789abcdef");
    collection.verify().expect("it is whole");
}

#[test]
fn what_was_quantised_before_stays_as_it_is() {
    let folder = tempdir().expect("a folder");
    let mut of_int8 = scheme(4, &[Precision::Int8, Precision::Binary]);
    of_int8.columns.truncate(1);
    let mut builder = Builder::create(folder.path(), of_int8).expect("it begins");
    let vectors = Vectors::Int8 { values: &[1, -2, 3, 0, 127, 0, 0, -128], scales: &[0.5, 0.25] };
    builder.push(vectors, &[Values::Integers(&[Some(1), Some(2)])]).expect("they fit");
    builder.finish().expect("it is built");
    let collection = Collection::open(folder.path()).expect("it opens");
    let query = vec![127.0, 0.0, 0.0, 0.0];
    let hits = collection.search(&Team::new(1), &[query], &Plan::new(Precision::Int8)).expect("searched");
    let scores: Vec<(usize, f32)> = hits[0].iter().map(|hit| (hit.row, hit.score)).collect();
    assert_eq!(scores, [(1, 127.0 * 127.0 * 0.25), (0, 127.0 * 0.5)]);
    assert_eq!(collection.stored(Precision::Binary).expect("kept"), [0b1010_0000, 0b1000_0000]);
    // Nothing is there to rescore with, and the usual plan does not try.
    assert_eq!(collection.plan(Precision::Int8, 10).expect("a plan").rescore, 0);
    let plan = Plan { rescore: 5, ..Plan::new(Precision::Int8) };
    let refused = collection.search(&Team::new(1), &[vec![1.0; 4]], &plan).expect_err("no f32");
    assert!(refused.to_string().contains("--rescore 0"), "{refused}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempdir().expect("a folder");
    let refused = |scheme| Builder::create(folder.path(), scheme).err().expect("refused").to_string();
    assert!(refused(scheme(0, &ALL)).contains("1 to 65536"));
    assert!(refused(scheme(4, &[])).contains("once each"));
    assert!(refused(scheme(4, &[Precision::F32, Precision::F32])).contains("once each"));
    let mut twice = scheme(4, &ALL);
    twice.columns[2].0 = "lang".to_owned();
    assert!(refused(twice).contains("`lang` is there twice"));

    let mut one = scheme(2, &ALL);
    one.columns.truncate(1);
    let push = |vectors: Vectors<'_>, ids: &[Option<i64>]| {
        let mut builder = Builder::create(folder.path(), one.clone()).expect("it begins");
        builder.push(vectors, &[Values::Integers(ids)]).expect_err("refused").to_string()
    };
    assert!(push(Vectors::F32(&[1.0; 3]), &[Some(1)]).contains("no vectors of 2"));
    assert!(push(Vectors::F32(&[1.0; 4]), &[Some(1)]).contains("other kinds or lengths"));
    assert!(push(Vectors::F32(&[1.0, f32::NAN]), &[Some(1)]).contains("no finite numbers"));
    assert!(push(Vectors::F32(&[1.0, 70000.0]), &[Some(1)]).contains("does not fit f16"));
    assert!(push(Vectors::Bits(&[0x80]), &[Some(1)]).contains("cannot be made of binary"));

    let collection = build(&folder, scheme(4, &[Precision::F32]), &eighths(40, 1), 10).expect("it is built");
    let search = |query: Vec<f32>, plan: &Plan| {
        collection.search(&Team::new(1), &[query], plan).expect_err("refused").to_string()
    };
    let plan = Plan::new(Precision::F32);
    assert!(search(vec![1.0; 3], &plan).contains("the query has 3 values"));
    assert!(search(vec![f32::INFINITY; 4], &plan).contains("no finite numbers"));
    assert!(search(vec![1.0; 4], &Plan::new(Precision::Int8)).contains("--precision f32,int8"));
    let filtered = |text: &str| Plan { filters: vec![text.parse().expect("a filter")], ..plan.clone() };
    assert!(search(vec![1.0; 4], &filtered("color=red")).contains("only id, lang, year, price, sold"));
    assert!(search(vec![1.0; 4], &filtered("year=soon")).contains("`soon` is none"));
    assert!(search(vec![1.0; 4], &filtered("price=cheap")).contains("`cheap` is none"));
    assert!(search(vec![1.0; 4], &filtered("sold!=2")).contains("true and false, and `2` is none"));
    for wrong in ["", "=en", "!=en", "!"] {
        assert!(wrong.parse::<Filter>().is_err(), "{wrong:?}");
    }
}
