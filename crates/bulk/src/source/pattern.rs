//! Which files a pattern such as `notes/*.csv` means.

use std::path::{Path, PathBuf};

use glob::Pattern;

use crate::{Error, ErrorKind};

/// What a pattern names, in the order of the names.
pub(super) fn matching(pattern: &Path) -> Result<Vec<PathBuf>, Error> {
    let shown = pattern.display();
    let wrong = |what: String| Error::new(ErrorKind::Usage, format_args!("{shown}: {what}"));
    let no_pattern = |error: glob::PatternError| wrong(format!("is no pattern: {error}"));
    let Some(written) = pattern.to_str() else {
        return Err(wrong("there is no such file, and a pattern must be UTF-8".to_owned()));
    };
    let mut found = glob::glob(written)
        .map_err(no_pattern)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::new(ErrorKind::Input, error))?;
    if let Some(last) = last_of_files(pattern, written) {
        let folder = pattern.parent().unwrap_or(Path::new(""));
        let passed_over = not_utf8(folder, &Pattern::new(last).map_err(no_pattern)?);
        if !passed_over.is_empty() {
            found.extend(passed_over);
            found.sort_unstable();
        }
    }
    Ok(found)
}

/// What stands for the names of files, unless the pattern means folders alone.
fn last_of_files<'a>(pattern: &'a Path, written: &str) -> Option<&'a str> {
    let last = pattern.file_name().and_then(|name| name.to_str())?;
    (last != "**" && !written.ends_with(std::path::is_separator)).then_some(last)
}

/// Files whose names are not UTF-8, which `glob` passes over: they match as their names are shown.
fn not_utf8(folder: &Path, last: &Pattern) -> Vec<PathBuf> {
    let matched = |folder: &Path| match folder.to_str() {
        None | Some("") => vec![PathBuf::new()],
        Some(folder) => glob::glob(folder).into_iter().flatten().flatten().collect(),
    };
    let mut folders = matched(folder);
    // `**` may stand for no folder at all, and alone it does not name that one.
    let mut above = folder;
    while above.ends_with("**") {
        above = above.parent().unwrap_or(Path::new(""));
        folders.extend(matched(above));
    }
    folders.sort_unstable();
    folders.dedup();
    let mut found = Vec::new();
    for folder in folders {
        let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        // What cannot be read was told already.
        for entry in std::fs::read_dir(listed).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_none() && last.matches(&name.to_string_lossy()) {
                found.push(folder.join(name));
            }
        }
    }
    found
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn names_that_are_not_utf_8_are_found_as_all_others_are() {
        let root = tempfile::tempdir().expect("a folder");
        let cafe = std::ffi::OsStr::from_bytes(b"caf\xe9.txt");
        for folder in ["", "sub"] {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).expect("made");
            for name in [cafe, "a.txt".as_ref(), "d.txt".as_ref()] {
                fs::write(folder.join(name), "").expect("written");
            }
        }
        let found = |pattern: &str| -> Vec<String> {
            let found = matching(&root.path().join(pattern)).expect("a pattern").into_iter();
            let files = found.filter(|path| !path.is_dir());
            files.map(|path| path.strip_prefix(root.path()).expect("within").display().to_string()).collect()
        };
        let here = ["a.txt", "caf\u{fffd}.txt", "d.txt"];
        assert_eq!(found("*.txt"), here);
        assert_eq!(found("s*/[ac]*"), ["sub/a.txt", "sub/caf\u{fffd}.txt"]);
        assert_eq!(found("**/*.txt").len(), 6);
        // These mean folders, of which none is a file.
        for folders in ["**", "*/", "sub/*/"] {
            assert_eq!(found(folders), Vec::<String>::new(), "{folders}");
        }
    }
}
