//! What rows of input may look like, and what comes back under which name.

use super::{connote, lines, run};

/// Every command gives back ids as they were written, even where the row is wrong.
#[test]
fn an_id_comes_out_to_the_last_digit() {
    let ids =
        ["123456789012345678901234567890", "-0", "1.10", "1e400", r#"{"b": 1,"a":  2}"#, r#""\u00e9\/""#];
    let fine: String = ids.iter().map(|id| format!("{{\"id\": {id}, \"text\": \"x\"}}\n")).collect();
    let wrong: String =
        ids.iter().map(|id| format!("{{\"text\": \"\\udc00\", \"id\": {id}, \"more\": 1}}\n")).collect();
    for command in [&["embed", "-q"][..], &["tokenize"], &["similar", "query"]] {
        for (input, code) in [(&fine, 0), (&wrong, 1)] {
            let mut command_line = connote();
            command_line.args(command).args(["--input-format", "jsonl"]).write_stdin(input.as_str());
            let (stdout, _) = run(&mut command_line, code);
            let text = String::from_utf8(stdout).expect("UTF-8");
            assert_eq!(text.lines().count(), ids.len(), "{command:?}");
            for (line, id) in text.lines().zip(ids) {
                assert!(line.starts_with(&format!("{{\"id\":{id},")), "{command:?}: {line}");
            }
        }
    }
}

#[test]
fn a_row_that_is_wrong_keeps_its_id_and_tells_its_line() {
    let input = [
        &b"{\"id\": \"a\", \"text\": 5}\n"[..],
        b"{\"id\": \"b\", \"text\": \"x\", \"task\": \"poetry\"}\n",
        b"\n",
        b"{\"id\": \"c\", \"text\": \"\xff\"}\n",
        b"[\"a text\", null, null, \"d\"]\n",
        b"\"a text\"\n",
        b"{\"id\": \"e\", \"text\": \"one two three four five six\"}\n",
        b"{\"id\": \"f\", \"text\": \"x\", \"title\": \"T\"}\n",
    ]
    .concat();
    let mut command = connote();
    command.args(["embed", "-q", "--input-format", "jsonl", "--truncate", "error", "--max-tokens", "5"]);
    let (stdout, _) = run(command.write_stdin(input), 1);
    let told: Vec<(String, String, String)> = lines(&stdout)
        .iter()
        .map(|row| {
            let error = &row["error"];
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (row["id"].to_string(), text(&error["kind"]), text(&error["message"]))
        })
        .collect();
    let expected = [
        ("\"a\"", "invalid_request", "line 1: `text` is not a string"),
        ("\"b\"", "invalid_request", "line 2: no task"),
        ("\"c\"", "invalid_utf8", "line 4: not UTF-8"),
        ("4", "invalid_json", "line 5: not a JSON object; write {\"text\": ...}"),
        ("5", "invalid_json", "line 6: not a JSON object"),
        ("\"e\"", "too_long", "line 7: the text has 8 tokens"),
        ("\"f\"", "invalid_request", "line 8: a title is given"),
    ];
    assert_eq!(told.len(), expected.len());
    for ((id, kind, message), expected) in told.iter().zip(expected) {
        assert_eq!((id.as_str(), kind.as_str()), (expected.0, expected.1));
        assert!(message.starts_with(expected.2), "{message}");
    }
    // Lines of text have theirs too; texts of the command line have none.
    let limit = ["embed", "-q", "--truncate", "error", "--max-tokens", "5"];
    let long = "one two three four five six";
    for (line, begins) in [(true, "line 2: the text has"), (false, "the text has")] {
        let mut command = connote();
        match line {
            true => command.args(limit).write_stdin(format!("x\n{long}\n")),
            false => command.args(limit).args(["x", long]),
        };
        let (stdout, _) = run(&mut command, 3);
        let message = lines(&stdout)[1]["error"]["message"].to_string();
        assert!(message.starts_with(&format!("\"{begins}")), "{message}");
    }
}

/// The built-in model's document prompt has no place for a title: one with words is refused.
#[test]
fn a_title_without_words_is_none() {
    let plain = run(connote().args(["tokenize", "x"]), 0).0;
    for title in ["", " \t\n"] {
        assert_eq!(run(connote().args(["tokenize", "x", "--title", title]), 0).0, plain);
        let row = serde_json::json!({"text": "x", "title": title}).to_string();
        for command in ["tokenize", "embed"] {
            let mut command_line = connote();
            command_line.args([command, "--input-format", "jsonl"]).write_stdin(row.as_str());
            run(&mut command_line, 0);
        }
    }
}

/// The message says how to go on, and that is how.
#[test]
fn titles_of_rows_are_refused_or_left_unread() {
    let row = "{\"text\":\"x\",\"title\":\"T\"}";
    let run = |command: &str, more: &[&str], code: i32| {
        let mut line = connote();
        line.args([command, "--input-format", "jsonl"]).args(more).write_stdin(row);
        lines(&run(&mut line, code).0).remove(0)
    };
    for command in ["tokenize", "embed"] {
        let plain = lines(&super::run(connote().args([command, "x"]), 0).0).remove(0);
        // The built-in model has no prompt for documents; without a task no prompt has a place for a title.
        for task in [&[][..], &["--task", "none"]] {
            let refused = run(command, task, 1);
            let message = refused["error"]["message"].as_str().expect("a message");
            assert!(message.ends_with("; --no-titles leaves the titles of rows unread"), "{message}");
            assert_eq!(run(command, &[task, &["--no-titles"]].concat(), 0), plain);
        }
    }
    // What is wrong with something else does not say so.
    let row = "{\"text\":\"x\",\"title\":\"T\",\"task\":\"code-retrieval\"}";
    let mut line = connote();
    let (stdout, _) = super::run(line.args(["embed", "--input-format", "jsonl"]).write_stdin(row), 1);
    let message = lines(&stdout)[0]["error"]["message"].to_string();
    assert!(message.contains("no prompt for the task") && !message.contains("--no-titles"), "{message}");
    let mut line = connote();
    line.args(["embed", "--input-format", "jsonl", "--no-titles", "--no-tasks"]).write_stdin(row);
    super::run(&mut line, 0);
}

/// Whose ids have no form as text, or are none.
#[test]
fn rows_are_numbered_where_that_is_asked_for() {
    let row = "{\"text\":\"x\",\"id\":[1]}\n";
    for (more, id) in [(&[][..], "[1]"), (&["--no-ids"], "0")] {
        let mut line = connote();
        line.args(["tokenize", "--input-format", "jsonl"]).args(more).write_stdin(row);
        let (stdout, _) = run(&mut line, 0);
        assert_eq!(lines(&stdout)[0]["id"].to_string(), id);
    }
    for option in ["--no-ids", "--no-titles", "--no-tasks"] {
        let (_, said) = run(connote().args(["tokenize", "x", option]), 2);
        assert!(said.contains(&format!("{option} is for --input and standard input")), "{said}");
        let column = format!("{}-column", option.replace("no-", "").trim_end_matches('s'));
        let (_, said) = run(connote().args(["tokenize", option, &column, "x"]), 2);
        assert!(said.contains("cannot be used with"), "{said}");
    }
}

#[test]
fn none_is_a_task_in_any_case_wherever_it_stands() {
    for none in ["none", "None", " NONE "] {
        run(connote().args(["embed", "-q", "x", "--task", none]), 0);
        let row = serde_json::json!({"text": "x", "task": none}).to_string();
        run(connote().args(["embed", "-q", "--input-format", "jsonl"]).write_stdin(row), 0);
    }
}
