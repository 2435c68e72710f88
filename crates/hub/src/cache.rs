//! The cache of the Hugging Face libraries on disk: `models--org--name/{blobs,refs,snapshots}`.
//!
//! A file lies in `blobs` under its etag; `snapshots/COMMIT/PATH` leads to it; `refs/REVISION` has the commit of a
//! branch or tag. Nothing here touches the network.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::choice::{choose, parts_of};
use crate::error::{Error, ErrorKind};
use crate::name::{ModelName, Pick, is_inner_path};

/// How deep a repository's folders are followed.
const DEPTH: usize = 8;

/// The cache in a folder, which need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

/// A model in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// The repository, as `org/name`.
    pub repo: String,
    /// The commit it is from.
    pub commit: String,
    /// Its files in the repository, in order; the model opens by the first.
    pub files: Vec<String>,
    /// Where they lie.
    pub paths: Vec<PathBuf>,
}

impl Cache {
    /// The cache in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn repo_folder(&self, repo: &str) -> PathBuf {
        self.folder.join(folder_name(repo))
    }

    pub(crate) fn lock_path(&self, repo: &str, etag: &str) -> PathBuf {
        self.folder.join(".locks").join(folder_name(repo)).join(format!("{etag}.lock"))
    }

    /// The model that a name means, if it is here; `None` if it is not.
    ///
    /// Where no revision is named, [`MAIN`](crate::MAIN) comes first, then the newest other snapshot that has it: what was once pulled
    /// stays to be had when something else of the repository is fetched later.
    ///
    /// # Errors
    /// Several files fit.
    pub fn find(&self, name: &ModelName) -> Result<Option<Cached>, Error> {
        let Some((repo, folder)) = self.folder_of(&name.repo) else { return Ok(None) };
        for commit in commits(&folder, name) {
            let snapshot = folder.join("snapshots").join(&commit);
            let files = match &name.pick {
                Pick::File(file) => parts_of(file),
                _ => match choose(name, &gguf_files(&snapshot)) {
                    Ok(files) => files,
                    Err(error) if error.kind() == ErrorKind::Ambiguous => return Err(error),
                    Err(_) => continue,
                },
            };
            let paths: Vec<PathBuf> = files.iter().map(|file| snapshot.join(file)).collect();
            if paths.iter().all(|path| path.is_file()) {
                return Ok(Some(Cached { repo, commit, files, paths }));
            }
        }
        Ok(None)
    }

    /// Every GGUF model of the cache, by repository, commit and file.
    pub fn models(&self) -> Vec<Cached> {
        let mut models = Vec::new();
        for folder in entries(&self.folder) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(repo) = name.strip_prefix("models--").map(|rest| rest.replace("--", "/")) else {
                continue;
            };
            for snapshot in entries(&folder.join("snapshots")) {
                let commit = snapshot.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let mut files = gguf_files(&snapshot);
                files.sort();
                for first in &files {
                    let parts = parts_of(first);
                    // A split model is listed once, and only if it is whole.
                    if parts[0] == *first && parts.iter().all(|part| files.contains(part)) {
                        let paths = parts.iter().map(|file| snapshot.join(file)).collect();
                        models.push(Cached {
                            repo: repo.clone(),
                            commit: commit.clone(),
                            files: parts,
                            paths,
                        });
                    }
                }
            }
        }
        models.sort_by(|a, b| (&a.repo, &a.commit, &a.files).cmp(&(&b.repo, &b.commit, &b.files)));
        models
    }

    /// The folder of a repository. The hub does not look at case, folders may.
    fn folder_of(&self, repo: &str) -> Option<(String, PathBuf)> {
        let exact = self.repo_folder(repo);
        if exact.is_dir() {
            return Some((repo.to_owned(), exact));
        }
        let wanted = folder_name(repo);
        let found = entries(&self.folder).into_iter().find(|folder| {
            folder.file_name().is_some_and(|name| name.to_string_lossy().eq_ignore_ascii_case(&wanted))
        })?;
        let name = found.file_name()?.to_str()?.strip_prefix("models--")?.replace("--", "/");
        Some((name, found))
    }

    /// Lets `snapshots/COMMIT/FILE` lead to the blob.
    pub(crate) fn link(&self, repo: &str, commit: &str, file: &str, etag: &str) -> Result<PathBuf, Error> {
        let folder = self.repo_folder(repo);
        let pointer = folder.join("snapshots").join(commit).join(file);
        let failed = |error: io::Error| Error::disk(&pointer, "cannot be linked to its content", &error);
        make_folder(pointer.parent().unwrap_or(&folder))?;
        let up = "../".repeat(2 + file.split('/').count() - 1);
        let target = PathBuf::from(format!("{up}blobs/{etag}"));
        match fs::read_link(&pointer) {
            Ok(old) if old == target => return Ok(pointer),
            Ok(_) => fs::remove_file(&pointer).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A copy of the file: systems without links have such.
            Err(_) => fs::remove_file(&pointer).map_err(failed)?,
        }
        match link(&target, &pointer) {
            Ok(()) => {}
            // Another process was as fast.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Without links the file itself stands there, as huggingface_hub does it.
            Err(_) => fs::hard_link(folder.join("blobs").join(etag), &pointer).map_err(failed)?,
        }
        Ok(pointer)
    }

    /// Notes which commit a branch or tag is.
    pub(crate) fn note_revision(&self, repo: &str, revision: &str, commit: &str) -> Result<(), Error> {
        let path = self.repo_folder(repo).join("refs").join(revision);
        if revision == commit || fs::read_to_string(&path).is_ok_and(|noted| noted == commit) {
            return Ok(());
        }
        let failed = |error: io::Error| Error::disk(&path, "cannot be written", &error);
        make_folder(path.parent().unwrap_or(&path))?;
        // Others take what was left there for the name of a branch.
        files::clear_left(&path, files::SHARED);
        files::replace(&path, commit.as_bytes()).map_err(failed)
    }
}

