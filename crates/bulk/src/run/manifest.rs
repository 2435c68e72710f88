//! What a run is to do and what of it is done: `manifest.json` in the folder of its parts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::durable;
use super::part::Shard;
use crate::sink::SinkOptions;
use crate::source::FileIdentity;
use crate::space::is_none;
use crate::{Error, ErrorKind, FileSum};

/// Its name.
pub(super) const MANIFEST: &str = "manifest.json";
/// The version of this form.
const VERSION: u32 = 1;
/// What `written_by` begins with: by this a manifest is known for one of connote's.
const SIGNED: &str = "connote ";

/// What decides every byte of the output. Two runs with the same plan make the same parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The files, in their order; none for a pipe, which nobody can read a second time.
    pub input: Vec<FileIdentity>,
    /// How texts are read and what vectors they get: each setting under the name it has for users.
    pub settings: BTreeMap<String, String>,
    /// Rows a part.
    pub part_rows: NonZeroU64,
    /// The share of the parts that is computed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// How parts are written, for who joins them.
    #[serde(with = "sink_form")]
    pub sink: SinkOptions,
}

/// [`SinkOptions`] in the manifest.
mod sink_form {
    use std::sync::Arc;

    use arrow_schema::Schema;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::sink::{OutputFormat, SinkOptions};
    use index::Precision;
    use index::Space;

    #[derive(Serialize)]
    struct Written<'a> {
        format: OutputFormat,
        precision: Precision,
        per_token: bool,
        space: &'a Space,
        created_by: &'a str,
        schema: &'a Schema,
    }

    #[derive(Deserialize)]
    struct Read {
        format: OutputFormat,
        precision: Precision,
        per_token: bool,
        space: Space,
        created_by: String,
        schema: Schema,
    }

    pub(super) fn serialize<S: Serializer>(sink: &SinkOptions, to: S) -> Result<S::Ok, S::Error> {
        let SinkOptions { format, precision, schema, space, created_by, per_token } = sink;
        let (format, precision, per_token) = (*format, *precision, *per_token);
        Written { format, precision, per_token, space, created_by, schema }.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SinkOptions, D::Error> {
        let Read { format, precision, per_token, space, created_by, schema } = Read::deserialize(from)?;
        Ok(SinkOptions { format, precision, per_token, space, created_by, schema: Arc::new(schema) })
    }
}

/// A part that lies in the folder, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// From 0.
    pub number: u64,
    /// The number of its first row among the rows of the input.
    pub first_row: u64,
    /// Its rows, those that failed among them.
    pub rows: u64,
    /// Rows that failed.
    pub failed: u64,
    /// Tokens that the network read.
    pub tokens: u64,
    /// Rows with a task of their own, whose vectors are of another space than the one that the output names.
    #[serde(default, skip_serializing_if = "is_none")]
    pub other_spaces: u64,
    /// Its file.
    pub file: FileSum,
    /// The file that lists the rows that failed, if some did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<FileSum>,
}

/// The plan and the parts that are done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Of this form.
    version: u32,
    /// What wrote it last: connote and its version.
    pub(super) written_by: String,
    pub(super) plan: Plan,
    /// Rows of the whole input, once its end was seen.
    pub(super) rows: Option<u64>,
    /// By their numbers.
    pub(super) parts: Vec<PartRecord>,
}

impl Manifest {
    pub(super) fn new(plan: Plan) -> Self {
        Self { version: VERSION, written_by: written_by(), plan, rows: None, parts: Vec::new() }
    }

    /// The manifest of a folder; `None` if it has none, or one that is not connote's.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let Some(text) = text(folder)?.filter(|text| is_ours(text)) else { return Ok(None) };
        let path = folder.join(MANIFEST);
        let refused =
            |why: String| Error::new(ErrorKind::Mismatch, format_args!("{}: {why}", path.display()));
        // The version first: another one may look different otherwise.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        match serde_json::from_slice(&text) {
            Ok(Version { version: VERSION }) => {}
            Ok(Version { version }) => {
                return Err(refused(format!(
                    "is of version {version}, and this connote writes version {VERSION}; go on with the connote that began, or begin anew with --restart"
                )));
            }
            Err(error) => return Err(refused(damaged(&error))),
        }
        serde_json::from_slice(&text).map(Some).map_err(|error| refused(damaged(&error)))
    }

    pub(super) fn write(&mut self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(MANIFEST);
        self.written_by = written_by();
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::new(ErrorKind::Output, format_args!("{}: {error}", path.display())))?;
        text.push(b'\n');
        durable::replace(&path, &text)
    }

    /// A part is done.
    pub(super) fn add(&mut self, record: PartRecord) {
        let at = self.parts.partition_point(|part| part.number < record.number);
        self.parts.insert(at, record);
    }

    /// A sum over the parts that are done.
    pub(super) fn sum(&self, of: impl Fn(&PartRecord) -> u64) -> u64 {
        self.parts.iter().map(of).sum()
    }

    /// Rows that are done.
    pub(super) fn done(&self) -> u64 {
        self.sum(|part| part.rows)
    }
}

