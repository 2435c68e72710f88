//! A model from the hub into the cache.

use std::path::PathBuf;

use serde::Deserialize;
use ureq::http::Response;

use crate::address::shown;
use crate::blob::{self, Blob};
use crate::cache::{Cache, make_folder};
use crate::checksum::Checksum;
use crate::choice::{choose, parts_of};
use crate::client::{Client, Told, encoded};
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::name::{ModelName, Pick, is_inner_path};
use crate::settings::Settings;

/// A model that is in the cache now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pulled {
    /// The repository, as `org/name`.
    pub repo: String,
    /// The commit it is from.
    pub commit: String,
    /// Its files, in order; the model opens by the first.
    pub files: Vec<PulledFile>,
}

/// A file of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PulledFile {
    /// Its path in the repository.
    pub file: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its content, as the hub says it, if it does.
    pub sha256: Option<String>,
    /// It was here before.
    pub was_here: bool,
}

/// What the hub says of a repository.
#[derive(Debug, Deserialize)]
struct Listing {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

/// Fetches what of a model is not here yet. With `verify`, what is here is read and compared, too, and fetched anew if it is
/// not what it should be.
///
/// # Errors
/// One of [`ErrorKind`]. What has arrived stays, and the next call goes on from there; the model is in the cache only when
/// all of it is.
pub fn pull(
    settings: &Settings,
    cache: &Cache,
    name: &ModelName,
    verify: bool,
    told: &mut dyn FnMut(Event<'_>),
) -> Result<Pulled, Error> {
    let client = Client::new(settings)?;
    let (files, revision) = match &name.pick {
        // Needs no listing, which a plain mirror may not have.
        Pick::File(file) => (parts_of(file), name.revision().to_owned()),
        _ => {
            let listing = listing(&client, name, told)?;
            let files: Vec<String> = listing.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
            (choose(name, &files)?, listing.sha)
        }
    };
    let mut blobs: Vec<Blob> = Vec::with_capacity(files.len());
    for file in &files {
        let revision = blobs.first().map_or(revision.as_str(), |first| first.commit.as_str());
        blobs.push(about(&client, &name.repo, revision, file, told)?);
    }
    let commit = blobs.first().map(|blob| blob.commit.clone()).unwrap_or_default();
    told(Event::Chosen { files: &files, bytes: blobs.iter().map(|blob| blob.bytes).sum(), commit: &commit });
    let mut pulled = Vec::with_capacity(blobs.len());
    if verify {
        remove_wrong(cache, &name.repo, &blobs)?;
        for blob in blobs.iter().filter(|blob| blob.checksum() == Checksum::Unknown) {
            if blob.path(cache, &name.repo).is_file() {
                told(Event::NotCompared { file: &blob.file });
            }
        }
    }
    check_room(cache, &name.repo, &blobs)?;
    for blob in &blobs {
        let was_here = blob.path(cache, &name.repo).is_file() && blob.missing(cache, &name.repo) == 0;
        if was_here {
            told(Event::Here { file: &blob.file, bytes: blob.bytes });
        } else {
            blob::fetch(&client, cache, &name.repo, blob, told)?;
        }
        pulled.push(PulledFile {
            file: blob.file.clone(),
            path: PathBuf::new(),
            bytes: blob.bytes,
            sha256: blob.sha256().map(str::to_owned),
            was_here,
        });
    }
    // Only now: a model of which a part is missing shall not be found.
    for (file, blob) in pulled.iter_mut().zip(&blobs) {
        file.path = cache.link(&name.repo, &commit, &blob.file, &blob.etag)?;
    }
    cache.note_revision(&name.repo, name.revision(), &commit)?;
    Ok(Pulled { repo: name.repo.clone(), commit, files: pulled })
}

/// The address at which a browser or curl finds a file, where the name says which. A name and password of the endpoint's are not shown.
pub fn address(settings: &Settings, name: &ModelName) -> String {
    let endpoint = shown(&settings.endpoint);
    let (repo, revision) = (&name.repo, encoded(name.revision(), false));
    match &name.pick {
        Pick::File(file) => format!("{endpoint}/{repo}/resolve/{revision}/{}", encoded(file, true)),
        _ => format!("{endpoint}/{repo}/tree/{revision}"),
    }
}

fn listing(client: &Client<'_>, name: &ModelName, told: Told<'_>) -> Result<Listing, Error> {
    let url = format!(
        "{}/api/models/{}/revision/{}",
        client.endpoint(),
        name.repo,
        encoded(name.revision(), false)
    );
    let listing: Listing = serde_json::from_value(client.json(&url, told)?).map_err(|error| {
        Error::new(
            ErrorKind::Network,
            format!("{}: the answer is not a hub's: {error}; is HF_ENDPOINT right?", shown(&url)),
        )
    })?;
    Ok(Listing { sha: commit_of(&url, &listing.sha)?, ..listing })
}

/// What the hub says of a file before it gives it.
fn about(client: &Client<'_>, repo: &str, revision: &str, file: &str, told: Told<'_>) -> Result<Blob, Error> {
    let no_hub = |url: &str, what: &str| {
        Error::new(
            ErrorKind::Network,
            format!("{}: the answer has no {what}, which a hub gives; is HF_ENDPOINT right?", shown(url)),
        )
    };
    if !is_inner_path(file) {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("{repo}: the file {file:?} has no name for a file here"),
        ));
    }
    let url =
        format!("{}/{repo}/resolve/{}/{}", client.endpoint(), encoded(revision, false), encoded(file, true));
    let answer = client.head(&url, told)?;
    let commit = header(&answer, "x-repo-commit").ok_or_else(|| no_hub(&url, "X-Repo-Commit"))?;
    let etag = header(&answer, "x-linked-etag").or_else(|| header(&answer, "etag")).map(etag);
    // It becomes the name of a file.
    let etag = etag.filter(|etag| {
        is_inner_path(etag) && !etag.contains('/') && etag.len() <= 128 && !etag.starts_with('.')
    });
    let own_size = || header(&answer, "content-length").filter(|_| !answer.status().is_redirection());
    let bytes = header(&answer, "x-linked-size").or_else(own_size).and_then(|bytes| bytes.parse().ok());
    Ok(Blob {
        file: file.to_owned(),
        commit: commit_of(&url, commit)?,
        etag: etag.ok_or_else(|| no_hub(&url, "ETag"))?.to_owned(),
        bytes: bytes.ok_or_else(|| no_hub(&url, "size"))?,
    })
}

