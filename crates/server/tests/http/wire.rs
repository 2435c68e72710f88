//! HTTP as it may come: versions, methods, addresses, types and bodies that no client of ours sends, but somebody's does.

use std::net::{Ipv6Addr, SocketAddr};

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::{EMBEDDER, client, service, shared};

const BODY: &str = "{\"input\": \"the cat\"}";

fn the_cat() -> Vec<f32> {
    EMBEDDER.embed_one("the cat").expect("a vector").vector
}

fn is_the_cat(answer: &Answer) {
    assert_eq!(answer.vectors(), [the_cat()]);
}

/// curl says `application/x-www-form-urlencoded` of all it is given, and others say nothing.
#[test]
fn json_is_read_whatever_type_it_is_said_to_have() {
    let mut client = client();
    for kind in [
        "",
        "Content-Type: application/json; charset=utf-8\r\n",
        "Content-Type: APPLICATION/JSON\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: text/plain\r\n",
        "Content-Type: \r\n",
        "Content-Type: \u{fe}\r\n",
    ] {
        is_the_cat(&client.send_with("POST", "/v1/embeddings", kind, BODY));
    }
}

#[test]
fn a_query_changes_nothing_and_an_address_is_taken_as_it_is() {
    let mut client = client();
    for path in
        ["/v1/embeddings?", "/v1/embeddings?api-version=2024-02-01", "/v1/embeddings?input=x&model=%zz"]
    {
        is_the_cat(&client.send("POST", path, BODY));
    }
    // A client with an address of its own: what it asks for is in the refusal.
    for path in
        ["/v1/embeddings/", "//v1/embeddings", "/v1/v1/embeddings", "/V1/embeddings", "/v1/embeddings%20"]
    {
        let answer = client.send("POST", path, BODY);
        let message = answer.json()["error"]["message"].to_string();
        assert!(answer.status == 404 && message.contains("there is no route"), "{path}: {message}");
    }
    let path = format!("/{}", "x".repeat(8_000));
    assert_eq!(client.send("GET", &path, "").status, 404);
    is_the_cat(&client.embed(&json!({ "input": "the cat" })));
}

#[test]
fn a_head_is_its_get_without_a_body_and_other_methods_are_refused() {
    for path in ["/", "/health", "/v1/models", "/api/version", "/metrics", "/openapi.json"] {
        let mut client = client();
        client.write(format!("HEAD {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
        let said = String::from_utf8(client.read_to_end()).expect("text");
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("\r\n\r\n"), "{path}: {said}");
        assert_eq!(said.matches("\r\n\r\n").count(), 1, "{path}: {said}");
    }
    let mut client = client();
    for (method, path) in [
        ("OPTIONS", "/v1/embeddings"),
        ("PUT", "/v1/embeddings"),
        ("DELETE", "/embed"),
        ("PATCH", "/api/embed"),
        ("POST", "/health"),
        ("GET", "/tokenize"),
        ("BREW", "/embedding"),
    ] {
        let answer = client.send(method, path, "");
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.header("allow").is_some_and(|allowed| !allowed.contains(method)), "{method} {path}");
    }
}

