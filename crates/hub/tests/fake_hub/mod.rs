//! A server that plays the hub, and, at a second address, the storage that it leads to.
//!
//! Headers and redirects are those of huggingface.co as huggingface_hub reads them: a HEAD request of a large file is
//! answered by 302 with X-Repo-Commit, X-Linked-Etag and X-Linked-Size.
#![allow(dead_code, unreachable_pub)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong with the next request for content, or with any request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The next request of any kind gets this status and these headers.
    Status(u16, &'static [(&'static str, &'static str)]),
    /// The next content ends after so many bytes.
    Cut(usize),
    /// The next content has a wrong byte.
    Altered,
    /// The next content is whole whatever part was asked for.
    NoRange,
    /// The next content stops coming after so many bytes, for so long.
    Stall(usize, Duration),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// It came to the storage.
    pub to_storage: bool,
}

#[derive(Debug, Default)]
pub struct State {
    /// Content by `org/repo` and path.
    pub repos: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Files that lie in git: no redirect, and git's hash as etag.
    pub in_git: Vec<String>,
    pub faults: VecDeque<Fault>,
    /// For the next contents alone: other requests leave them.
    pub content_faults: VecDeque<Fault>,
    /// Who asks without it sees nothing.
    pub token: Option<String>,
    pub gated: bool,
    /// Old names of repositories, which lead to new ones.
    pub renamed: BTreeMap<String, String>,
    /// A size that is told instead of the true one.
    pub told_size: Option<u64>,
    /// An etag and a commit that are told instead of the true ones.
    pub told_etag: Option<String>,
    pub told_commit: Option<String>,
    /// What stands behind the `?` of the storage's addresses, and what the storage answers instead of content.
    pub storage_query: Option<String>,
    pub storage_status: Option<u16>,
    pub requests: Vec<Request>,
    pub connections: usize,
}

#[derive(Clone)]
pub struct FakeHub {
    /// As for HF_ENDPOINT.
    pub endpoint: String,
    storage: String,
    state: Arc<Mutex<State>>,
}

