//! Scores of pairs: `POST /rerank` as the clients of TEI ask (by `texts`), and as those of Jina, Cohere and llama-server do
//! (by `documents`).

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use connote::{CancellationToken, PendingScores, Priority, RankRequest, Ranked, Score, Truncation};
use serde::{Deserialize, Serialize};

use crate::Service;
use crate::ask::{self, CancelOnDrop};
use crate::body::{self, Body, Purpose};
use crate::compute::{self, Computed, Load};
use crate::dialect::Dialect;
use crate::fault::{Fault, FaultKind};
use crate::json::{self, Count};
use crate::models::Served;
use crate::tei::Direction;

/// TEI's request.
#[derive(Debug, Deserialize)]
pub(crate) struct TeiAsked {
    query: String,
    texts: Vec<String>,
    model: Option<String>,
    raw_scores: Option<bool>,
    return_text: Option<bool>,
    #[serde(default, deserialize_with = "json::choice")]
    truncation_direction: Option<Direction>,
    top_n: Option<Count>,
    label: Option<String>,
    #[serde(default, deserialize_with = "crate::extras::truncation")]
    truncate: Option<Truncation>,
    #[serde(default, deserialize_with = "crate::extras::named")]
    priority: Option<Priority>,
}

/// Jina's and Cohere's.
#[derive(Debug, Deserialize)]
pub(crate) struct DocumentsAsked {
    query: String,
    documents: Vec<Document>,
    model: Option<String>,
    top_n: Option<Count>,
    return_documents: Option<bool>,
    raw_scores: Option<bool>,
    label: Option<String>,
    #[serde(default, deserialize_with = "crate::extras::truncation")]
    truncate: Option<Truncation>,
    #[serde(default, deserialize_with = "crate::extras::named")]
    priority: Option<Priority>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a document is a text, or an object with its `text`")]
enum Document {
    Text(String),
    Object { text: String },
}

/// What is asked for, whatever the shape.
struct Asked {
    served: Arc<Served>,
    request: RankRequest,
    count: usize,
    /// Bytes that are read for its pairs: the query is, with each of the documents.
    work: usize,
    priority: Option<Priority>,
    form: Form,
}

/// What the answer's form depends on.
struct Form {
    shape: Shape,
    raw: bool,
    top_n: Option<usize>,
    /// The documents, where they are asked for with their scores.
    texts: Option<Vec<String>>,
    name: String,
}

/// Whose request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Tei,
    Documents,
}

impl Shape {
    /// By the fields of a body; where it has those of neither, by its path.
    fn of(body: &[u8], by_path: Shape) -> Shape {
        let fields = json::fields(body);
        match (fields.contains("texts"), fields.contains("documents")) {
            (true, false) => Shape::Tei,
            (false, true) => Shape::Documents,
            _ => by_path,
        }
    }

    /// Whose shape a refusal has. That of documents is OpenAI's, as llama-server's, and has the words for Jina's and Cohere's clients, too.
    fn dialect(self) -> Dialect {
        match self {
            Shape::Tei => Dialect::Tei,
            Shape::Documents => Dialect::Jina,
        }
    }

    fn read(self, service: &Service, body: &[u8]) -> Result<Asked, Fault> {
        match self {
            Shape::Tei => {
                let asked: TeiAsked = json::read(body)?;
                let truncation = match (asked.truncate, asked.truncation_direction) {
                    (Some(Truncation::End), Some(Direction::Left)) => Truncation::Start,
                    (asked, _) => asked.unwrap_or(Truncation::Error),
                };
                let with_texts = asked.return_text == Some(true);
                Parts {
                    field: "texts",
                    query: asked.query,
                    texts: asked.texts,
                    model: asked.model,
                    top_n: asked.top_n,
                    label: asked.label,
                    raw: asked.raw_scores,
                    truncation,
                    priority: asked.priority,
                    with_texts,
                }
                .ask(service, self)
            }
            Shape::Documents => {
                let asked: DocumentsAsked = json::read(body)?;
                let text = |document| match document {
                    Document::Text(text) | Document::Object { text } => text,
                };
                Parts {
                    field: "documents",
                    query: asked.query,
                    texts: asked.documents.into_iter().map(text).collect(),
                    model: asked.model,
                    top_n: asked.top_n,
                    label: asked.label,
                    raw: asked.raw_scores,
                    // Theirs are cut without a word.
                    truncation: asked.truncate.unwrap_or(Truncation::End),
                    priority: asked.priority,
                    with_texts: asked.return_documents == Some(true),
                }
                .ask(service, self)
            }
        }
    }
}

