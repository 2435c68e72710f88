//! Names of models: short ones, and paths on the hub.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};
use crate::short_names::{SHORT_NAMES, ShortName, short_name};

/// The revision that is meant where none is named.
pub const MAIN: &str = "main";

/// A model, as its user names it: a [short name](SHORT_NAMES), or `org/repo`, `org/repo:Q8_0`, `org/repo:*F16*.gguf`,
/// `org/repo/folder/file.gguf`, each with `@revision` behind the repository or at the end; `hf.co/` and the addresses
/// of huggingface.co may stand before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    /// The repository, as `org/name`.
    pub repo: String,
    /// Which of its files.
    pub pick: Pick,
    /// Which branch, tag or commit; `None` is [`MAIN`].
    pub revision: Option<String>,
    /// The row of the short name that was used.
    pub short: Option<&'static ShortName>,
}

/// Which files of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The only GGUF file, else the only one in Q8_0.
    Usual,
    /// This file, and where it is a part of a split model all parts.
    File(String),
    /// The one file that the pattern fits.
    Glob(String),
    /// The one file whose name has this type of tensors in it, such as `Q8_0`.
    Quant(String),
}

impl ModelName {
    /// The revision, [`MAIN`] if none was named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }
}

impl FromStr for ModelName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|why| Error::new(ErrorKind::Name, format!("{text}: {why}")))
    }
}

fn parse(text: &str) -> Result<ModelName, String> {
    let (path, revision) = without_revision(text);
    if let Some(short) = short_name(&path) {
        let (repo, pick) = (short.repo.to_owned(), Pick::File(short.file.to_owned()));
        return Ok(ModelName { repo, pick, revision: checked_revision(revision)?, short: Some(short) });
    }
    let (path, on_hub) = without_host(&path);
    let (path, colon) = match path.split_once(':') {
        Some((path, pick)) => (path, Some(pick)),
        None => (path, None),
    };
    let mut pieces = path.splitn(3, '/');
    let (org, name, rest) = (pieces.next().unwrap_or_default(), pieces.next(), pieces.next());
    let Some(name) = name else {
        let known: Vec<&str> = SHORT_NAMES.iter().map(|row| row.names[0]).collect();
        return Err(format!("is no short name ({}), nor org/repo as on the hub", known.join(", ")));
    };
    let repo = format!("{org}/{name}");
    if !(is_repo_piece(org) && is_repo_piece(name)) || repo.len() > 96 {
        return Err("is no name of a repository; write org/repo as on the hub".to_owned());
    }
    // Addresses as a browser shows them: org/repo/resolve/REVISION/FILE.
    let (rest, in_address) = match rest.filter(|_| on_hub).and_then(address_of_file) {
        Some((revision, file)) => (Some(file), Some(revision)),
        None => (rest, None),
    };
    let pick = match (rest.filter(|rest| !rest.is_empty()), colon) {
        (Some(_), Some(_)) => return Err("names a file twice, by `/` and by `:`".to_owned()),
        (None, None) => Pick::Usual,
        (None, Some("")) => {
            return Err("nothing follows the `:`; write a file or a type such as Q8_0".to_owned());
        }
        (Some(wanted), None) => pick(wanted, true)?,
        (None, Some(wanted)) => pick(wanted, false)?,
    };
    let revision = checked_revision(revision.or(in_address))?;
    Ok(ModelName { repo, pick, revision, short: None })
}

/// Cuts `@revision` out, which ends at `:` or with the name: both org/repo@rev:Q8_0 and org/repo:Q8_0@rev are written.
fn without_revision(text: &str) -> (String, Option<&str>) {
    match text.rsplit_once('@') {
        Some((before, after)) => match after.split_once(':') {
            Some((revision, pick)) => (format!("{before}:{pick}"), Some(revision)),
            None => (before.to_owned(), Some(after)),
        },
        None => (text.to_owned(), None),
    }
}

fn checked_revision(revision: Option<&str>) -> Result<Option<String>, String> {
    match revision {
        // It becomes the name of a file in the cache.
        Some(revision) if !is_inner_path(revision) => Err(format!("{revision:?} is no name of a revision")),
        other => Ok(other.map(str::to_owned)),
    }
}

fn without_host(path: &str) -> (&str, bool) {
    let prefixes = ["https://", "http://"];
    let bare = prefixes.iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or(path);
    let hosts = ["huggingface.co/", "www.huggingface.co/", "hf.co/", "hf://", "hf:"];
    match hosts.iter().find_map(|host| bare.strip_prefix(host)) {
        Some(rest) => (rest.trim_end_matches('/'), true),
        None => (path, false),
    }
}

fn address_of_file(rest: &str) -> Option<(&str, &str)> {
    let inside = ["resolve/", "blob/", "tree/"].iter().find_map(|kind| rest.strip_prefix(kind))?;
    let (revision, file) = inside.split_once('/').unwrap_or((inside, ""));
    Some((revision, file.split('?').next().unwrap_or(file)))
}

