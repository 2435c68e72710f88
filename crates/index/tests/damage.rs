//! Files that are not as they were written, and builds that do not come to their end.

mod collections;

use std::fs;

use collections::{build, eighths, scheme};
use connote_index::{Builder, Collection, ErrorKind, FILE_NAME, Plan, Precision, Values, Vectors};
use tempfile::{TempDir, tempdir};
use threads::Team;

const ROWS: usize = 20;
const ALL: [Precision; 4] = Precision::ALL;

fn small() -> (TempDir, Vec<u8>) {
    let folder = tempdir().expect("a folder");
    build(&folder, scheme(9, &ALL), &eighths(9 * ROWS, 1), 6).expect("it is built");
    let bytes = fs::read(folder.path().join(FILE_NAME)).expect("a file");
    (folder, bytes)
}

/// Everything that a collection can be asked; the answers, or the first error.
fn ask(collection: &Collection) -> Result<String, connote_index::Error> {
    let team = Team::new(1);
    let mut answers = String::new();
    for precision in ALL {
        for filter in ["lang=en", "year!=2001", "price=0.1", "sold!=true", "!sold"] {
            let filters = vec![filter.parse().expect("a filter")];
            let plan = Plan { filters, top: 5, ..Plan::new(precision) };
            answers += &format!("{:?}", collection.search(&team, &[eighths(9, 2)], &plan)?);
        }
    }
    for row in 0..collection.rows() {
        for column in 0..collection.columns().len() {
            answers += &format!("{:?}", collection.value(column, row)?);
        }
        collection.vector(row)?;
    }
    Ok(answers)
}

#[test]
fn a_changed_byte_is_an_error_or_found_by_verify() {
    let (folder, bytes) = small();
    let path = folder.path().join(FILE_NAME);
    let whole = ask(&Collection::open(&path).expect("it opens")).expect("answers");
    let mut refused = 0;
    for place in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= change;
            // Another file, as nobody may change one that is mapped.
            let other = folder.path().join("other");
            fs::write(&other, &damaged).expect("written");
            match Collection::open(&other) {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "byte {place}: {error}");
                    refused += 1;
                }
                Ok(collection) => match (ask(&collection), collection.verify()) {
                    // Filling between the sections.
                    (Ok(answers), Ok(())) => assert_eq!(answers, whole, "byte {place}"),
                    (Err(error), Ok(())) => panic!("byte {place}: verify did not see it: {error}"),
                    (_, Err(error)) => assert_eq!(error.kind(), ErrorKind::Damaged, "byte {place}"),
                },
            }
            fs::remove_file(&other).expect("removed");
        }
    }
    // The head and what it says of itself.
    assert!(refused > 3 * 900, "{refused}");
}

#[test]
fn a_file_cut_off_is_an_error() {
    let (folder, bytes) = small();
    for length in 0..bytes.len() {
        let other = folder.path().join("other");
        fs::write(&other, &bytes[..length]).expect("written");
        let error = Collection::open(&other).expect_err("cut off");
        assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Io), "{error}");
        assert!(error.to_string().contains("other"), "{error}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    fs::write(folder.path().join("other"), longer).expect("written");
    assert!(Collection::open(&folder.path().join("other")).is_err());
}