/// What both requests have, by one name each.
struct Parts {
    field: &'static str,
    query: String,
    texts: Vec<String>,
    model: Option<String>,
    top_n: Option<Count>,
    label: Option<String>,
    raw: Option<bool>,
    truncation: Truncation,
    priority: Option<Priority>,
    with_texts: bool,
}

impl Parts {
    fn ask(self, service: &Service, shape: Shape) -> Result<Asked, Fault> {
        if self.texts.is_empty() {
            let message = format!("`{}` is an empty array; give one text at least", self.field);
            return Err(Fault::new(FaultKind::Empty, message).param(self.field));
        }
        let served = service.models().choose_reranker(self.model.as_deref())?;
        let count = self.texts.len();
        let work = self.query.len().saturating_mul(count);
        let kept = self.with_texts.then(|| self.texts.clone());
        let mut request = RankRequest::new(self.query, self.texts).truncation(self.truncation);
        if let Some(label) = self.label {
            request = request.label(label);
        }
        let top_n = self.top_n.map(|Count(top_n)| usize::try_from(top_n).unwrap_or(usize::MAX));
        let raw = self.raw == Some(true);
        let form = Form { shape, raw, top_n, texts: kept, name: served.name.clone() };
        Ok(Asked { served, request, count, work, priority: self.priority, form })
    }
}

/// `POST /rerank`: TEI's by `texts`, Jina's and Cohere's by `documents`.
pub(crate) async fn by_fields(State(service): State<Service>, request: Request) -> Response {
    route(service, Shape::Tei, request).await
}

/// `POST /v1/rerank`, `/v2/rerank`: as [`by_fields`], but who sends neither is told of `documents`.
pub(crate) async fn by_documents(State(service): State<Service>, request: Request) -> Response {
    route(service, Shape::Documents, request).await
}

async fn route(service: Service, by_path: Shape, request: Request) -> Response {
    let mut shape = by_path;
    let answer = async {
        let (headers, body) = ask::body(&service, request, Purpose::Vectors).await?;
        let size = body.len();
        let (by_fields, body) = ask::aside(size, move || Ok((Shape::of(&body.bytes, by_path), body))).await?;
        shape = by_fields;
        answer(&service, by_fields, headers, body).await
    };
    answer.await.unwrap_or_else(|fault: Fault| {
        let mut response = fault.into_response();
        response.extensions_mut().insert(shape.dialect());
        response
    })
}