fn header<'a>(answer: &'a Response<ureq::Body>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

fn etag(value: &str) -> &str {
    value.trim().trim_start_matches("W/").trim_matches('"')
}

/// It becomes the name of a folder.
fn commit_of(url: &str, commit: &str) -> Result<String, Error> {
    if (7..=64).contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(commit.to_owned());
    }
    Err(Error::new(
        ErrorKind::Network,
        format!("{}: {commit:?} is no commit; is HF_ENDPOINT right?", shown(url)),
    ))
}

fn remove_wrong(cache: &Cache, repo: &str, blobs: &[Blob]) -> Result<(), Error> {
    for blob in blobs {
        let path = blob.path(cache, repo);
        if path.is_file() && !blob::is_right(&path, blob)? {
            std::fs::remove_file(&path).map_err(|error| Error::disk(&path, "cannot be removed", &error))?;
        }
    }
    Ok(())
}

/// Whether there is room for what is missing, before anything of it is asked for.
fn check_room(cache: &Cache, repo: &str, blobs: &[Blob]) -> Result<(), Error> {
    let missing: u64 = blobs.iter().map(|blob| blob.missing(cache, repo)).fold(0, u64::saturating_add);
    if missing == 0 {
        return Ok(());
    }
    make_folder(cache.folder())?;
    match free_bytes(cache.folder()) {
        Some(free) if free < missing => Err(Error::new(
            ErrorKind::Disk,
            format!(
                "{}: {missing} bytes are to come and {free} are free; make room, or let HF_HUB_CACHE name a folder elsewhere",
                cache.folder().display()
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn free_bytes(folder: &std::path::Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

/// Elsewhere a full disk is found when it is full; what has arrived stays.
#[cfg(not(unix))]
fn free_bytes(_: &std::path::Path) -> Option<u64> {
    None
}
