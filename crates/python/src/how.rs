//! How texts become vectors, as Python's arguments say it. They come as tuples: what is done between two passes of a model's weights
//! through the caches is slow, and each dictionary and each name costs microseconds of it.

use connote::{Input, Model, Options};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::failure::Failure;
use crate::texts::{self, Row};

/// A tuple's values, each by the name of its argument.
pub(crate) struct Fields<'a, 'py>(pub(crate) &'a Bound<'py, PyTuple>);

impl<'py> Fields<'_, 'py> {
    /// # Errors
    /// Of another type, as Python's own calls have it; of the right one, but no such value; what reading it raises.
    pub(crate) fn get<T>(&self, index: usize, name: &str) -> PyResult<T>
    where
        T: for<'a> FromPyObject<'a, 'py>,
    {
        let value = self.0.get_item(index)?;
        let found = value.extract::<T>().map_err(Into::into);
        found.map_err(|error: PyErr| {
            let py = self.0.py();
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

    /// # Errors
    /// As [`get`](Self::get); if the text is no Unicode.
    pub(crate) fn text(&self, index: usize, name: &str) -> PyResult<String> {
        unicode(name, &self.get(index, name)?)
    }

    /// As [`text`](Self::text), where there may be none.
    pub(crate) fn optional_text(&self, index: usize, name: &str) -> PyResult<Option<String>> {
        let text: Option<Bound<'_, PyString>> = self.get(index, name)?;
        text.map(|text| unicode(name, &text)).transpose()
    }
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
    truncate: String,
    pub(crate) max_tokens: Option<usize>,
}

impl<'py> How<'py> {
    /// Reads the tuple of `connote.options.how_to`.
    ///
    /// # Errors
    /// `TypeError`, which names the argument; if a text is no Unicode.
    pub(crate) fn read(how: &Bound<'py, PyTuple>) -> PyResult<Self> {
        let fields = Fields(how);
        Ok(Self {
            task: fields.optional_text(0, "task")?,
            title: fields.get(1, "title")?,
            prompt: fields.optional_text(2, "prompt")?,
            dimensions: fields.get(3, "dimensions")?,
            normalize: fields.get(4, "normalize")?,
            truncate: fields.text(5, "truncate")?,
            max_tokens: fields.get(6, "max_tokens")?,
        })
    }

    /// # Errors
    /// If a name is none.
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        let mut options = Options::new().normalize(self.normalize);
        options = options.truncation(self.truncate.parse().map_err(|said: String| Failure::invalid(said))?);
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
