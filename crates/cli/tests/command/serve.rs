//! `connote serve`, from its first line to its end.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use testkit::edit::Edit;
use testkit::tiny::{self, GemmaKind, GemmaSize};

use super::{connote, run};

/// A server at a free port; killed when the test ends, however it ends.
pub(crate) struct Serving {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: String,
    /// What it said on stderr before it served.
    pub(crate) began: String,
}

impl Serving {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, None)
    }

    /// With a variable of its environment, of those that change what is logged and traced the only one.
    pub(crate) fn start_with(arguments: &[&str], variable: Option<(&str, &str)>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connote"));
        command.args(["serve", "--port", "0"]).args(arguments).envs(variable);
        Self::started(command, variable)
    }

    /// With so many descriptors at most.
    fn start_within(descriptors: u32, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &descriptors.to_string()]);
        command.args([env!("CARGO_BIN_EXE_connote"), "serve", "--port", "0"]).args(arguments);
        Self::started(command, None)
    }

    pub(crate) fn started(mut command: Command, variable: Option<(&str, &str)>) -> Self {
        for name in ["CONNOTE_MODEL", "CONNOTE_LOG", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
            if variable.is_none_or(|(set, _)| set != name) {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut said = String::new();
        let address = loop {
            let before = said.len();
            assert!(stderr.read_line(&mut said).expect("a line") > 0, "it ended: {said}");
            if let Some((_, address)) = said[before..].trim_end().split_once(" at http://") {
                break address.to_owned();
            }
        };
        assert!(said.contains("connote: serving ") && said.contains("fingerprint "), "{said}");
        Self { child, stderr, address, began: said }
    }

    pub(crate) fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\n"), "")
    }

    /// The answer to a request; `head` has whole lines.
    pub(crate) fn ask(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "{head}Host: test\r\nConnection: close\r\n\r\n{body}").expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Its exit code and what else it said on stderr and stdout.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let (mut said, mut data) = (String::new(), String::new());
        self.stderr.read_to_string(&mut said).expect("UTF-8");
        self.child.stdout.take().expect("a pipe").read_to_string(&mut data).expect("UTF-8");
        (self.child.wait().expect("it ends").code(), said, data)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signal_ends_a_server_well() {
    for signal in ["TERM", "INT"] {
        let serving = Serving::start(&[]);
        let answer = serving.get("/health");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("{\"status\":\"ok\"}"), "{answer}");
        serving.signal(signal);
        let (code, said, data) = serving.end();
        assert_eq!((code, data.as_str()), (Some(0), ""), "{said}");
        assert!(said.contains("stopping"), "{said}");
    }
}

#[test]
fn who_serves_a_model_with_prompts_hears_that_a_task_must_be_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gemma.gguf");
    let size = GemmaSize { layers: 24, dim: 768, kv_heads: 2 };
    let file = Edit::of(&tiny::gemma_of(1, GemmaKind::WithoutHeads, size));
    std::fs::write(&path, file.key("general.name", "EmbeddingGemma 300M").bytes()).expect("written");
    for (model, hears) in [(None, false), (Some(path.to_str().expect("UTF-8")), true)] {
        let arguments: Vec<&str> = model.iter().flat_map(|path| ["--model", path]).collect();
        let serving = Serving::start(&arguments);
        assert_eq!(serving.began.contains("prompt for each task"), hears, "{}", serving.began);
    }
}

#[test]
fn a_second_signal_does_not_wait_for_requests() {
    let mut serving = Serving::start(&[]);
    // Its body never comes.
    let mut stalled = TcpStream::connect(&serving.address).expect("it listens");
    let head =
        "POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    stalled.write_all(head.as_bytes()).expect("written");
    assert!(stalled.read(&mut [0; 25]).expect("it asks for the body") > 0);
    serving.signal("TERM");
    let mut said = String::new();
    serving.stderr.read_line(&mut said).expect("a line");
    assert!(said.contains("stopping"), "{said}");
    serving.signal("TERM");
    let (code, said, _) = serving.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("before all requests at hand were answered"), "{said}");
}

