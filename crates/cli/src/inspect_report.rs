//! The report of `connote inspect` for people.

use std::io;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Map, Value};
use terminal_size::{Width, terminal_size_of};

use crate::failure::Failure;
use crate::output::{Output, excerpt};

/// Facts in the order in which a person asks for them: label, keys.
const FACTS: &[(&str, &[&str])] = &[
    ("Name", &["name"]),
    ("Known as", &["known_as"]),
    ("Architecture", &["architecture"]),
    ("Licence", &["license"]),
    ("File", &["files"]),
    ("Size", &["bytes"]),
    ("Parameters", &["parameters"]),
    ("Tensors", &["tensor_types"]),
    ("Runs here", &["runs"]),
    ("Why not", &["why_not"]),
    ("Dimensions", &["dimensions"]),
    ("May be cut to", &["matryoshka"]),
    ("Before a cut", &["layer_norm_before_cut"]),
    ("Pooling", &["pooling"]),
    ("Dense heads", &["dense_heads"]),
    ("Longest text", &["max_tokens"]),
    ("Context", &["context_length"]),
    ("Layers", &["layers"]),
    ("Tokenizer", &["tokenizer"]),
    ("Vocabulary", &["vocabulary"]),
    ("Adds before", &["adds_before"]),
    ("Adds after", &["adds_after"]),
    ("Fingerprint", &["fingerprint"]),
];

pub(crate) fn write(output: &mut Output, about: &Map<String, Value>) -> Result<(), Failure> {
    let mut table = plain_table();
    for (label, keys) in FACTS {
        let value = keys.iter().find_map(|key| Some((*key, about.get(*key)?)));
        if let Some(text) = value.and_then(|(key, value)| fact(key, value)) {
            table.add_row([(*label).to_owned(), text]);
        }
    }
    output.line(&shown(table))?;
    if let Some(Value::Object(prompts)) =
        about.get("prompts").filter(|p| p.as_object().is_some_and(|p| !p.is_empty()))
    {
        output.line("\nPrompts (used only when a task is given):")?;
        let mut table = plain_table();
        for (task, prompt) in prompts {
            let words = if prompt == "" { "(no words)".to_owned() } else { prompt.to_string() };
            table.add_row([format!("  {task}"), words]);
        }
        output.line(&shown(table))?;
    }
    for warning in about.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        let warning = format!("Warning: {}", warning.as_str().unwrap_or_default());
        output.line(&format!("\n{}", filled(&warning, terminal_width())))?;
    }
    Ok(())
}

/// How a fact reads; `None` where there is nothing to say.
fn fact(key: &str, value: &Value) -> Option<String> {
    match (key, value) {
        (_, Value::Null) => None,
        ("bytes", bytes) => Some(HumanBytes(bytes.as_u64()?).to_string()),
        ("parameters" | "vocabulary", count) => Some(HumanCount(count.as_u64()?).to_string()),
        ("tensor_types", Value::Object(types)) => {
            Some(types.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", "))
        }
        ("layer_norm_before_cut", layer_norm) => {
            (layer_norm == true).then(|| "a layer norm of the whole vector".to_owned())
        }
        (_, Value::Bool(yes)) => Some(if *yes { "yes" } else { "no" }.to_owned()),
        (_, Value::String(text)) => (!text.is_empty()).then(|| text.clone()),
        (_, Value::Array(list)) => {
            let words =
                list.iter().map(|entry| entry.as_str().map_or_else(|| entry.to_string(), str::to_owned));
            (!list.is_empty()).then(|| words.collect::<Vec<_>>().join(", "))
        }
        (_, other) => Some(other.to_string()),
    }
}

pub(crate) fn write_metadata(output: &mut Output, metadata: &Value) -> Result<(), Failure> {
    output.line("\nMetadata:")?;
    let mut table = plain_table();
    for (key, value) in metadata.as_object().into_iter().flatten() {
        table.add_row([format!("  {key}"), excerpt(&value.to_string(), 80)]);
    }
    output.line(&shown(table))
}

pub(crate) fn write_tensors(output: &mut Output, tensors: &Value) -> Result<(), Failure> {
    output.line("\nTensors:")?;
    let mut table = plain_table();
    for tensor in tensors.as_array().into_iter().flatten() {
        let text = |key: &str| tensor[key].as_str().unwrap_or_default().to_owned();
        table.add_row([format!("  {}", text("name")), text("type"), tensor["shape"].to_string()]);
    }
    output.line(&shown(table))
}

/// The names in the first column stay whole.
fn shown(mut table: Table) -> String {
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.to_string()
}

/// Wrapped by words at a terminal's width; whole lines anywhere else, for scripts.
pub(crate) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = terminal_width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

/// The width of the terminal that reads standard output; `None` where a file or a program does.
pub(crate) fn terminal_width() -> Option<u16> {
    terminal_size_of(io::stdout()).map(|(Width(width), _)| width)
}

/// Words on lines of at most `width` characters, where the words allow it.
pub(crate) fn filled(text: &str, width: Option<u16>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut filled = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 {
            let fits = column + 1 + length <= usize::from(width);
            filled.push(if fits { ' ' } else { '\n' });
            column = if fits { column + 1 } else { 0 };
        }
        filled.push_str(word);
        column += length;
    }
    filled
}
