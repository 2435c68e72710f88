//! Texts made of several columns.

use std::str::FromStr;

/// A text with places for the values of columns: `{title}\n{body}`. `{{` and `}}` are braces, `\n` and `\t` a new line and a
/// tab, `\\` a backslash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Column(String),
}

impl Template {
    /// The columns that it names, in their order, each once.
    pub fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for piece in &self.pieces {
            if let Piece::Column(name) = piece
                && !columns.contains(&name.as_str())
            {
                columns.push(name);
            }
        }
        columns
    }

    /// The text, with what `value` gives for each column; `None` is nothing.
    ///
    /// # Errors
    /// The first that `value` gives, or what `wrong` makes of it where no column has a value: what the template has besides
    /// is no text of a row.
    pub(super) fn fill<E>(
        &self,
        mut value: impl FnMut(&str) -> Result<Option<String>, E>,
        wrong: impl FnOnce(String) -> E,
    ) -> Result<String, E> {
        let (mut text, mut has_value) = (String::new(), false);
        for piece in &self.pieces {
            match piece {
                Piece::Text(own) => text.push_str(own),
                Piece::Column(name) => {
                    if let Some(value) = value(name)? {
                        has_value = true;
                        text.push_str(&value);
                    }
                }
            }
        }
        if !has_value {
            let names: Vec<String> = self.columns().iter().map(|name| format!("`{name}`")).collect();
            return Err(wrong(format!("there is no text: the row has no {}", names.join(" and no "))));
        }
        Ok(text)
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let (mut pieces, mut text) = (Vec::new(), String::new());
        let mut rest = written.chars().peekable();
        while let Some(c) = rest.next() {
            match (c, rest.peek()) {
                ('{', Some('{')) | ('}', Some('}')) | ('\\', Some('\\')) => {
                    text.push(c);
                    rest.next();
                }
                ('\\', Some('n')) => {
                    text.push('\n');
                    rest.next();
                }
                ('\\', Some('t')) => {
                    text.push('\t');
                    rest.next();
                }
                ('{', _) => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(format!("the template has no }} for {{{name}")),
                        }
                    }
                    if name.is_empty() {
                        return Err(
                            "the template has {} without a column's name; braces are {{ and }}".to_owned()
                        );
                    }
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(Piece::Column(name));
                }
                ('}', _) => return Err("the template has } without {; a brace is }}".to_owned()),
                _ => text.push(c),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        let template = Self { pieces };
        if template.columns().is_empty() {
            return Err(format!(
                "the template `{written}` names no column; write {{NAME}} where a value goes"
            ));
        }
        Ok(template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_columns_are_named() {
        let template: Template = "{title}:\\n{{{body}}}\\t\\\\ {title}".parse().expect("a template");
        assert_eq!(template.columns(), ["title", "body"]);
        let fill = |name: &str| Ok::<_, String>((name == "title").then(|| "T".to_owned()));
        assert_eq!(template.fill(fill, |wrong| wrong).expect("filled"), "T:\n{}\t\\ T");
        let wrong = template.fill(|_| Ok(None), |wrong| wrong).expect_err("no value");
        assert_eq!(wrong, "there is no text: the row has no `title` and no `body`");
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (wrong, what) in
            [("{a", "no }"), ("a}", "}}"), ("{}", "name"), ("no column", "{NAME}"), ("{{a}}", "{NAME}")]
        {
            assert!(wrong.parse::<Template>().expect_err(wrong).contains(what), "{wrong}");
        }
    }
}
