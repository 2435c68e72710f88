//! How texts become vectors, as Python's arguments say it.

use std::convert::Infallible;

use connote::{Input, Model, Options, Truncation};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::failure::Failure;
use crate::texts::{self, Row};

/// What an argument was given.
pub(crate) enum Given<'py> {
    /// Nothing: its default holds, and there is nothing to read. That matters: behind a model's weights, which took the caches, each
    /// name that is looked up costs a microsecond.
    Nothing,
    Value(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = Infallible;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self::Value(value.to_owned()))
    }
}

impl<'py> Given<'py> {
    /// The values of a tuple.
    ///
    /// # Errors
    /// If it has another number of them.
    pub(crate) fn each<const N: usize>(tuple: &Bound<'py, PyTuple>) -> PyResult<[Self; N]> {
        let values: [Bound<'py, PyAny>; N] = tuple.extract()?;
        Ok(values.map(Self::Value))
    }

    /// The value as a type of Rust, or the default.
    ///
    /// # Errors
    /// Of another type, as Python's own calls have it; of the right one, but no such value; what reading it raises.
    pub(crate) fn or<T>(&self, default: T, name: &str) -> PyResult<T>
    where
        T: for<'a> FromPyObject<'a, 'py>,
    {
        match self {
            Self::Nothing => Ok(default),
            Self::Value(value) => read(value, name),
        }
    }

    /// A text, if there is one; there is none by default.
    ///
    /// # Errors
    /// As [`or`](Self::or); if the text is no Unicode.
    pub(crate) fn text(&self, name: &str) -> PyResult<Option<String>> {
        let text: Option<Bound<'_, PyString>> = self.or(None, name)?;
        text.map(|text| unicode(name, &text)).transpose()
    }

    /// What the value names, or the default.
    ///
    /// # Errors
    /// As [`text`](Self::text), and what `named` says where it names nothing.
    pub(crate) fn named<T>(
        &self,
        default: T,
        name: &str,
        named: impl FnOnce(&str) -> Result<T, String>,
    ) -> PyResult<T> {
        let Self::Value(value) = self else { return Ok(default) };
        let text: Bound<'_, PyString> = read(value, name)?;
        Ok(named(&unicode(name, &text)?).map_err(Failure::invalid)?)
    }
}

fn read<'py, T>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    value.extract::<T>().map_err(|error| {
        let (error, py): (PyErr, _) = (error.into(), value.py());
        if error.is_instance_of::<PyOverflowError>(py) {
            return Failure::invalid(format!("{name}={value}: a number from 0 on is wanted")).raise(py);
        }
        if !error.is_instance_of::<PyTypeError>(py) {
            return error;
        }
        let named = PyTypeError::new_err(format!("argument '{name}': {}", error.value(py)));
        named.set_cause(py, Some(error));
        named
    })
}

fn unicode(name: &str, text: &Bound<'_, PyString>) -> PyResult<String> {
    Ok(texts::unicode(text).map_err(|why| Failure::invalid(format!("the {name} {why}")))?)
}

/// How texts become vectors.
pub(crate) struct How<'py> {
    task: Option<String>,
    title: Option<Bound<'py, PyAny>>,
    prompt: Option<String>,
    pub(crate) dimensions: Option<usize>,
    normalize: bool,
    truncate: Truncation,
    pub(crate) max_tokens: Option<usize>,
}