pub(crate) fn make_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|error| Error::disk(folder, "the folder cannot be made", &error))
}

#[cfg(unix)]
fn link(target: &Path, pointer: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, pointer)
}

#[cfg(windows)]
fn link(target: &Path, pointer: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, pointer)
}

fn folder_name(repo: &str) -> String {
    format!("models--{}", repo.replace('/', "--"))
}

/// Commits in which to look, in order.
fn commits(folder: &Path, name: &ModelName) -> Vec<String> {
    let noted = fs::read_to_string(folder.join("refs").join(name.revision())).ok();
    let noted = noted.map(|commit| commit.trim().to_owned()).filter(|commit| is_inner_path(commit));
    let mut snapshots: Vec<(SystemTime, String)> = entries(&folder.join("snapshots"))
        .into_iter()
        .filter_map(|path| {
            let changed =
                path.metadata().and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            Some((changed, path.file_name()?.to_str()?.to_owned()))
        })
        .collect();
    snapshots.sort_by(|a, b| b.cmp(a));
    let snapshots = snapshots.into_iter().map(|(_, commit)| commit);
    match &name.revision {
        None => noted
            .clone()
            .into_iter()
            .chain(snapshots.filter(|commit| Some(commit) != noted.as_ref()))
            .collect(),
        Some(_) if noted.is_some() => noted.into_iter().collect(),
        // A commit, or its first digits.
        Some(revision) if revision.len() >= 7 => {
            snapshots.filter(|commit| commit.starts_with(revision)).collect()
        }
        Some(_) => Vec::new(),
    }
}

