//! Files and batches as clients see them, and as they are kept.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Seconds after which a file may be asked to go, as OpenAI has them: an hour to 30 days.
pub(crate) const EXPIRY: RangeInclusive<u64> = 3_600..=2_592_000;

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A file, as OpenAI describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FileRecord {
    pub(super) id: String,
    pub(super) object: String,
    pub(super) bytes: u64,
    pub(super) created_at: u64,
    /// When it goes; `None`: when somebody deletes it.
    pub(super) expires_at: Option<u64>,
    pub(super) filename: String,
    pub(super) purpose: Purpose,
    pub(super) status: String,
}

impl FileRecord {
    pub(super) fn new(
        id: String,
        bytes: u64,
        filename: String,
        purpose: Purpose,
        expires_after: Option<u64>,
    ) -> Self {
        let created_at = now();
        Self {
            id,
            object: "file".to_owned(),
            bytes,
            created_at,
            expires_at: expires_after.map(|seconds| created_at.saturating_add(seconds)),
            filename,
            purpose,
            status: "processed".to_owned(),
        }
    }

    pub(super) fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|end| end <= now())
    }
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    Batch,
    BatchOutput,
}

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Validating,
    InProgress,
    Finalizing,
    Completed,
    Failed,
    Cancelling,
    Cancelled,
}

impl Status {
    pub(crate) const ALL: [Self; 7] = [
        Self::Validating,
        Self::InProgress,
        Self::Finalizing,
        Self::Completed,
        Self::Failed,
        Self::Cancelling,
        Self::Cancelled,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// A batch, as OpenAI describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) id: String,
    pub(super) object: String,
    pub(super) endpoint: String,
    pub(super) errors: Option<Errors>,
    pub(super) input_file_id: String,
    pub(super) completion_window: String,
    pub(super) status: Status,
    pub(super) output_file_id: Option<String>,
    pub(super) error_file_id: Option<String>,
    pub(super) created_at: u64,
    pub(super) in_progress_at: Option<u64>,
    /// Never: what was begun is finished.
    pub(super) expires_at: Option<u64>,
    pub(super) finalizing_at: Option<u64>,
    pub(super) completed_at: Option<u64>,
    pub(super) failed_at: Option<u64>,
    pub(super) expired_at: Option<u64>,
    pub(super) cancelling_at: Option<u64>,
    pub(super) cancelled_at: Option<u64>,
    pub(super) request_counts: Counts,
    pub(super) usage: Usage,
    pub(super) metadata: Option<BTreeMap<String, String>>,
}

/// Why a batch as a whole failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Errors {
    pub(super) object: String,
    pub(super) data: Vec<Problem>,
}

/// One reason of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Problem {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) param: Option<String>,
    /// Of the file, from 1.
    pub(super) line: Option<u64>,
}

impl Problem {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), param: None, line: None }
    }
}

/// Lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) total: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
}

/// Tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Usage {
    pub(super) input_tokens: u64,
    pub(super) input_tokens_details: InputDetails,
    pub(super) output_tokens: u64,
    pub(super) output_tokens_details: OutputDetails,
    pub(super) total_tokens: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct InputDetails {
    cached_tokens: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct OutputDetails {
    reasoning_tokens: u64,
}

/// A batch as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) batch: Batch,
    /// What its files of results are called once they are whole: chosen before the work, so that a second try does not make
    /// second files.
    pub(super) output_id: String,
    pub(super) error_id: String,
    pub(super) output_expires_after: Option<u64>,
    pub(super) progress: Progress,
    /// Names and fingerprints of the models that were served when its work began: a file of results is of no others.
    pub(super) models: Option<Vec<(String, String)>>,
    /// Why it fails, from before its results become files until it is over; a restart goes on there.
    #[serde(default)]
    pub(super) failing: Option<Vec<Problem>>,
}

/// What is on the disk for good. What was written beyond it is written again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Bytes of the input whose lines are answered.
    pub(super) input: u64,
    /// Lines of it, blank ones too.
    pub(super) lines: u64,
    /// Bytes of the results.
    pub(super) output: u64,
    pub(super) errors: u64,
}
