use std::collections::HashSet;
use std::sync::Mutex;
use std::thread;

use tempfile::TempDir;

use super::*;

fn file(store: &Store, content: &[u8]) -> FileRecord {
    let id = store.new_id("file-");
    fs::write(store.part(&id), content).expect("written");
    FileRecord::new(id, content.len() as u64, "a".to_owned(), Purpose::Batch, None)
}

#[test]
fn files_whose_time_is_over_make_room_before_the_folder_is_full() {
    let folder = TempDir::new().expect("a folder");
    let store = Arc::new(Store::open(folder.path(), 10).expect("it opens"));
    store.take(8).expect("room").keep();
    let kept = store.keep_file(file(&store, b"12345678")).expect("kept");
    assert!(store.take(3).is_err(), "it is needed");
    store.kept().files.get_mut(&kept.id).expect("it is there").expires_at = Some(1);
    assert!(store.take_now(3).is_err());
    store.take(3).expect("it is gone");
    assert!(!store.content(&kept.id).exists());
}

#[test]
fn room_is_given_back_by_who_drops_it_and_by_a_deletion_that_fails() {
    let folder = TempDir::new().expect("a folder");
    let store = Arc::new(Store::open(folder.path(), 10).expect("it opens"));
    let mut room = store.take(4).expect("room");
    room.grow(store.take(6).expect("room"));
    assert!(store.take_now(1).is_err());
    drop(room);
    store.take(10).expect("it is there again").keep();
    let kept = store.keep_file(file(&store, b"1234567890")).expect("kept");
    assert!(store.take_now(1).is_err());
    // As a file that cannot be removed.
    fs::remove_file(store.content(&kept.id)).expect("removed");
    fs::create_dir(store.content(&kept.id)).expect("made");
    assert!(store.delete(&kept.id).is_err() && store.file(&kept.id).is_none());
    assert!(store.take_now(10).is_ok());
}

/// As on a full disk: the record cannot be written, since what is in its place is no file.
#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_kept_is_a_part_as_before() {
    let folder = TempDir::new().expect("a folder");
    let store = Arc::new(Store::open(folder.path(), 10).expect("it opens"));
    let record = file(&store, b"a");
    let in_the_way = store.content(&record.id).with_extension("json");
    std::os::unix::fs::symlink("/dev/null", &in_the_way).expect("linked");
    assert!(store.keep_file(record.clone()).is_err());
    assert!(store.part(&record.id).exists() && !store.content(&record.id).exists());
    assert!(!in_the_way.exists());
    for _ in 0..2 {
        store.keep_file(record.clone()).expect("kept");
    }
    assert_eq!(fs::read(store.content(&record.id)).expect("it is there"), b"a");
}

#[test]
fn ids_are_each_their_own_and_need_not_wait_for_the_disk() {
    let folder = TempDir::new().expect("a folder");
    let store = Arc::new(Store::open(folder.path(), 10).expect("it opens"));
    // Who changes a record has it until the disk has the record.
    let _held = store.kept();
    let all = Mutex::new(HashSet::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let ids: Vec<String> = (0..1_000).map(|_| store.new_id("")[..16].to_owned()).collect();
                assert!(ids.is_sorted());
                all.lock().expect("nobody fell").extend(ids);
            });
        }
    });
    assert_eq!(all.into_inner().expect("nobody fell").len(), 4_000);
}

#[test]
fn what_a_kill_left_of_a_record_goes_when_the_folder_is_opened() {
    let folder = TempDir::new().expect("a folder");
    drop(Store::open(folder.path(), 10).expect("it opens"));
    let at = |name: &str| folder.path().join(name);
    let left = ["files/file-1.json.connote-1-0123abcd.part", "batches/batch_1.json.connote-1-0123abcd.part"];
    for name in left.iter().chain(&["batches/notes.txt"]) {
        fs::write(at(name), "{").expect("written");
    }
    drop(Store::open(folder.path(), 10).expect("it opens"));
    assert!(left.iter().all(|name| !at(name).exists()) && at("batches/notes.txt").exists());
}
