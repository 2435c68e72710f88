//! Requests as bytes: what the fuzzer of request bodies reads them as, and seeds for it.
//!
//! The first byte chooses the route, the second the media types of body and answer, and whether the next line is the query
//! of the address; the rest is the body.

/// Every route that takes a body.
pub const ROUTES: [&str; 12] = [
    "/v1/embeddings",
    "/embeddings",
    "/embed",
    "/embed_all",
    "/",
    "/api/embed",
    "/api/embeddings",
    "/embedding",
    "/tokenize",
    "/detokenize",
    "/decode",
    "/api/show",
];

/// What bodies say they are.
pub const CONTENT_TYPES: [&str; 3] =
    ["application/json", "application/x-ndjson", "application/x-www-form-urlencoded"];

/// What answers are asked for.
pub const ACCEPTS: [&str; 4] = [
    "application/json",
    "application/octet-stream",
    "application/x-ndjson",
    "application/vnd.apache.arrow.stream",
];

/// A request, read from bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Posted<'a> {
    /// One of [`ROUTES`].
    pub route: &'static str,
    /// One of [`CONTENT_TYPES`].
    pub content_type: &'static str,
    /// One of [`ACCEPTS`].
    pub accept: &'static str,
    /// The query of the address, any bytes.
    pub query: Option<&'a [u8]>,
    /// Any bytes.
    pub body: &'a [u8],
}

impl<'a> Posted<'a> {
    /// Any two bytes and more are one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let [route, kinds, rest @ ..] = bytes else { return None };
        let (route, kinds) = (usize::from(*route), usize::from(*kinds));
        let (query, body) = match rest.iter().position(|&byte| byte == b'\n') {
            Some(end) if kinds >= 128 => (Some(&rest[..end]), &rest[end + 1..]),
            _ => (None, rest),
        };
        Some(Self {
            route: ROUTES[route % ROUTES.len()],
            content_type: CONTENT_TYPES[kinds % CONTENT_TYPES.len()],
            accept: ACCEPTS[kinds % 128 / CONTENT_TYPES.len() % ACCEPTS.len()],
            query,
            body,
        })
    }

    /// The bytes that are read as this.
    pub fn write(&self) -> Vec<u8> {
        let at = |list: &[&str], one| list.iter().position(|&other| other == one).unwrap_or(0);
        let kinds = at(&ACCEPTS, self.accept) * CONTENT_TYPES.len() + at(&CONTENT_TYPES, self.content_type);
        let route = at(&ROUTES, self.route) as u8;
        match self.query {
            None => [&[route, kinds as u8], self.body].concat(),
            Some(query) => {
                let chooses_the_same = |more: &usize| {
                    let byte = 128 + more;
                    byte % CONTENT_TYPES.len() == kinds % CONTENT_TYPES.len()
                        && more / CONTENT_TYPES.len() % ACCEPTS.len() == kinds / CONTENT_TYPES.len()
                };
                let with_query = (0..128).find(chooses_the_same);
                let kinds = (128 + with_query.unwrap_or(0)) as u8;
                [&[route, kinds], query, b"\n", self.body].concat()
            }
        }
    }
}

/// Requests that are answered, of every route, kind and form.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let json = [
        ("/v1/embeddings", r#"{"input": "the cat"}"#),
        (
            "/v1/embeddings",
            r#"{"input": ["the cat", "a"], "encoding_format": "base64", "dimensions": 4, "task": "query"}"#,
        ),
        (
            "/v1/embeddings",
            r#"{"input": [[2, 5], [6]], "token_ids": "model", "priority": "batch", "user": "me"}"#,
        ),
        (
            "/embeddings",
            r#"{"input": ["the cat"], "truncate": true, "input_type": "search_document", "title": "t"}"#,
        ),
        ("/embeddings", r#"{"content": ["the cat", [2, "a"], {"prompt_string": "b"}], "embd_normalize": 3}"#),
        (
            "/embed",
            r#"{"inputs": ["the cat", "a"], "normalize": false, "truncate": true, "truncation_direction": "Left"}"#,
        ),
        ("/embed", r#"{"inputs": [[2, 5], [6]], "dimensions": 4.0, "prompt_name": "query"}"#),
        ("/embed_all", r#"{"inputs": "the cat"}"#),
        ("/", r#"{"inputs": "the cat"}"#),
        (
            "/api/embed",
            r#"{"model": "m", "input": ["the cat", ""], "truncate": false, "options": {}, "keep_alive": -1}"#,
        ),
        ("/api/embeddings", r#"{"model": "m:query", "prompt": "the cat"}"#),
        (
            "/embedding",
            r#"{"content": {"content": [{"type": "text", "text": "the cat"}]}, "embd_normalize": -1}"#,
        ),
        ("/tokenize", r#"{"inputs": ["the cat"], "add_special_tokens": false}"#),
        (
            "/tokenize",
            r#"{"content": ["the", 5], "with_pieces": true, "add_special": true, "parse_special": false}"#,
        ),
        ("/detokenize", r#"{"tokens": [2, 5, 6]}"#),
        ("/decode", r#"{"ids": [[2, 5], [6]], "skip_special_tokens": false}"#),
        ("/api/show", r#"{"model": "m"}"#),
    ];
    for (index, (route, body)) in json.into_iter().enumerate() {
        let accept = ACCEPTS[index % ACCEPTS.len()];
        let [content_type, _, form] = CONTENT_TYPES;
        for (content_type, accept) in [(content_type, ACCEPTS[0]), (form, accept)] {
            let body = body.as_bytes();
            seeds.push(Posted { route, content_type, accept, query: None, body }.write());
        }
        // Some editors and clients begin with a byte order mark.
        let (accept, marked) = (ACCEPTS[0], ["\u{feff}", body].concat());
        seeds.push(Posted { route, content_type, accept, query: None, body: marked.as_bytes() }.write());
    }
    let lines = b"{\"text\": \"the cat\"}\r\n\n{\"id\": [1], \"text\": \"a\", \"task\": \"query\", \"title\": \"t\"}\nno\n{\"text\": 1}";
    let queries: [Option<&[u8]>; 3] =
        [None, Some(b"truncate=true&dimensions=4&model=m"), Some(b"normalize=false&task=document&title=t")];
    for route in &ROUTES[..8] {
        for query in queries {
            let (content_type, accept) = (CONTENT_TYPES[1], ACCEPTS[0]);
            seeds.push(Posted { route, content_type, accept, query, body: lines }.write());
        }
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_can_be_written_as_bytes() {
        for route in ROUTES {
            for content_type in CONTENT_TYPES {
                for accept in ACCEPTS {
                    for query in [None, Some(b"a=b".as_slice())] {
                        let posted = Posted { route, content_type, accept, query, body: b"{}\n" };
                        assert_eq!(Posted::read(&posted.write()), Some(posted));
                    }
                }
            }
        }
        assert!(seeds().iter().all(|seed| Posted::read(seed).is_some()));
    }
}