impl<'py> How<'py> {
    /// Reads the tuple of `connote.options.how_to`.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(crate) fn read(how: &Bound<'py, PyTuple>) -> PyResult<Self> {
        Self::of(Given::each(how)?)
    }

    /// In the order of `connote.options.How`.
    ///
    /// # Errors
    /// `TypeError`, which names the argument; if a text is no Unicode; if there is no such way to cut.
    pub(crate) fn of(
        [task, title, prompt, dimensions, normalize, truncate, max_tokens]: [Given<'py>; 7],
    ) -> PyResult<Self> {
        Ok(Self {
            task: task.text("task")?,
            title: title.or(None, "title")?,
            prompt: prompt.text("prompt")?,
            dimensions: dimensions.or(None, "dimensions")?,
            normalize: normalize.or(true, "normalize")?,
            truncate: truncate.named(Truncation::default(), "truncate", str::parse)?,
            max_tokens: max_tokens.or(None, "max_tokens")?,
        })
    }

    /// # Errors
    /// If a name is none.
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        let mut options = Options::new().normalize(self.normalize).truncation(self.truncate);
        if let Some(task) = &self.task {
            options = options.task(task.parse().map_err(|said: String| Failure::invalid(said))?);
        }
        options = match self.prompt.as_deref() {
            None => options,
            Some("") if self.task.is_none() => options.without_default_prompt(),
            Some(prompt) => options.prompt(prompt),
        };
        if let Some(dimensions) = self.dimensions {
            options = options.dimensions(dimensions);
        }
        if let Some(max_tokens) = self.max_tokens {
            options = options.max_tokens(max_tokens);
        }
        Ok(options)
    }

    /// Inputs for the texts that are there, and which are not.
    ///
    /// # Errors
    /// If there are not as many titles as texts, or the model's prompt has no place for any.
    pub(crate) fn inputs(&self, model: &Model, options: &Options, texts: Vec<Row>) -> PyResult<Inputs> {
        let titles = match &self.title {
            None => Titles::None,
            Some(title) => match title.cast::<PyString>() {
                Ok(title) => Titles::One(unicode("title", title)?),
                Err(_) => Titles::Each(texts::read(title)?),
            },
        };
        if let Titles::Each(titles) = &titles
            && titles.len() != texts.len()
        {
            let message = format!("{} titles for {} texts; give one for each", titles.len(), texts.len());
            return Err(Failure::invalid(message).into());
        }
        // A setting, not a fault of texts: who has each text's own failure alone would get as many as there are titles.
        if titles.any() {
            model.check_titles(options).map_err(Failure::from)?;
        }
        let mut found = Inputs { there: Vec::with_capacity(texts.len()), absent: Vec::new() };
        for (index, text) in texts.into_iter().enumerate() {
            let title = match &titles {
                Titles::None => Ok(None),
                Titles::One(title) => Ok(Some(title)),
                Titles::Each(titles) => titles[index].as_ref().map(Option::as_ref),
            };
            match (text, title) {
                (Ok(None), _) => found.absent.push((index, None)),
                (Err(why), _) => found.absent.push((index, Some(why))),
                (Ok(Some(_)), Err(why)) => {
                    found.absent.push((index, Some(format!("its title {why}").into())))
                }
                (Ok(Some(text)), Ok(None)) => found.there.push(Input::new(text)),
                (Ok(Some(text)), Ok(Some(title))) => found.there.push(Input::new(text).title(title)),
            }
        }
        Ok(found)
    }
}

/// Rows of a call.
pub(crate) struct Inputs {
    pub(crate) there: Vec<Input>,
    /// Where there is no text: a null, or why it is none.
    pub(crate) absent: Vec<(usize, Option<Box<str>>)>,
}

impl Inputs {
    pub(crate) fn len(&self) -> usize {
        self.there.len() + self.absent.len()
    }

    /// # Errors
    /// The first row that has no text.
    pub(crate) fn all_there(&self, null: &str) -> Result<(), Failure> {
        self.absent
            .first()
            .map_or(Ok(()), |(index, why)| Err(Failure::invalid(why.as_deref().unwrap_or(null)).at(*index)))
    }
}

enum Titles {
    None,
    One(String),
    Each(Vec<Row>),
}

impl Titles {
    /// Whether any text has one.
    fn any(&self) -> bool {
        match self {
            Self::None => false,
            Self::One(_) => true,
            Self::Each(titles) => titles.iter().any(|title| matches!(title, Ok(Some(_)))),
        }
    }
}