#[test]
fn a_client_of_http_1_0_is_answered_and_its_connection_ends() {
    let mut client = client();
    client.write(format!("POST /v1/embeddings HTTP/1.0\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len()));
    let answer = client.read();
    assert!(answer.header("transfer-encoding").is_none(), "it knows no chunks");
    is_the_cat(&answer);
    assert!(client.read_to_end().is_empty());
    // One that asks to keep it has it.
    let mut client = Client::connect(shared());
    for _ in 0..2 {
        let keep = "Connection: keep-alive\r\n";
        client.write(format!(
            "POST /v1/embeddings HTTP/1.0\r\n{keep}Content-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        ));
        is_the_cat(&client.read());
    }
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let texts = ["the cat", "", "hello", "the mat"];
    let mut client = client();
    let all: String = texts
        .iter()
        .map(|text| {
            let body = json!({ "input": text }).to_string();
            format!(
                "POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        })
        .collect();
    client.write(all);
    for text in texts {
        assert_eq!(client.read().vectors(), [EMBEDDER.embed_one(text).expect("a vector").vector], "{text}");
    }
}

#[test]
fn a_body_may_come_in_chunks_and_when_it_is_asked_for() {
    let mut client = client();
    client.write("POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in ["{\"inp", "ut\": \"t", "he cat\"}"] {
        client.write(format!("{:x};an=extension\r\n{piece}\r\n", piece.len()));
    }
    client.write("0\r\nTrailer: of no use\r\n\r\n");
    is_the_cat(&client.read());
    let length = BODY.len();
    client.write(format!(
        "POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ));
    assert_eq!(client.read().status, 100);
    client.write(BODY);
    is_the_cat(&client.read());
}

/// RFC 9112, 3.2: proxies and servers that take different hosts for the right one can be played off against each other.
#[test]
fn a_request_of_http_1_1_names_one_host() {
    for (hosts, wrong) in [
        ("", "no Host header"),
        ("Host: a\r\nHost: a\r\n", "two Host headers"),
        ("Host: a b\r\n", "no name or address"),
        ("Host: http://a/\r\n", "no name or address"),
    ] {
        let mut client = client();
        client.write(format!(
            "POST /v1/embeddings HTTP/1.1\r\n{hosts}Content-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        ));
        let answer = client.read();
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status == 400 && said.contains(wrong), "{hosts}: {} {said}", answer.status);
        assert!(answer.header("x-request-id").is_none() && client.read_to_end().is_empty(), "{hosts}");
    }
    for hosts in ["Host:\r\n", "Host: my_service:8080\r\n", "hOST: [::1]:80\r\n"] {
        let mut client = client();
        client.write(format!(
            "POST /v1/embeddings HTTP/1.1\r\n{hosts}Content-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        ));
        is_the_cat(&client.read());
    }
    // HTTP/1.0 had none.
    for (hosts, status) in [("", 200), ("Host: a\r\n", 200), ("Host: a\r\nHost: b\r\n", 400)] {
        let mut client = client();
        client.write(format!("GET /health HTTP/1.0\r\n{hosts}\r\n"));
        assert_eq!(client.read().status, status, "{hosts}");
    }
}

/// What is no HTTP ends its own connection, and nobody else's.
#[test]
fn what_is_no_http_is_refused() {
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"POST /embed HTTP/1.1\r\nHost: test\r\nContent-Length: x\r\n\r\n",
        b"POST /embed HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /embed HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
    ] {
        let mut client = client();
        // In one piece, which the server has read when it refuses it: what comes after it has closed breaks the connection, and
        // what it said may be lost with it.
        client.write([bytes, b"\r\n\r\n"].concat());
        let said = client.read_to_end();
        let refused = said.is_empty() || said.starts_with(b"HTTP/1.1 4") || said.starts_with(b"HTTP/1.0 4");
        assert!(refused, "{}: {}", String::from_utf8_lossy(bytes), String::from_utf8_lossy(&said));
    }
    is_the_cat(&client().embed(&json!({ "input": "the cat" })));
}

/// Before there is a request, there is nothing that could be given an id, or counted.
#[test]
fn heads_that_are_too_large_are_refused_by_their_status_alone() {
    let address = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(bytes));
    let headers = |count: usize, bytes: usize| {
        let header = |at| format!("X-{at}: {}\r\n", "x".repeat(bytes));
        format!("GET /health HTTP/1.1\r\nHost: test\r\n{}\r\n", (1..count).map(header).collect::<String>())
    };
    for (head, status) in [
        (address(65_533), 404),
        (address(65_534), 414),
        (headers(100, 1), 200),
        (headers(101, 1), 431),
        (headers(60, 6 << 10), 200),
        // Without its end, so that all of it is read: what is not could break the connection before the answer.
        (headers(80, 6 << 10)[..417_792].to_owned(), 431),
    ] {
        let mut client = Client::connect(shared());
        client.write(&head);
        let answer = client.read();
        assert_eq!(answer.status, status, "{} bytes", head.len());
        let is_request = matches!(status, 200 | 404);
        assert_eq!(answer.header("x-request-id").is_some(), is_request, "{status}");
        assert_eq!(answer.body.is_empty(), !is_request, "{status}");
    }
}

#[test]
fn texts_in_every_script_have_the_librarys_bits() {
    let texts = [
        "日本語のテキスト",
        "שלום עולם",
        "e\u{301}\u{323} \u{1e69}",
        "👩‍👩‍👧‍👦🏳️‍🌈",
        "a\0b\u{7f}\u{feff}\u{200b}\u{2028}",
        "\u{10ffff}\u{e000}",
        "\t \r\n",
    ];
    // As themselves, and as clients that know nothing but ASCII write them.
    let escaped = |text: &str| {
        let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        format!("\"{units}\"")
    };
    let bodies = [
        json!({ "input": texts }).to_string(),
        format!("{{\"input\": [{}]}}", texts.map(escaped).join(",")),
        format!("\u{20}\n{{\"input\":\t{}}}\r\n", json!(texts)),
        format!("\u{feff}{{\"input\": {}}}", json!(texts)),
    ];
    let wanted = texts.map(|text| EMBEDDER.embed_one(text).expect("a vector").vector);
    for body in bodies {
        assert_eq!(client().send("POST", "/v1/embeddings", &body).vectors(), wanted, "{body}");
    }
}

/// What is cut is not counted: usage is what the network read, whatever the protocol calls it.
#[test]
fn usage_of_cut_texts_is_what_was_computed() {
    let (short, long) = ("the cat", "cat ".repeat(1_000));
    let few = EMBEDDER.embed_one(short).expect("a vector").tokens;
    let all = few + 256;
    let mut client = client();
    for (side, path, count) in [
        (json!(true), "/v1/embeddings", "/usage/prompt_tokens"),
        (json!("start"), "/v1/embeddings", "/usage/total_tokens"),
        (json!(true), "/api/embed", "/prompt_eval_count"),
    ] {
        let body = json!({ "model": "m", "input": [long, short], "truncate": side });
        let answer = client.send("POST", path, body.to_string());
        assert_eq!((answer.status, answer.header("x-truncated")), (200, Some("1")), "{path}");
        assert_eq!(answer.json().pointer(count), Some(&Value::from(all)), "{path} {side}");
    }
    let lines = format!("{}\n{}\n", json!({ "text": long }), json!({ "text": short }));
    let kind = "Content-Type: application/x-ndjson\r\nConnection: close\r\n";
    client.write(format!(
        "POST /embed?truncate=true HTTP/1.0\r\n{kind}Content-Length: {}\r\n\r\n{lines}",
        lines.len()
    ));
    let said = String::from_utf8(client.read_to_end()).expect("text");
    let told = |line: &str| serde_json::from_str::<Value>(line).ok();
    let told: Vec<Value> = said.lines().filter_map(told).collect();
    let told: Vec<_> = told.iter().map(|line| (&line["tokens"], &line["truncated"])).collect();
    assert_eq!(told, [(&json!(256), &json!(true)), (&json!(few), &json!(false))], "{said}");
}

/// Of what cannot be had nothing is given: neither fewer dimensions than were asked for, nor zeros up to them.
#[test]
fn dimensions_that_the_model_has_not_are_refused_on_every_route() {
    let mut client = client();
    for (path, field, status) in [
        ("/v1/embeddings", "input", 400),
        ("/embed", "inputs", 422),
        ("/api/embed", "input", 400),
        ("/api/embeddings", "prompt", 400),
        ("/embedding", "content", 400),
        ("/embeddings", "content", 400),
    ] {
        for dimensions in [385, 100_000_000] {
            let body = json!({ "model": "m", field: "x", "dimensions": dimensions });
            let answer = client.send("POST", path, body.to_string());
            let said = String::from_utf8_lossy(&answer.body);
            assert!(answer.status == status && said.contains("384"), "{path}: {} {said}", answer.status);
        }
    }
}

#[test]
fn it_listens_at_addresses_of_ipv6() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = match runtime.block_on(tokio::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0))) {
        Ok(listener) => listener,
        // A machine without it, as some containers are.
        Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => return,
        Err(error) => panic!("{error}"),
    };
    let address: SocketAddr = listener.local_addr().expect("an address");
    let served = service(EMBEDDER.clone(), connote_server::Settings::default());
    let ends = runtime.spawn(connote_server::serve(listener, served, async { drop(stopped.await) }));
    is_the_cat(&Client::connect(address).embed(&json!({ "input": "the cat" })));
    drop(stop);
    runtime.block_on(ends).expect("it stands").expect("it ends in order");
}