fn pick(wanted: &str, by_path: bool) -> Result<Pick, String> {
    if wanted.contains(['*', '?', '[']) {
        return match glob::Pattern::new(wanted) {
            Ok(_) => Ok(Pick::Glob(wanted.to_owned())),
            Err(error) => Err(format!("{wanted:?} is no pattern: {error}")),
        };
    }
    if wanted.to_ascii_lowercase().ends_with(".gguf") {
        return if is_inner_path(wanted) {
            Ok(Pick::File(wanted.to_owned()))
        } else {
            Err(format!("{wanted:?} is no path inside a repository"))
        };
    }
    if by_path || !wanted.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
        return Err(format!("{wanted:?} is no GGUF file; after `:` a type such as Q8_0 may stand, too"));
    }
    Ok(Pick::Quant(wanted.to_owned()))
}

/// As the hub wants them.
fn is_repo_piece(piece: &str) -> bool {
    let ends = |c: char| c == '-' || c == '.';
    !piece.is_empty()
        && piece.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        && !piece.starts_with(ends)
        && !piece.ends_with(ends)
        && !piece.contains("--")
        && !piece.contains("..")
}

/// Whether a path stays inside the folder that it is joined to, on any system.
pub(crate) fn is_inner_path(path: &str) -> bool {
    let piece = |piece: &str| !piece.is_empty() && piece != "." && piece != "..";
    path.len() < 1024
        && path.split('/').all(piece)
        && !path.chars().any(|c| c.is_control() || "\\:*?\"<>|".contains(c))
}

impl fmt::Display for ModelName {
    /// The name in full, which means the same when it is read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repo)?;
        match &self.pick {
            Pick::Usual => {}
            Pick::File(wanted) => write!(f, "/{wanted}")?,
            Pick::Glob(wanted) | Pick::Quant(wanted) => write!(f, ":{wanted}")?,
        }
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Pick, Option<String>) {
        let name: ModelName = text.parse().unwrap_or_else(|error| panic!("{error}"));
        let again: ModelName = name.to_string().parse().expect("in full");
        assert_eq!((&again.repo, &again.pick, &again.revision), (&name.repo, &name.pick, &name.revision));
        (name.repo, name.pick, name.revision)
    }

    fn file(path: &str) -> Pick {
        Pick::File(path.to_owned())
    }

    #[test]
    fn every_way_to_write_a_name_is_understood() {
        let quant = Pick::Quant("Q8_0".to_owned());
        let rows = [
            ("org/repo", Pick::Usual, None),
            ("hf.co/org/repo", Pick::Usual, None),
            ("https://huggingface.co/org/repo/", Pick::Usual, None),
            ("hf:org/repo/file.gguf", file("file.gguf"), None),
            ("hf://org/repo/sub/file.GGUF", file("sub/file.GGUF"), None),
            ("org/repo:Q8_0", quant.clone(), None),
            ("org/repo@v1:Q8_0", quant.clone(), Some("v1")),
            ("org/repo:Q8_0@v1", quant, Some("v1")),
            ("org/repo@refs/pr/1", Pick::Usual, Some("refs/pr/1")),
            ("org/repo:file.gguf", file("file.gguf"), None),
            ("org/repo:*Q8_0*.gguf", Pick::Glob("*Q8_0*.gguf".to_owned()), None),
            (
                "https://huggingface.co/org/repo/resolve/main/a/b.gguf?download=true",
                file("a/b.gguf"),
                Some("main"),
            ),
            ("https://huggingface.co/org/repo/blob/v2/b.gguf", file("b.gguf"), Some("v2")),
            ("https://huggingface.co/org/repo/tree/v2", Pick::Usual, Some("v2")),
        ];
        for (text, pick, revision) in rows {
            assert_eq!(read(text), ("org/repo".to_owned(), pick, revision.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn short_names_are_files_whatever_their_case() {
        for row in SHORT_NAMES {
            for name in row.names {
                let pick = file(row.file);
                assert_eq!(read(&name.to_uppercase()), (row.repo.to_owned(), pick.clone(), None));
                assert_eq!(read(&format!("{name}@abc")), (row.repo.to_owned(), pick, Some("abc".to_owned())));
            }
            assert!(row.source.contains(row.repo), "{row:?}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let rows = [
            ("qwen", "short name"),
            ("", "short name"),
            ("/etc/passwd", "org/repo"),
            ("../models/x.gguf", "org/repo"),
            ("org/../x", "org/repo"),
            ("org/repo/../../x.gguf", "no path"),
            ("org/repo:", "nothing follows"),
            ("org/repo/readme.md", "no GGUF file"),
            ("org/repo/a.gguf:Q8_0", "twice"),
            ("org/repo@../../x", "revision"),
            ("org/repo@", "revision"),
            ("org/repo:[", "pattern"),
            ("org/re--po", "repository"),
            ("C:\\models\\x.gguf", "short name"),
        ];
        for (text, why) in rows {
            let error = text.parse::<ModelName>().expect_err(text);
            assert!(error.to_string().contains(why) && error.kind() == ErrorKind::Name, "{text}: {error}");
        }
    }
}