#[test]
fn a_build_that_stops_leaves_what_was_there() {
    let (folder, bytes) = small();
    let mut builder = Builder::create(folder.path(), scheme(9, &ALL)).expect("it begins");
    let ids = [Some(1)];
    let columns = [
        Values::Integers(&ids),
        Values::Texts(&[None]),
        Values::Integers(&[None]),
        Values::Floats(&[None]),
        Values::Booleans(&[None]),
    ];
    builder.push(Vectors::F32(&[0.0; 9]), &columns).expect("it fits");
    drop(builder);
    assert_eq!(fs::read(folder.path().join(FILE_NAME)).expect("a file"), bytes);
    let names: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_collection_that_is_open_stays_as_it_was_when_another_takes_its_name() {
    let (folder, _) = small();
    let old = Collection::open(folder.path()).expect("it opens");
    let before = ask(&old).expect("answers");
    let new = build(&folder, scheme(9, &ALL), &eighths(9 * 3, 8), 6).expect("it is built");
    assert_eq!((new.rows(), old.rows()), (3, ROWS));
    assert_eq!(ask(&old).expect("answers"), before);
}

/// What a build leaves that is killed while it puts the collection together.
#[cfg(unix)]
#[test]
fn the_next_build_takes_away_what_a_killed_one_left_but_not_what_another_writes() {
    use std::fs::File;
    let (folder, bytes) = small();
    let at = |name: &str| folder.path().join(name);
    let beside = |ending: &str| at(&format!("{FILE_NAME}{ending}"));
    for ending in [".connote-1-0123abcd.part", ".connote-1", ".part"] {
        fs::write(beside(ending), "half").expect("written");
    }
    // Another build is about to finish.
    let held = File::create(beside(".connote-2-0123abcd.part")).expect("created");
    held.lock().expect("locked");
    build(&folder, scheme(9, &ALL), &eighths(9 * ROWS, 1), 6).expect("it is built");
    assert!(!beside(".connote-1-0123abcd.part").exists());
    assert!(beside(".connote-1").exists() && beside(".part").exists());
    assert!(beside(".connote-2-0123abcd.part").exists());
    drop(held);
    build(&folder, scheme(9, &ALL), &eighths(9 * ROWS, 1), 6).expect("it is built");
    assert!(!beside(".connote-2-0123abcd.part").exists());
    assert_eq!(fs::read(at(FILE_NAME)).expect("a file"), bytes);
}

#[cfg(unix)]
#[test]
fn a_collection_has_the_permissions_of_any_new_file_and_then_of_the_one_before() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _) = small();
    let mode = |name: &str| {
        let about = fs::metadata(folder.path().join(name)).expect("a file");
        about.permissions().mode() & 0o777
    };
    fs::write(folder.path().join("any"), "").expect("written");
    assert_eq!(mode(FILE_NAME), mode("any"));
    fs::set_permissions(folder.path().join(FILE_NAME), fs::Permissions::from_mode(0o600)).expect("set");
    build(&folder, scheme(9, &ALL), &eighths(9 * ROWS, 1), 6).expect("it is built");
    assert_eq!(mode(FILE_NAME), 0o600);
}

#[test]
fn equal_input_gives_equal_bytes() {
    let ((_one, first), (_other, second)) = (small(), small());
    assert_eq!(first, second);
}

#[test]
fn what_is_not_there_is_said() {
    let folder = tempdir().expect("a folder");
    let error = Collection::open(folder.path()).expect_err("nothing there");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains(FILE_NAME), "{error}");
    fs::write(folder.path().join(FILE_NAME), "").expect("written");
    assert_eq!(Collection::open(folder.path()).expect_err("empty").kind(), ErrorKind::Damaged);
}

/// However large a collection is, opening it reads its head alone; the rest is mapped, and read when it is searched.
#[cfg(target_os = "linux")]
#[test]
fn opening_reads_the_head_and_maps_the_rest() {
    /// What this thread has read by calls, as the system counts.
    fn bytes_read() -> u64 {
        let io = fs::read_to_string("/proc/thread-self/io").expect("told");
        let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("a line");
        line.parse().expect("a number")
    }
    /// Bytes of the file's mapping in this process, and those of them that are in memory.
    fn mapped(path: &str) -> (u64, u64) {
        let maps = fs::read_to_string("/proc/self/smaps").expect("told");
        let (_, mapping) = maps.split_once(path).expect("it is mapped");
        let size = |key: &str| -> u64 {
            let value = mapping.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
            value.trim().strip_suffix(" kB").expect("a unit").parse::<u64>().expect("a number") * 1024
        };
        (size("Size:"), size("Rss:"))
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (rows, dimensions) = (20_000, 256);
    drop(build(&folder, scheme(dimensions, &[Precision::F32]), &eighths(rows * dimensions, 3), 1000));
    let before = bytes_read();
    let told = bytes_read() - before;
    let collection = Collection::open(folder.path()).expect("it opens");
    let read = bytes_read() - before - 2 * told;
    let size = collection.file_bytes();
    assert!(size > (rows * dimensions * 4) as u64 && read < size / 100, "{read} of {size} bytes were read");
    let path = collection.path().display().to_string();
    let (all, there) = mapped(&path);
    // The system brings some pages around each that is touched.
    assert!(all >= size && there < size / 4, "{there} of {all} bytes are in memory");
    collection.verify().expect("it is whole");
    assert!(mapped(&path).1 > size / 2, "what was read is there");
}
