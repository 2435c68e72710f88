//! An application's own axum router that embeds in a handler, without keeping the runtime's threads busy.
//!
//!     cargo run --release -p connote-server --example axum_handler -- 127.0.0.1:3000
//!     curl 127.0.0.1:3000/embed --data 'a cat on the mat'

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use connote::{Embedder, Request};

type Refusal = (StatusCode, String);

/// The vector of the body, as a JSON array.
async fn embed(State(embedder): State<Arc<Embedder>>, text: String) -> Result<impl IntoResponse, Refusal> {
    let refused = |error: connote::Error| (StatusCode::UNPROCESSABLE_ENTITY, error.to_string());
    // Token ids of a long text take a while, so they are made aside; vectors are the embedder's own threads' work. A client
    // that goes away drops the future, which ends it.
    let prepared = tokio::task::spawn_blocking(move || embedder.prepare(Request::new([text]))).await;
    let failed = |error: tokio::task::JoinError| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let call = prepared.map_err(failed)?.map_err(refused)?;
    let embedding = call.submit().await.remove(0).map_err(refused)?;
    let json = serde_json::to_string(&embedding.vector)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let router = Router::new()
        .route("/embed", post(embed))
        .with_state(Arc::new(Embedder::open("models/all-MiniLM-L6-v2-Q8_0.gguf")?));
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("http://{}/embed", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
