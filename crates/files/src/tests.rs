use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use super::*;

fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    names
}

/// Threads of one process, as two embedders are; under one name aside, one empties the file that the other has just named.
#[test]
fn writers_of_one_file_at_once_never_show_a_part_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    type Write = fn(&Path, &[u8]) -> io::Result<()>;
    let writers: [(u8, Write); 3] = [(b'a', cache), (b'b', cache), (b'c', replace)];
    let (begin, at_work) = (Barrier::new(writers.len() + 2), AtomicBool::new(true));
    cache(&path, &[b'd'; 5000]).expect("written");
    thread::scope(|scope| {
        let works = writers.map(|(byte, write)| {
            let (path, begin) = (&path, &begin);
            scope.spawn(move || {
                begin.wait();
                (0..50).for_each(|_| write(path, &[byte; 5000]).expect("written"));
            })
        });
        scope.spawn(|| {
            begin.wait();
            while at_work.load(Ordering::Relaxed) {
                let read = fs::read(&path).expect("it is always there");
                assert!(read.len() == 5000 && read.iter().all(|byte| *byte == read[0]), "{}", read.len());
            }
        });
        // Whoever clears what was left never takes what is at work, in no moment of it.
        scope.spawn(|| {
            begin.wait();
            while at_work.load(Ordering::Relaxed) {
                clear_left(&path, Duration::ZERO);
            }
        });
        let ended = works.map(|work| work.join().is_ok());
        at_work.store(false, Ordering::Relaxed);
        assert_eq!(ended, [true; 3]);
    });
    assert_eq!(names(folder.path()), ["a"]);
}

#[test]
fn what_was_left_goes_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let others = [
        "a.connote-1.part.txt",
        "a.connote-.part",
        "a.connote-x.part",
        "a.connote-ab.part",
        "a.part",
        "b.connote-1-ab.part",
    ];
    for name in others.iter().chain(&["a.connote-1-0fe45a1b.part", "a.connote-12.part"]) {
        fs::write(at(name), "half").expect("written");
    }
    let old = File::create(at("a.connote-2-0000000a.part")).expect("created");
    old.set_modified(SystemTime::now() - 2 * SHARED).expect("a time");
    let target = at("a");
    clear_left(&target, SHARED);
    assert_eq!(names(folder.path()).len(), others.len() + 2, "the old one alone");
    let at_work = Unfinished::create(&target).expect("begun");
    clear_left(&target, Duration::ZERO);
    assert_eq!(names(folder.path()).len(), others.len() + 1);
    assert!(at_work.path().exists());
    at_work.complete().expect("complete");
    let mut left: Vec<OsString> = others.iter().chain(&["a"]).map(OsString::from).collect();
    left.sort();
    assert_eq!(names(folder.path()), left);
}

#[test]
fn what_is_not_complete_leaves_nothing_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    replace(&path, b"old").expect("written");
    let mut unfinished = Unfinished::create(&path).expect("begun");
    unfinished.file().write_all(b"half").expect("written");
    unfinished.sync().expect("synced");
    assert_eq!(names(folder.path()).len(), 2);
    unfinished.discard().expect("removed");
    drop(Unfinished::create(&path).expect("begun"));
    let not_first = Unfinished::create(&path).expect("begun").take_free_name().expect_err("it is taken");
    assert_eq!(not_first.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!((fs::read(&path).expect("read"), names(folder.path())), (b"old".to_vec(), vec!["a".into()]));
    let free = folder.path().join("b");
    Unfinished::create(&free).expect("begun").take_free_name().expect("it is free");
    assert_eq!(names(folder.path()), ["a", "b"]);
}

#[test]
fn what_is_no_file_is_not_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in [folder.path(), Path::new("/dev/null")] {
        let refused = replace(path, b"x").expect_err("it is no file");
        assert!(cfg!(windows) || refused.to_string().contains("name a file"), "{refused}");
    }
    cache(&folder.path().join("new/a"), b"x").expect("a folder is made");
    assert_eq!(names(folder.path()), ["new"]);
}

#[cfg(unix)]
#[test]
fn permissions_owner_and_group_are_those_of_the_one_before() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let folder = tempfile::tempdir().expect("a folder");
    let (any, path) = (folder.path().join("any"), folder.path().join("a"));
    let of = |path: &Path| {
        let about = fs::metadata(path).expect("a file");
        (about.permissions().mode() & 0o777, about.uid(), about.gid())
    };
    fs::write(&any, "").expect("written");
    replace(&path, b"new").expect("written");
    assert_eq!(of(&path), of(&any), "as any new file");
    // Root alone may give files away; for others these are their own.
    let _ = chown(&path, Some(12_345), Some(54_321));
    for mode in [0o600, 0o664, 0o444] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        let before = of(&path);
        assert_eq!(before.0, mode);
        replace(&path, b"newer").expect("written");
        assert_eq!(of(&path), before);
    }
    // From its first moment on, whatever the one before allows: who has it open reads what comes later.
    let aside = folder.path().join("aside");
    Predecessor::of(&path).expect("a file").new_file().open(&aside).expect("created");
    assert_eq!(of(&aside).0, 0o600);
}

/// Whoever writes through a handle of his own, as the command does, may hold it longer than the file is unfinished.
#[test]
fn a_file_that_has_its_name_is_not_locked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    let unfinished = Unfinished::create(&path).expect("begun");
    let _writes = unfinished.file().try_clone().expect("a handle");
    let other = File::open(unfinished.path()).expect("opened");
    assert!(other.try_lock().is_err());
    unfinished.complete().expect("complete");
    File::open(&path).expect("opened").try_lock().expect("free");
}

#[cfg(unix)]
#[test]
fn a_link_that_is_called_like_an_unfinished_file_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("a.connote-1-0fe45a1b.part");
    fs::write(folder.path().join("b"), "of somebody else").expect("written");
    std::os::unix::fs::symlink("b", &link).expect("linked");
    clear_left(&folder.path().join("a"), Duration::ZERO);
    assert_eq!(names(folder.path()), ["a.connote-1-0fe45a1b.part", "b"]);
}