impl FakeHub {
    pub fn start() -> Self {
        let (hub, storage) = (listener(), listener());
        let address =
            |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("an address"));
        let this = Self { endpoint: address(&hub), storage: address(&storage), state: Arc::default() };
        for (listener, to_storage) in [(hub, false), (storage, true)] {
            let this = this.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    this.state().connections += 1;
                    let this = this.clone();
                    thread::spawn(move || this.serve(&stream, to_storage));
                }
            });
        }
        this
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test has panicked with it")
    }

    pub fn put(&self, repo: &str, file: &str, content: &[u8]) {
        self.state().repos.entry(repo.to_owned()).or_default().insert(file.to_owned(), content.to_owned());
    }

    pub fn fail(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    pub fn fail_content(&self, fault: Fault) {
        self.state().content_faults.push_back(fault);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    fn serve(&self, stream: &TcpStream, to_storage: bool) {
        let mut lines = BufReader::new(stream.try_clone().expect("a stream"));
        while let Some(request) = read(&mut lines, to_storage) {
            self.state().requests.push(request.clone());
            if self.answer(stream, &request).is_none() {
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }

    /// `None` ends the connection.
    fn answer(&self, stream: &TcpStream, request: &Request) -> Option<()> {
        let mut state = self.state();
        if let Some(Fault::Status(status, headers)) = state.faults.front().cloned() {
            state.faults.pop_front();
            drop(state);
            let headers: Vec<(&str, String)> =
                headers.iter().map(|&(name, value)| (name, value.to_owned())).collect();
            return send(stream, request, status, &headers, b"no");
        }
        let path = decoded(request.path.split('?').next().unwrap_or_default());
        if let Some(sha) = path.strip_prefix("/content/").filter(|_| request.to_storage) {
            let content = state
                .repos
                .values()
                .flat_map(BTreeMap::values)
                .find(|content| sha256(content) == sha)?
                .clone();
            let fault = state.faults.pop_front();
            if let Some(status) = state.storage_status {
                drop(state);
                return send(stream, request, status, &[], b"no");
            }
            drop(state);
            return self.content(stream, request, &content, fault);
        }
        if let Some((old, new)) = state.renamed.iter().find(|(old, _)| path.contains(&format!("/{old}/"))) {
            let location = path.replace(old.as_str(), new);
            drop(state);
            return send(stream, request, 307, &[("Location", location)], b"");
        }
        if let Some(token) = &state.token
            && request.headers.get("authorization") != Some(&format!("Bearer {token}"))
        {
            drop(state);
            return send(stream, request, 401, &[("X-Error-Code", "RepoNotFound".to_owned())], b"");
        }
        if state.gated {
            drop(state);
            return send(stream, request, 403, &[("X-Error-Code", "GatedRepo".to_owned())], b"");
        }
        let not_found = |code: &str| send(stream, request, 404, &[("X-Error-Code", code.to_owned())], b"");
        let known = |revision: &str| revision == "main" || COMMIT.starts_with(revision);
        if let Some((repo, revision)) =
            path.strip_prefix("/api/models/").and_then(|rest| rest.split_once("/revision/"))
        {
            let Some(files) = state.repos.get(repo) else { return not_found("RepoNotFound") };
            if !known(revision) {
                return not_found("RevisionNotFound");
            }
            let commit = state.told_commit.clone().unwrap_or_else(|| COMMIT.to_owned());
            let siblings: Vec<String> =
                files.keys().map(|file| format!("{{\"rfilename\": {file:?}}}")).collect();
            let body = format!(
                "{{\"id\": {repo:?}, \"sha\": {commit:?}, \"gated\": false, \"siblings\": [{}]}}",
                siblings.join(", ")
            );
            drop(state);
            return send(
                stream,
                request,
                200,
                &[("Content-Type", "application/json".to_owned())],
                body.as_bytes(),
            );
        }
        let Some((repo, rest)) = path.trim_start_matches('/').split_once("/resolve/") else {
            return not_found("");
        };
        let Some(files) = state.repos.get(repo) else { return not_found("RepoNotFound") };
        let Some((revision, file)) = rest.split_once('/') else { return not_found("") };
        if !known(revision) {
            return not_found("RevisionNotFound");
        }
        let Some(content) = files.get(file).cloned() else { return not_found("EntryNotFound") };
        let commit = state.told_commit.clone().unwrap_or_else(|| COMMIT.to_owned());
        let (commit, told_etag) = (("X-Repo-Commit", commit), state.told_etag.clone());
        let query = state.storage_query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
        if state.in_git.iter().any(|known| known == file) {
            let fault = if request.method == "HEAD" { None } else { state.content_faults.pop_front() };
            drop(state);
            let etag = ("ETag", format!("\"{}\"", told_etag.unwrap_or_else(|| git_hash(&content))));
            let mut content = content;
            if matches!(fault, Some(Fault::Altered)) {
                content[0] ^= 1;
            }
            return send(stream, request, 200, &[commit, etag], &content);
        }
        let size = state.told_size.unwrap_or(content.len() as u64);
        drop(state);
        let headers = [
            commit,
            ("X-Linked-Etag", format!("\"{}\"", told_etag.unwrap_or_else(|| sha256(&content)))),
            ("X-Linked-Size", size.to_string()),
            ("Location", format!("{}/content/{}{query}", self.storage, sha256(&content))),
        ];
        send(stream, request, 302, &headers, b"Found. Redirecting")
    }

    fn content(
        &self,
        stream: &TcpStream,
        request: &Request,
        content: &[u8],
        fault: Option<Fault>,
    ) -> Option<()> {
        let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
        let from: usize = range.and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or(0);
        let from = if matches!(fault, Some(Fault::NoRange)) { 0 } else { from };
        if from > 0 && from >= content.len() {
            return send(stream, request, 416, &[], b"");
        }
        let mut body = content[from..].to_vec();
        let etag = ("ETag", format!("\"{}\"", sha256(content)));
        let mut headers = vec![etag, ("Accept-Ranges", "bytes".to_owned())];
        if from > 0 {
            headers.push(("Content-Range", format!("bytes {from}-{}/{}", content.len() - 1, content.len())));
        }
        let status = if from > 0 { 206 } else { 200 };
        match fault {
            Some(Fault::Cut(after)) => {
                send_part(stream, status, &headers, &body, after)?;
                None
            }
            Some(Fault::Stall(after, long)) => {
                send_part(stream, status, &headers, &body, after)?;
                thread::sleep(long);
                None
            }
            Some(Fault::Altered) => {
                body[0] ^= 1;
                send(stream, request, status, &headers, &body)
            }
            _ => send(stream, request, status, &headers, &body),
        }
    }
}

pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `git hash-object` says.
pub fn git_hash(content: &[u8]) -> String {
    let object = [format!("blob {}\0", content.len()).as_bytes(), content].concat();
    Sha1::digest(object).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

fn read(lines: &mut BufReader<TcpStream>, to_storage: bool) -> Option<Request> {
    let mut line = String::new();
    lines.read_line(&mut line).ok().filter(|&count| count > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Request { method, path, headers, to_storage })
}

fn send(
    stream: &TcpStream,
    request: &Request,
    status: u16,
    headers: &[(&str, String)],
    body: &[u8],
) -> Option<()> {
    let sent = if request.method == "HEAD" { 0 } else { body.len() };
    send_part(stream, status, headers, body, sent)
}

fn send_part(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(&str, String)],
    body: &[u8],
    sent: usize,
) -> Option<()> {
    let mut head = format!("HTTP/1.1 {status} As it is\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body[..sent.min(body.len())]).ok()?;
    stream.flush().ok()
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code =
            after.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code.filter(|_| byte == b'%') {
            Some(code) => {
                bytes.push(code);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