#[test]
fn heads_that_never_end_keep_nobody_out() {
    let serving = Serving::start_within(128, &["--client-timeout", "3600"]);
    let connect = || {
        let stream = TcpStream::connect(&serving.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        stream
    };
    // One that has asked, and one that was answered and may ask again.
    let body = "{\"inputs\": \"the cat\"}";
    let (mut asked, mut answered) = (connect(), connect());
    let length = body.len();
    write!(
        asked,
        "POST /embed HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )
    .expect("written");
    assert!(asked.read(&mut [0; 25]).expect("it asks for the body") > 0);
    write!(answered, "GET /health HTTP/1.1\r\nHost: test\r\n\r\n").expect("written");
    assert!(answered.read(&mut [0; 999]).expect("an answer") > 0);
    let mut halves: Vec<TcpStream> = Vec::new();
    for _ in 0..300 {
        let mut half = connect();
        half.write_all(b"GET /hea").expect("written");
        halves.push(half);
    }
    let mut new = connect();
    write!(new, "GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = String::new();
    new.read_to_string(&mut answer).expect("an answer, though nobody has left");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // The oldest went, in order; the newest are there still.
    for gone in halves[..2].iter_mut().chain([&mut answered]) {
        assert_eq!(gone.read(&mut [0; 9]).unwrap_or(0), 0);
    }
    let mut last = halves.pop().expect("300");
    last.write_all(b"lth HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("written");
    answer.clear();
    last.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Who had asked was not touched.
    asked.write_all(body.as_bytes()).expect("written");
    let mut status = [0; 12];
    asked.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 200");
}

#[test]
fn a_place_that_is_not_to_be_had_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for (arguments, code, what) in [
        (&["--port", port.as_str()][..], 1, "choose another port"),
        // An address for documentation, which no machine has.
        (&["--host", "192.0.2.1", "--port", "0"], 1, "address of this machine"),
        (&["--host", "no such host", "--port", "0"], 1, "no such host"),
        (&["--port", "65536"], 2, "65536"),
        (&["--pooling", "none", "--port", "0"], 2, "a vector a token"),
        (&["--model", "/no/such.gguf"], 1, "/no/such.gguf"),
        (&["--cors", "https://example.org/", "--port", "0"], 1, "`https://example.org/` is not an origin"),
    ] {
        let (stdout, stderr) = run(connote().arg("serve").args(arguments), code);
        assert!(stderr.contains(what) && !stderr.contains("serving"), "{arguments:?}: {stderr}");
        assert_eq!(stdout, b"", "{arguments:?}");
    }
}

/// A server at a Unix socket.
fn at_socket(path: &std::path::Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_connote"));
    command.args(["serve", "--unix-socket"]).arg(path).env_remove("CONNOTE_MODEL");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    while !said.contains(&format!(" at unix:{}", path.display())) {
        assert!(stderr.read_line(&mut said).expect("a line") > 0, "it ended: {said}");
    }
    // Whatever else it says has a reader.
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    child
}

fn terminate(child: &Child) {
    let sent = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

#[test]
fn a_server_that_ends_leaves_its_place_to_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("connote.sock");
    let mut first = at_socket(&path);
    let mut busy = UnixStream::connect(&path).expect("it listens");
    let head = "POST /embed HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n";
    busy.write_all(head.as_bytes()).expect("written");
    assert!(busy.read(&mut [0; 25]).expect("it asks for the body") > 0);
    terminate(&first);
    // Gone at the beginning of the end, while a request is at hand.
    while path.exists() {
        assert!(first.try_wait().expect("it is known").is_none(), "it waits for the request");
        std::thread::yield_now();
    }
    let mut second = at_socket(&path);
    busy.write_all(b"{\"inputs\": \"x\"}").expect("written");
    let mut answer = String::new();
    busy.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(first.wait().expect("it ends").code(), Some(0));
    // The next one's, which still answers there.
    UnixStream::connect(&path).expect("it listens");
    terminate(&second);
    assert_eq!(second.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_unix_socket_is_made_and_removed_and_nobodys_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("connote.sock");
    // One that a server has left behind.
    drop(UnixListener::bind(&path).expect("a socket"));
    let mut child = at_socket(&path);
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("{\"status\":\"ok\"}"), "{answer}");
    let taken = |path: &std::path::Path| {
        let arguments = ["serve", "--unix-socket", path.to_str().expect("UTF-8")];
        let (_, stderr) = run(connote().args(arguments), 1);
        assert!(stderr.contains("choose another path"), "{stderr}");
    };
    taken(&path);
    terminate(&child);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(!path.exists(), "it goes with the server");
    // A file that is no socket stays.
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "mine").expect("written");
    taken(&file);
    assert_eq!(std::fs::read_to_string(&file).expect("still there"), "mine");
    let long = folder.path().join("x".repeat(200));
    let (_, stderr) = run(connote().args(["serve", "--unix-socket", long.to_str().expect("UTF-8")]), 1);
    assert!(stderr.contains("a shorter path"), "{stderr}");
}

#[test]
fn keys_come_from_a_file_that_has_some() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    let name = path.to_str().expect("UTF-8");
    for (text, what) in
        [(None, "cannot be read"), (Some(""), "has no key"), (Some("# none\n \n"), "has no key")]
    {
        if let Some(text) = text {
            std::fs::write(&path, text).expect("written");
        }
        let (_, stderr) = run(connote().args(["serve", "--port", "0", "--api-key-file", name]), 1);
        assert!(stderr.contains(what) && stderr.contains(name), "{stderr}");
    }
    // With the mark that Notepad begins files with.
    std::fs::write(&path, "\u{feff}se#cret # mine\n# of the team\n\t# none\n").expect("written");
    let serving = Serving::start(&["--api-key-file", name]);
    let keyed = |serving: &Serving| serving.ask("GET /v1/models HTTP/1.1\r\nX-Api-Key: se#cret\r\n", "");
    assert!(keyed(&serving).starts_with("HTTP/1.1 200 "));
    drop(serving);
    std::fs::write(&path, "# of the team\nse#cret # mine\n\t# none\n").expect("written");
    let serving = Serving::start(&["--api-key-file", name]);
    assert!(serving.get("/health").starts_with("HTTP/1.1 200 "));
    assert!(serving.get("/v1/models").starts_with("HTTP/1.1 401 "));
    assert!(keyed(&serving).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_hangup_reads_the_keys_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    std::fs::write(&path, "first\n").expect("written");
    let mut serving = Serving::start(&["--api-key-file", path.to_str().expect("UTF-8")]);
    let status = |serving: &Serving, key: &str| {
        let answer = serving.ask(&format!("GET /v1/models HTTP/1.1\r\nX-Api-Key: {key}\r\n"), "");
        answer.split(' ').nth(1).expect("a status").to_owned()
    };
    let again = |serving: &mut Serving, text: &str| {
        std::fs::write(&path, text).expect("written");
        serving.signal("HUP");
        let mut said = String::new();
        serving.stderr.read_line(&mut said).expect("a line");
        said
    };
    assert_eq!((status(&serving, "first"), status(&serving, "second")), ("200".into(), "401".into()));
    let said = again(&mut serving, "\u{feff}second\nthird\n");
    assert!(said.contains("there are 2"), "{said}");
    assert_eq!((status(&serving, "first"), status(&serving, "second")), ("401".into(), "200".into()));
    let said = again(&mut serving, "# none\n");
    assert!(said.contains("has no key") && said.contains("stay"), "{said}");
    assert_eq!((status(&serving, "first"), status(&serving, "second")), ("401".into(), "200".into()));
}