/// From the body of a request to its answer.
async fn answer(service: &Service, shape: Shape, headers: HeaderMap, body: Body) -> Result<Response, Fault> {
    let begin = Instant::now();
    let timeout = ask::timeout(service, &headers)?;
    let Body { bytes, mut share } = body;
    let size = bytes.len();
    // Dropped when the answer is there, or when the client has gone: then nobody needs it.
    let token = CancellationToken::new();
    let _waits = CancelOnDrop(token.clone());
    let reading = service.clone();
    let most = service.settings().request_tokens;
    let prepared = async {
        let asked = ask::aside(size, move || shape.read(&reading, &bytes)).await?;
        let work = size.max(asked.work);
        let reader = move || {
            let mut request = asked.request.cancellation(&token).deadline(begin + timeout).most_tokens(most);
            if let Some(priority) = asked.priority.or(ask::priority(&headers)?) {
                request = request.priority(priority);
            }
            let call = asked.served.reranker()?.prepare(request).map_err(|error| {
                let fault = Fault::from(&error);
                match fault.kind {
                    FaultKind::BodyTooLarge => {
                        let message = format!("{} (--max-request-tokens sets the limit)", fault.message);
                        Fault { message, ..fault }
                    }
                    FaultKind::TooLong => fault.param("query"),
                    _ => fault.param("label"),
                }
            })?;
            if let Some((index, error)) = call.errors().next() {
                return Err(at(shape, index, error, timeout));
            }
            Ok((asked.served, asked.count, asked.form, call))
        };
        ask::aside(work, reader).await
    };
    let (served, count, form, call) = ask::in_time(timeout, prepared).await?;
    // JSON may write a byte of a text as six.
    let texts = form.texts.iter().flatten().map(|text| text.len() * 6).sum::<usize>();
    if !share.grow(size, texts.saturating_add(count * 96)) {
        return Err(body::crowded(service));
    }
    let tokens = call.tokens();
    let load = Load { model: &served.name, results: count, tokens, priority: call.priority() };
    let computed =
        compute::compute(service, begin, timeout, load, || call.submit(), PendingScores::waited).await?;
    let Computed { results, times } = computed;
    let results = results.into_iter().enumerate();
    let scores = results.map(|(index, one)| one.map_err(|error| at(shape, index, &error, timeout)));
    let scores = scores.collect::<Result<Vec<Score>, Fault>>()?;
    service.metrics().scored(&served.name, &scores);
    let truncated = scores.iter().filter(|score| score.truncated).count();
    let answer = ask::aside(texts, move || form.write(scores, tokens)).await?;
    times.written();
    let kind = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (kind, ask::held(answer, share)).into_response();
    compute::say(&mut response, &served.name, truncated, &times, []);
    Ok(response)
}

/// Why one document has no score, with its index.
fn at(shape: Shape, index: usize, error: &connote::Error, timeout: std::time::Duration) -> Fault {
    let (what, field) = match shape {
        Shape::Tei => ("text", "texts"),
        Shape::Documents => ("document", "documents"),
    };
    let mut fault = Fault::from(error).param(field);
    match fault.kind {
        // Its time was the request's: no text of it is to blame.
        FaultKind::Timeout => return compute::too_slow(timeout),
        FaultKind::TooLong => {
            fault.message = format!("{what} {index}: {} with \"truncate\": true", error.message());
        }
        _ => fault.message = format!("{what} {index}: {}", error.message()),
    }
    fault
}

impl Form {
    /// The body of the answer, the best first.
    fn write(self, scores: Vec<Score>, tokens: usize) -> Result<Vec<u8>, Fault> {
        let ranked = Ranked::best_first(scores, self.top_n);
        let score = |one: &Ranked| if self.raw { one.score.raw } else { one.score.score };
        let text = |one: &Ranked| self.texts.as_ref().map(|texts| texts[one.index].as_str());
        match self.shape {
            Shape::Tei => {
                let rank = |one: &Ranked| Rank { index: one.index, score: score(one), text: text(one) };
                json::write(&ranked.iter().map(rank).collect::<Vec<_>>())
            }
            Shape::Documents => {
                let result = |one: &Ranked| Relevance {
                    index: one.index,
                    relevance_score: score(one),
                    document: text(one).map(|text| Text { text }),
                };
                json::write(&Relevances {
                    model: &self.name,
                    object: "list",
                    usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
                    results: ranked.iter().map(result).collect(),
                })
            }
        }
    }
}

#[derive(Serialize)]
struct Rank<'a> {
    index: usize,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Serialize)]
struct Relevances<'a> {
    model: &'a str,
    object: &'static str,
    usage: Usage,
    results: Vec<Relevance<'a>>,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

#[derive(Serialize)]
struct Relevance<'a> {
    index: usize,
    relevance_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}