/// Refuses a folder with a manifest that is not connote's: nothing in it is to be replaced, whatever is asked for. In a folder that
/// nobody else would make, one that is no JSON at all (emptied by a full disk, say) `may_go`.
pub(super) fn refuse_foreign(folder: &Path, may_go: bool) -> Result<(), Error> {
    let is_nothing = |text: &[u8]| may_go && serde_json::from_slice::<serde_json::Value>(text).is_err();
    match text(folder)? {
        Some(text) if !is_ours(&text) && !is_nothing(&text) => Err(Error::new(
            ErrorKind::Mismatch,
            format_args!(
                "{}: is not of connote (no `written_by` says so), and stays as it is; name an empty folder or a new one",
                folder.join(MANIFEST).display()
            ),
        )),
        _ => Ok(()),
    }
}

fn text(folder: &Path) -> Result<Option<Vec<u8>>, Error> {
    let path = folder.join(MANIFEST);
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(|error| Error::reading(&path, &error)),
    }
}

/// Whether connote wrote it. Of one that is damaged its beginning tells, where `written_by` stands.
fn is_ours(text: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Signed {
        written_by: String,
    }
    match serde_json::from_slice(text) {
        Ok(Signed { written_by }) => written_by.starts_with(SIGNED),
        Err(error) if error.is_data() => false,
        Err(_) => {
            let begins: Vec<u8> =
                text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(200).collect();
            let signed = format!("\"written_by\":\"{}", SIGNED.trim_end());
            begins.windows(signed.len()).any(|part| part == signed.as_bytes())
        }
    }
}

fn damaged(error: &serde_json::Error) -> String {
    format!("is damaged ({error}); begin anew with --restart")
}

fn written_by() -> String {
    format!("{SIGNED}{}", env!("CARGO_PKG_VERSION"))
}

impl Plan {
    /// Whether its input can be read again.
    pub(super) fn can_go_on(&self) -> bool {
        !self.input.is_empty()
    }

    /// What `now` is besides another share of the same, in words.
    pub(super) fn differences_but_for_share(&self, now: &Plan) -> Vec<String> {
        self.differences(&Plan { shard: self.shard, ..now.clone() })
    }

    /// What `now` wants differently, in words; nothing where both make the same parts.
    pub(super) fn differences(&self, now: &Plan) -> Vec<String> {
        let mut all = Vec::new();
        let mut differ = |what: &str, was: &str, is: &str| {
            if was != is {
                all.push(format!("{what} was {was} and is {is}"));
            }
        };
        if self.input.len() == now.input.len() {
            for (was, is) in self.input.iter().zip(&now.input) {
                let said = |file: &FileIdentity| {
                    let hash = file.sha256.get(..12).unwrap_or(&file.sha256);
                    format!("{} bytes (SHA-256 {hash}…)", file.bytes)
                };
                // Names may differ: another machine, another folder.
                if (was.bytes, &was.sha256) != (is.bytes, &is.sha256) {
                    differ(&format!("the input {}", is.name), &said(was), &said(is));
                }
            }
        } else {
            let files = |plan: &Plan| match plan.input.len() {
                1 => "1 file".to_owned(),
                count => format!("{count} files"),
            };
            differ("the input", &files(self), &files(now));
        }
        let none = "none".to_owned();
        let names: std::collections::BTreeSet<&String> =
            self.settings.keys().chain(now.settings.keys()).collect();
        for name in names {
            let [was, is] = [self, now].map(|plan| plan.settings.get(name).unwrap_or(&none));
            differ(name, was, is);
        }
        differ("the rows of a part", &self.part_rows.to_string(), &now.part_rows.to_string());
        let shard = |plan: &Plan| plan.shard.map_or(none.clone(), |shard| shard.to_string());
        differ("the shard", &shard(self), &shard(now));
        // Settings say all that a user can change; what is left is another version of connote.
        if all.is_empty() && self.sink.schema != now.sink.schema {
            all.push("the columns of the output are others".to_owned());
        }
        all
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};

    use super::*;
    use crate::sink::OutputFormat;
    use index::Precision;
    use index::Space;

