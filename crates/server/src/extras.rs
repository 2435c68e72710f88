//! Fields that every embedding route takes beside its protocol's own.

use std::str::FromStr;

use connote::{Input, Options, Priority, Task, Truncation};
use serde::{Deserialize, Deserializer, de};

use crate::fault::Fault;
use crate::json::Count;
use crate::models::Chosen;

/// All optional; `null` is as good as absent.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    pub(crate) task: Option<Task>,
    pub(crate) input_type: Option<Task>,
    pub(crate) prompt_name: Option<Task>,
    pub(crate) title: Option<String>,
    /// Yes or no, or a policy by name.
    pub(crate) truncate: Option<Truncation>,
    pub(crate) priority: Option<Priority>,
}

/// A request with these fields beside its protocol's own, so that a body is read once. (serde's `flatten` reads it into a tree
/// first, and an error in that has no place.) `extras` takes them out of it.
macro_rules! with_extras {
    (
        $(#[$about:meta])*
        $seen:vis struct $name:ident { $($(#[$how:meta])* $field:ident: $kind:ty,)* }
    ) => {
        $(#[$about])*
        #[derive(Debug, serde::Deserialize)]
        $seen struct $name {
            $($(#[$how])* $field: $kind,)*
            #[serde(default, deserialize_with = "crate::extras::named")]
            task: Option<connote::Task>,
            #[serde(default, deserialize_with = "crate::extras::named")]
            input_type: Option<connote::Task>,
            #[serde(default, deserialize_with = "crate::extras::named")]
            prompt_name: Option<connote::Task>,
            title: Option<String>,
            #[serde(default, deserialize_with = "crate::extras::truncation")]
            truncate: Option<connote::Truncation>,
            #[serde(default, deserialize_with = "crate::extras::named")]
            priority: Option<connote::Priority>,
        }

        impl $name {
            fn extras(&mut self) -> crate::extras::Extras {
                crate::extras::Extras {
                    task: self.task.take(),
                    input_type: self.input_type.take(),
                    prompt_name: self.prompt_name.take(),
                    title: self.title.take(),
                    truncate: self.truncate.take(),
                    priority: self.priority.take(),
                }
            }
        }
    };
}
pub(crate) use with_extras;

/// A value that is written as its name.
pub(crate) fn named<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    name.map(|name| name.parse().map_err(de::Error::custom)).transpose()
}

pub(crate) fn truncation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Truncation>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`truncate` is true, false, \"end\", \"start\" or \"error\"")]
    enum Form {
        Flag(bool),
        Name(String),
    }
    match Option::<Form>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Form::Flag(true)) => Ok(Some(Truncation::End)),
        Some(Form::Flag(false)) => Ok(Some(Truncation::Error)),
        Some(Form::Name(name)) => name.parse().map(Some).map_err(de::Error::custom),
    }
}

impl Extras {
    /// What becomes of the texts: the task, of these fields or of the model's name; what is too long is dealt with as
    /// `truncate` says, else as the protocol does; vectors cut to `dimensions`.
    pub(crate) fn options(
        &self,
        chosen: &Chosen,
        truncation: Truncation,
        dimensions: Option<Count>,
    ) -> Result<Options, Fault> {
        let mut options = Options::new().truncation(self.truncate.unwrap_or(truncation));
        if let Some(task) = self.task(chosen.task.clone())? {
            options = options.task(task);
        }
        if let Some(Count(dimensions)) = dimensions {
            let dimensions = usize::try_from(dimensions).unwrap_or(usize::MAX);
            let checked = chosen.served.embedder.model().check_dimensions(Some(dimensions));
            checked.map_err(|error| Fault::from(&error).param("dimensions"))?;
            options = options.dimensions(dimensions);
        }
        Ok(options)
    }

    /// What the texts are for: by whichever of its three names, of which more than one must agree; `named` is what the
    /// model's name asks for.
    pub(crate) fn task(&self, named: Option<Task>) -> Result<Option<Task>, Fault> {
        let all = [&self.task, &self.input_type, &self.prompt_name];
        let mut said = all.into_iter().flatten();
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
