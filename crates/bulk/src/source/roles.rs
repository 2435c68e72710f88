//! Which column of a table is what.

use connote::Input;
use connote::jsonl::RowError;

use super::{SourceOptions, Template, TextFrom, ValueFrom};
use crate::{Error, ErrorKind};

/// Columns by their place in a table.
pub(super) struct Roles {
    pub(super) text: TextRole,
    pub(super) id: Option<usize>,
    pub(super) title: Option<usize>,
    pub(super) task: Option<usize>,
    pub(super) keep: Vec<usize>,
}

/// A column that a table has.
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    pub(super) as_text: AsText,
}

/// Whether texts can be in a column.
pub(super) enum AsText {
    Strings,
    /// Bytes, which may be UTF-8, or nothing but nulls: where the column is named, or called `text`.
    OnDemand,
    /// Of this type, which has none.
    Not(String),
}

impl Column<'_> {
    fn has_strings(&self) -> bool {
        matches!(self.as_text, AsText::Strings)
    }
}

/// Where texts are.
pub(super) enum TextRole {
    Column(usize),
    /// With the place of each column that it names.
    Template(Template, Vec<(String, usize)>),
}

impl Roles {
    /// What the options make of a table with these columns.
    pub(super) fn choose(
        table: &str,
        columns: &[Column<'_>],
        options: &SourceOptions,
    ) -> Result<Self, Error> {
        if columns.is_empty() {
            let message = format!("{table}: is empty; a table begins with the names of its columns");
            return Err(Error::new(ErrorKind::Input, message));
        }
        let find = |name: &str| columns.iter().position(|column| column.name == name);
        let refuse = |what: String| {
            let there: Vec<String> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
            let message = format!("{table}: {what}; there is {}", there.join(", "));
            Error::new(ErrorKind::Usage, message)
        };
        let named = |from: &ValueFrom| match from.column() {
            None => Ok(None),
            Some(name) => match find(name) {
                Some(place) => Ok(Some(place)),
                None => Err(refuse(format!("there is no column `{name}`"))),
            },
        };
        let id = match &options.id {
            ValueFrom::Custom => find("id"),
            from => named(from)?,
        };
        let (title, task) = (named(&options.title)?, named(&options.task)?);
        let all = options.keep.iter().any(|name| name == "*");
        let mut keep = Vec::new();
        for name in options.keep.iter().filter(|name| *name != "*") {
            match find(name) {
                Some(place) if keep.contains(&place) => {}
                Some(place) => keep.push(place),
                None => return Err(refuse(format!("there is no column `{name}` to keep"))),
            }
        }
        let text = match &options.text {
            TextFrom::Column(name) => match find(name) {
                Some(place) => match &columns[place].as_text {
                    AsText::Not(kind) => {
                        return Err(refuse(format!(
                            "the column `{name}` is of type {kind} and has no strings"
                        )));
                    }
                    AsText::Strings | AsText::OnDemand => TextRole::Column(place),
                },
                None => return Err(refuse(format!("there is no column `{name}`"))),
            },
            TextFrom::Template(template) => {
                let mut places = Vec::new();
                for name in template.columns() {
                    match find(name) {
                        Some(place) => places.push((name.to_owned(), place)),
                        None => {
                            return Err(refuse(format!(
                                "there is no column `{name}`, which the template names"
                            )));
                        }
                    }
                }
                TextRole::Template(template.clone(), places)
            }
            TextFrom::Default => match find("text").map(|place| (place, &columns[place].as_text)) {
                // Another column in its stead would be vectors of something else, in silence.
                Some((_, AsText::Not(kind))) => {
                    let what = format!(
                        "the column `text` is of type {kind} and has no strings; say which has, with --text-column or --template"
                    );
                    return Err(refuse(what));
                }
                Some((place, _)) => TextRole::Column(place),
                None => {
                    let used =
                        |place: &usize| [id, title, task].contains(&Some(*place)) || keep.contains(place);
                    let candidates: Vec<usize> = (0..columns.len())
                        .filter(|place| columns[*place].has_strings() && !used(place))
                        .collect();
                    match candidates[..] {
                        [only] => TextRole::Column(only),
                        _ => {
                            let what = "say which column has the texts, with --text-column or --template";
                            return Err(refuse(what.to_owned()));
                        }
                    }
                }
            },
        };
        if all {
            let used = |place: usize| {
                [id, title, task].contains(&Some(place))
                    || matches!(text, TextRole::Column(text) if text == place)
            };
            let rest: Vec<usize> =
                (0..columns.len()).filter(|&place| !used(place) && !keep.contains(&place)).collect();
            keep.extend(rest);
        }
        let roles = Self { text, id, title, task, keep };
        // Either could be meant. What has no use may be there as often as it likes.
        let is_twice =
            |place: &usize| columns.iter().filter(|column| column.name == columns[*place].name).count() > 1;
        let doubtful = roles.used().find(is_twice);
        match doubtful {
            Some(place) => {
                let what = match columns[place].name {
                    "" => "two columns have no name; give one of them a name".to_owned(),
                    name => format!("two columns are called `{name}`; give one of them another name"),
                };
                let or_else = if all { ", or name the columns to keep instead of `*`" } else { "" };
                Err(refuse(what + or_else))
            }
            None => Ok(roles),
        }
    }

    /// The places of all columns that have a use.
    fn used(&self) -> impl Iterator<Item = usize> {
        let texts: Vec<usize> = match &self.text {
            TextRole::Column(place) => vec![*place],
            TextRole::Template(_, places) => places.iter().map(|(_, place)| *place).collect(),
        };
        texts
            .into_iter()
            .chain([self.id, self.title, self.task].into_iter().flatten())
            .chain(self.keep.clone())
    }
}

/// A text with what belongs to it; `line` is for messages.
pub(super) fn input(
    line: u64,
    text: String,
    title: Option<String>,
    task: Option<String>,
) -> Result<Input, RowError> {
    let mut input = Input::new(text);
    if let Some(title) = title {
        input = input.title(title);
    }
    let task = task.as_deref().map(str::trim).unwrap_or_default();
    input.task_named(task).map_err(|message| wrong(line, message))
}

/// Something wrong with a row.
pub(super) fn wrong(line: u64, message: impl std::fmt::Display) -> RowError {
    RowError::at_line(usize::try_from(line).unwrap_or(usize::MAX), "invalid_request", message)
}
