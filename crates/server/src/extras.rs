//! Fields that every embedding route takes beside its protocol's own.

use connote::{Input, Priority, Task, Truncation};
use serde::{Deserialize, Deserializer, de};

use crate::fault::Fault;

/// All optional; `null` is as good as absent.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Extras {
    #[serde(default, deserialize_with = "parsed")]
    task: Option<Named<Task>>,
    #[serde(default, deserialize_with = "parsed")]
    input_type: Option<Named<Task>>,
    #[serde(default, deserialize_with = "parsed")]
    prompt_name: Option<Named<Task>>,
    title: Option<String>,
    pub(crate) truncate: Option<Truncate>,
    #[serde(default, deserialize_with = "parsed")]
    pub(crate) priority: Option<Named<Priority>>,
}

/// A value that is written as its name.
#[derive(Debug, Clone)]
pub(crate) struct Named<T>(pub(crate) T);

fn parsed<'de, D: Deserializer<'de>, T: std::str::FromStr<Err = String>>(
    deserializer: D,
) -> Result<Option<Named<T>>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    name.map(|name| name.parse().map(Named).map_err(de::Error::custom)).transpose()
}

/// What to do with a text that is too long: yes or no, or a policy by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Truncate(pub(crate) Truncation);

impl<'de> Deserialize<'de> for Truncate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "`truncate` is true, false, \"end\", \"start\" or \"error\"")]
        enum Form {
            Flag(bool),
            Name(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Flag(true) => Ok(Self(Truncation::End)),
            Form::Flag(false) => Ok(Self(Truncation::Error)),
            Form::Name(name) => name.parse().map(Self).map_err(de::Error::custom),
        }
    }
}

impl Extras {
    /// What the texts are for: by whichever of its three names, of which more than one must agree; `named` is what the
    /// model's name asks for.
    pub(crate) fn task(&self, named: Option<Task>) -> Result<Option<Task>, Fault> {
        let all = [&self.task, &self.input_type, &self.prompt_name];
        let mut said = all.into_iter().flatten().map(|task| &task.0);
        let first = said.next().cloned();
        if let (Some(first), Some(other)) = (&first, said.find(|other| Some(*other) != first.as_ref())) {
            let message = format!(
                "`task`, `input_type` and `prompt_name` are one thing, and say both {first} and {other}"
            );
            return Err(Fault::invalid(message).param("task"));
        }
        Ok(first.or(named))
    }

    /// A text with the request's title, if it has one.
    pub(crate) fn titled(&self, input: Input) -> Input {
        match &self.title {
            Some(title) => input.title(title),
            None => input,
        }
    }
}
