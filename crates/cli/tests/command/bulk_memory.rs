//! What is read and written is many times what may be held.
#![cfg(target_os = "linux")]

use std::fs;

use testkit::random::Random;

use super::bulk::Workplace;
use super::{lines, run};

/// Bytes of a note that comes along with each text.
const NOTE: usize = 2500;
/// A multiple of the rows that a part may have.
const FEW: usize = 2048;
const MANY: usize = 40_960;
/// Less than half of the notes of many rows; `scripts/bulk/kill_test.py` looks at the most that 200,000 rows take.
const MORE: u64 = 40 << 20;

/// The most memory that a run says it has, of three runs the least: what the allocator keeps of freed memory differs by
/// some 20 MB from run to run (seen with Arrow's batches of some MB), and only adds.
fn resident(here: &Workplace, input: &str, output: &str) -> u64 {
    let how = ["--output", output, "--keep", "note", "--part-rows", "1024", "--progress", "json"];
    let texts = ["--input", input, "--text-column", "text"];
    let most_of_a_run = |_| {
        let (_, stderr) = run(&mut here.embed(&[&texts[..], &how].concat()), 0);
        fs::remove_file(here.path(output)).expect("it was written");
        let told = lines(stderr.as_bytes());
        told.iter().filter_map(|object| object["resident_bytes"].as_u64()).max().expect("told")
    };
    (0..3).map(most_of_a_run).min().expect("three runs")
}

/// Rows with notes of letters that no two rows share, so that neither a dictionary nor compression makes them small.
fn notes(rows: usize) -> impl Iterator<Item = (String, String)> {
    let mut random = Random::seeded(3);
    let letters: String = (0..1 << 20).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
    (0..rows).map(move |row| {
        let begin = random.below(letters.len() - NOTE);
        (format!("cat {}", row % 100), letters[begin..begin + NOTE].to_owned())
    })
}

#[test]
fn memory_does_not_grow_with_the_input() {
    let here = Workplace::with(0);
    for (name, rows) in [("few.jsonl", FEW), ("many.jsonl", MANY)] {
        let row =
            |(text, note): (String, String)| format!("{{\"text\": \"{text}\", \"note\": \"{note}\"}}\n");
        fs::write(here.path(name), notes(rows).map(row).collect::<String>()).expect("written");
    }
    for format in ["jsonl", "csv", "parquet", "arrow"] {
        let of = |input: &str| resident(&here, input, &format!("{input}.{format}"));
        let (few, many) = (of("few.jsonl"), of("many.jsonl"));
        assert!(many < few + MORE, "{format}: {few} and {many} bytes");
    }
}

/// Parquet here is one row group, Arrow many batches.
#[test]
fn memory_does_not_grow_with_an_input_of_columns() {
    let here = Workplace::with(0);
    for (name, rows) in [("few", FEW), ("many", MANY)] {
        let csv = format!("{name}.csv");
        let row = |(text, note): (String, String)| format!("{text},\"{note}\"\n");
        let content = "text,note\n".to_owned() + &notes(rows).map(row).collect::<String>();
        fs::write(here.path(&csv), content).expect("written");
        // A part is a row group.
        let part = rows.to_string();
        for format in ["parquet", "arrow"] {
            let output = format!("{name}.{format}");
            let how =
                ["--text-column", "text", "--keep", "text,note", "--part-rows", &part, "--output", &output];
            run(&mut here.embed(&[&["--input", &csv], &how[..]].concat()), 0);
        }
        assert!(
            fs::metadata(here.path(&format!("{name}.parquet"))).expect("a file").len()
                > (rows * NOTE / 2) as u64
        );
    }
    for format in ["csv", "parquet", "arrow"] {
        let of = |name: &str| resident(&here, &format!("{name}.{format}"), "out.jsonl");
        let (few, many) = (of("few"), of("many"));
        assert!(many < few + MORE, "{format}: {few} and {many} bytes");
    }
}
