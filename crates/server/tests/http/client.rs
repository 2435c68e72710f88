//! A client of HTTP/1.1 that hides nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A connection, kept alive.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it connects");
        // So that an answer that never comes fails the test instead of holding it up.
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("set");
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("written");
    }

    /// Writes what may be refused before its end.
    pub(crate) fn write_some(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// Waits until an answer begins.
    pub(crate) fn wait(&self) {
        assert!(self.stream.get_ref().peek(&mut [0]).expect("an answer") > 0);
    }

    /// One answer, of any status, a 100 (continue) included.
    pub(crate) fn read(&mut self) -> Answer {
        let mut line = || {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a line");
            line.trim_end().to_owned()
        };
        let status = line();
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let mut headers = Vec::new();
        loop {
            match line() {
                end if end.is_empty() => break,
                header => {
                    let (name, value) = header.split_once(": ").expect("a header");
                    headers.push((name.to_ascii_lowercase(), value.to_owned()));
                }
            }
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a number"));
        answer.body.resize(length, 0);
        self.stream.read_exact(&mut answer.body).expect("the body");
        answer
    }

    /// All that comes until the server ends the connection.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).expect("it ends");
        bytes
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send_with(method, path, "", body)
    }

    /// With header lines of its own, each with its end.
    pub(crate) fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let body = body.as_ref();
        self.write(format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        ));
        self.write(body);
        self.read()
    }

    /// Asks for embeddings.
    pub(crate) fn embed(&mut self, body: &Value) -> Answer {
        self.send("POST", "/v1/embeddings", body.to_string())
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The vectors of an answer that must be one.
    pub(crate) fn vectors(&self) -> Vec<Vec<f32>> {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        let answer = self.json();
        let data = answer["data"].as_array().expect("a list");
        let vector = |item: &Value| serde_json::from_value(item["embedding"].clone()).expect("numbers");
        data.iter().map(vector).collect()
    }
}