/// GGUF files of a snapshot that are there, links followed.
fn gguf_files(snapshot: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![(snapshot.to_owned(), String::new(), 0)];
    while let Some((folder, inside, depth)) = folders.pop() {
        for path in entries(&folder) {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let inside = format!("{inside}{name}");
            match path.metadata() {
                Ok(about) if about.is_dir() && depth < DEPTH => {
                    folders.push((path, format!("{inside}/"), depth + 1))
                }
                Ok(about) if about.is_file() && name.to_ascii_lowercase().ends_with(".gguf") => {
                    files.push(inside)
                }
                _ => {}
            }
        }
    }
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// A repository with a file in a commit.
    fn put(cache: &Cache, repo: &str, commit: &str, file: &str) {
        let blobs = cache.repo_folder(repo).join("blobs");
        make_folder(&blobs).expect("a folder");
        let etag = format!("{commit}-{}", file.replace('/', "-"));
        fs::write(blobs.join(&etag), file).expect("written");
        let pointer = cache.link(repo, commit, file, &etag).expect("linked");
        assert_eq!(fs::read_to_string(&pointer).expect("it leads there"), file);
        assert_eq!(cache.link(repo, commit, file, &etag).expect("again"), pointer);
    }

    fn found(cache: &Cache, name: &str) -> Option<(String, String)> {
        let found = cache.find(&name.parse().expect("a name")).expect("one or none")?;
        assert!(found.paths.iter().all(|path| path.is_file()));
        Some((found.commit, found.files[0].clone()))
    }

    #[test]
    fn a_model_is_found_by_name_revision_and_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path());
        put(&cache, "Org/Repo", A, "m-Q8_0.gguf");
        put(&cache, "Org/Repo", A, "sub/m-F16.gguf");
        put(&cache, "Org/Repo", B, "m-Q4_0.gguf");
        cache.note_revision("Org/Repo", "main", A).expect("noted");
        cache.note_revision("Org/Repo", "refs/pr/1", B).expect("noted");
        let hit = |commit: &str, file: &str| Some((commit.to_owned(), file.to_owned()));
        assert_eq!(found(&cache, "Org/Repo"), hit(A, "m-Q8_0.gguf"));
        assert_eq!(found(&cache, "org/repo:f16"), hit(A, "sub/m-F16.gguf"));
        assert_eq!(found(&cache, "Org/Repo/sub/m-F16.gguf"), hit(A, "sub/m-F16.gguf"));
        assert_eq!(found(&cache, "Org/Repo@refs/pr/1"), hit(B, "m-Q4_0.gguf"));
        assert_eq!(found(&cache, "Org/Repo:Q4_0"), hit(B, "m-Q4_0.gguf"), "not of main, yet pulled once");
        assert_eq!(found(&cache, &format!("Org/Repo:Q8_0@{}", &A[..8])), hit(A, "m-Q8_0.gguf"));
        for missing in ["Org/Repo:Q8_0@refs/pr/1", "Org/Repo:Q2_K", "Org/Other", "Org/Repo@aaaa"] {
            assert_eq!(found(&cache, missing), None, "{missing}");
        }
        let error = cache.find(&"Org/Repo:*m-*".parse().expect("a name")).expect_err("two");
        assert_eq!(error.kind(), ErrorKind::Ambiguous);
        assert_eq!(cache.models().len(), 3);
    }

    #[test]
    fn what_a_kill_left_of_a_revision_is_no_revision_for_long() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path());
        cache.note_revision("o/r", "main", A).expect("noted");
        let refs = folder.path().join("models--o--r/refs");
        let left = fs::File::create(refs.join("main.connote-1-0123abcd.part")).expect("created");
        left.set_modified(SystemTime::now() - 2 * files::SHARED).expect("a time");
        drop(left);
        cache.note_revision("o/r", "main", B).expect("noted");
        assert_eq!(entries(&refs), [refs.join("main")]);
        assert_eq!(fs::read_to_string(refs.join("main")).expect("read"), B);
    }

    #[test]
    fn a_model_with_a_part_or_its_content_missing_is_not_here() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path());
        put(&cache, "o/r", A, "m-00001-of-00002.gguf");
        assert_eq!(found(&cache, "o/r"), None);
        assert_eq!(found(&cache, "o/r/m-00001-of-00002.gguf"), None);
        put(&cache, "o/r", A, "m-00002-of-00002.gguf");
        assert_eq!(found(&cache, "o/r").map(|(commit, _)| commit).as_deref(), Some(A));
        let blobs = folder.path().join("models--o--r/blobs");
        fs::remove_file(&entries(&blobs)[0]).expect("removed");
        assert_eq!(found(&cache, "o/r"), None);
        assert_eq!(Cache::new("/nowhere").models(), []);
    }
}