    pub(in crate::run) fn plan() -> Plan {
        let space = Space {
            model: "tiny".to_owned(),
            fingerprint: "0123456789abcdef".to_owned(),
            dimensions: 4,
            normalized: true,
            task: None,
            prompt: None,
        };
        let fields = vec![
            Field::new("id", DataType::Utf8, true),
            Field::new(
                "when",
                DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, Some("UTC".into())),
                true,
            ),
        ];
        let schema = Arc::new(Schema::new(fields));
        Plan {
            input: vec![FileIdentity { name: "a.txt".to_owned(), bytes: 10, sha256: "ab".repeat(32) }],
            settings: [("the task".to_owned(), "query".to_owned())].into(),
            part_rows: NonZeroU64::new(1024).expect("some"),
            shard: None,
            sink: SinkOptions {
                format: OutputFormat::Jsonl,
                precision: Precision::F32,
                schema,
                space,
                created_by: "connote 0".to_owned(),
                per_token: false,
            },
        }
    }

    #[test]
    fn a_manifest_reads_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Manifest::read(folder.path()).expect("looked").is_none());
        let mut manifest = Manifest::new(plan());
        manifest.rows = Some(5);
        manifest.plan.shard = Some("2/3".parse().expect("a share"));
        manifest.write(folder.path()).expect("written");
        let read = Manifest::read(folder.path()).expect("read").expect("there");
        assert_eq!(read.rows, Some(5));
        assert_eq!(read.plan.differences(&manifest.plan), Vec::<String>::new());
        assert_eq!(read.plan.sink.schema, manifest.plan.sink.schema);
        assert_eq!(read.plan.shard, manifest.plan.shard);
    }

    #[test]
    fn what_is_damaged_or_of_another_version_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let signed = "\"written_by\": \"connote 0\"";
        for (text, what) in [
            (format!("{{{signed}, \"version\": 99}}"), "version 99"),
            (format!("{{{signed}, \"version\": 1}}"), "damaged"),
            (format!("{{\n  \"version\": 1,\n  {signed}, \"pl"), "damaged"),
        ] {
            fs::write(folder.path().join(MANIFEST), text).expect("written");
            let error = Manifest::read(folder.path()).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Mismatch);
            assert!(error.to_string().contains(what) && error.to_string().contains("--restart"), "{error}");
            refuse_foreign(folder.path(), false).expect("it is connote's");
        }
    }

    #[test]
    fn a_manifest_of_somebody_else_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        refuse_foreign(folder.path(), false).expect("there is none");
        for text in [
            "{\"name\": \"my app\"}",
            "{\"version\": 1, \"written_by\": \"webpack 5\"}",
            "{\"version\": 1, \"written_by\": 5}",
            "[1, 2]",
            "{\"name\": \"my a",
            "no JSON",
            "",
        ] {
            fs::write(folder.path().join(MANIFEST), text).expect("written");
            let error = refuse_foreign(folder.path(), false).expect_err("it is somebody's").to_string();
            assert!(error.contains(MANIFEST) && !error.contains("--restart"), "{error}");
            assert!(Manifest::read(folder.path()).expect("looked").is_none(), "{text}");
            // Where nobody else would make the folder, what is no JSON may be begun anew.
            let is_json = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(refuse_foreign(folder.path(), true).is_err(), is_json, "{text}");
        }
    }

    #[test]
    fn parts_without_rows_are_damage() {
        let folder = tempfile::tempdir().expect("a folder");
        Manifest::new(plan()).write(folder.path()).expect("written");
        let path = folder.path().join(MANIFEST);
        let text = fs::read_to_string(&path).expect("read");
        fs::write(&path, text.replace("\"part_rows\": 1024", "\"part_rows\": 0")).expect("written");
        let error = Manifest::read(folder.path()).expect_err("no rows").to_string();
        assert!(error.contains(MANIFEST) && error.contains("nonzero"), "{error}");
    }

    #[test]
    fn every_difference_is_named() {
        let was = plan();
        let mut now = plan();
        now.input[0].name = "elsewhere/a.txt".to_owned();
        assert_eq!(was.differences(&now), Vec::<String>::new(), "a name is no difference");
        now.input[0].bytes = 11;
        now.settings.clear();
        now.settings.insert("the prompt".to_owned(), "p".to_owned());
        now.part_rows = NonZeroU64::new(2048).expect("some");
        now.shard = Some("1/2".parse().expect("a share"));
        let said = was.differences(&now).join("; ");
        for what in [
            "the input elsewhere/a.txt was 10 bytes (SHA-256 abababababab…) and is 11 bytes",
            "the prompt was none and is p",
            "the task was query and is none",
            "the rows of a part was 1024 and is 2048",
            "the shard was none and is 1/2",
        ] {
            assert!(said.contains(what), "{what}: {said}");
        }
        now = plan();
        now.input.push(now.input[0].clone());
        assert_eq!(was.differences(&now), ["the input was 1 file and is 2 files"]);
    }
}
