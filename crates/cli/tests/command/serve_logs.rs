//! What `connote serve` logs, and the traces that it sends.
#![cfg(target_os = "linux")]

use serde_json::Value;

use super::serve::Serving;
use super::{connote, run};

const TEXT: &str = "nobody else may read this";

fn embed(serving: &Serving, head: &str) -> String {
    let body = format!("{{\"input\": [\"{TEXT}\", \"x\"]}}");
    let length = body.len();
    serving.ask(&format!("POST /v1/embeddings HTTP/1.1\r\n{head}Content-Length: {length}\r\n"), &body)
}

/// The lines of a log that are of requests.
fn lines(said: &str) -> Vec<Value> {
    let lines = said.lines().filter(|line| line.starts_with('{'));
    let lines =
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")));
    lines.filter(|line: &Value| line["target"] == "connote::request").collect()
}

#[test]
fn a_request_is_a_line_of_json_without_its_text_or_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "sesame\n").expect("written");
    let keys = keys.to_str().expect("UTF-8");
    let serving = Serving::start(&["--log", "info", "--log-format", "json", "--api-key-file", keys]);
    let answer = embed(&serving, "X-Api-Key: sesame\r\nX-Request-Id: mine/1\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("x-request-id: mine/1\r\n"), "{answer}");
    assert!(embed(&serving, "X-Api-Key: simsalabim\r\n").starts_with("HTTP/1.1 401 "));
    assert!(serving.get(&format!("/{TEXT}").replace(' ', "-")).starts_with("HTTP/1.1 401 "));
    // Asked for by machines, every few seconds.
    assert!(serving.get("/health/ready").starts_with("HTTP/1.1 200 "));
    serving.signal("TERM");
    let (code, said, _) = serving.end();
    assert_eq!(code, Some(0), "{said}");
    let lines = lines(&said);
    assert_eq!(lines.len(), 3, "{said}");
    let line = &lines[0];
    assert_eq!(
        (&line["level"], &line["id"], &line["method"]),
        (&"INFO".into(), &"mine/1".into(), &"POST".into())
    );
    assert_eq!((&line["route"], &line["status"]), (&"/v1/embeddings".into(), &200.into()));
    // [CLS] nobody else may read this [SEP], [CLS] x [SEP]
    assert_eq!((&line["texts"], &line["tokens"]), (&2.into(), &10.into()));
    assert!(line["model"].as_str().is_some_and(|model| !model.is_empty()), "{line}");
    let ms = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("{name}: {line}"));
    assert!(ms("ms") >= ms("queue_ms") + ms("engine_ms") && ms("engine_ms") > 0.0, "{line}");
    assert!(line["timestamp"].is_string() && line["error"].is_null() && line["gone"].is_null(), "{line}");
    assert_eq!((&lines[1]["status"], &lines[1]["error"]), (&401.into(), &"invalid_api_key".into()));
    assert_eq!(lines[2]["route"], "other");
    for secret in ["nobody", "sesame", "simsalabim"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn a_log_has_what_is_asked_for() {
    // Nothing of a request that went well, unless somebody asks.
    for (arguments, variable, wanted) in [
        (&[][..], None, false),
        (&[][..], Some("info"), true),
        (&["--log", "warn"][..], Some("info"), false),
        (&["--log", "connote::request=info,off"][..], None, true),
        (&["--log", "off"][..], None, false),
    ] {
        let serving = Serving::start_with(arguments, variable.map(|value| ("CONNOTE_LOG", value)));
        assert!(embed(&serving, "").starts_with("HTTP/1.1 200 "));
        serving.signal("TERM");
        let (_, said, _) = serving.end();
        let line = said.lines().find(|line| line.contains("connote::request"));
        assert_eq!(line.is_some(), wanted, "{arguments:?} {variable:?}: {said}");
        assert!(line.is_none_or(|line| line.contains("status=200") && line.contains("INFO")), "{said}");
    }
    for (value, what) in [("loud", "debug"), ("connote=loud", "invalid")] {
        let (_, stderr) = run(connote().args(["serve", "--port", "0", "--log", value]), 2);
        assert!(stderr.contains("--log") && stderr.contains(what), "{stderr}");
    }
}

/// Traces, at a collector of this test.
#[cfg(feature = "otel")]
mod traces {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    /// The path and the body of one request, which is answered.
    fn one(listener: &TcpListener) -> (String, Vec<u8>) {
        let (stream, _) = listener.accept().expect("the exporter connects");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let begin = head.len();
            assert!(stream.read_line(&mut head).expect("a line") > 0, "{head}");
            let line = head[begin..].trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("the body");
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        stream.get_mut().write_all(answer.as_bytes()).expect("written");
        (head, body)
    }

    fn has(body: &[u8], part: &[u8]) -> bool {
        body.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn spans_arrive_and_continue_the_clients_trace() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let collector = std::thread::spawn(move || one(&listener));
        let variable = Some(("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()));
        let serving = Serving::start_with(&["--log", "info", "--log-format", "json"], variable);
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\nX-Request-Id: mine\r\n");
        assert!(embed(&serving, &parent).starts_with("HTTP/1.1 200 "));
        assert!(serving.get("/health").starts_with("HTTP/1.1 200 "));
        // Its end sends what waits.
        serving.signal("TERM");
        let (code, said, _) = serving.end();
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(lines(&said)[0]["trace_id"], trace);
        let (head, body) = collector.join().expect("spans");
        assert!(head.starts_with("POST /v1/traces ") && head.contains("application/x-protobuf"), "{head}");
        let words = [
            "connote",
            "POST /v1/embeddings",
            "parse",
            "queue",
            "engine",
            "write",
            "http.route",
            "connote.tokens",
            "connote.model",
            "mine",
        ];
        for word in words {
            assert!(has(&body, word.as_bytes()), "{word} in {}", String::from_utf8_lossy(&body));
        }
        let bytes = |hex: &str| -> Vec<u8> {
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
            (0..hex.len()).step_by(2).map(byte).collect()
        };
        let times = body.windows(16).filter(|window| *window == bytes(trace)).count();
        assert_eq!(times, 5, "the request and its four parts");
        assert!(has(&body, &bytes("00f067aa0ba902b7")), "the client's span is their parent");
        assert!(!has(&body, b"nobody") && !has(&body, b"/health"));
    }

    #[test]
    fn a_collector_that_is_not_to_be_reached_is_said_and_nothing_else() {
        let serving = Serving::start_with(&[], Some(("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1")));
        assert!(
            serving.began.contains("no traces are sent") && serving.began.contains("no TLS"),
            "{}",
            serving.began
        );
        assert!(embed(&serving, "").starts_with("HTTP/1.1 200 "));
        serving.signal("TERM");
        let (code, said, _) = serving.end();
        assert_eq!(code, Some(0), "{said}");
    }
}
