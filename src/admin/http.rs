//! The paths, and what every answer has in common.
//!
//! A browser can be made to ask a loopback address in another site's name; such a request carries
//! that site's name as its host, so on a loopback address only addresses and `localhost` are
//! answered.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use super::report::Reporter;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// What the handlers share.
#[derive(Debug, Clone)]
struct Shared {
    reporter: Arc<Reporter>,
    /// One answer is made at a time.
    turn: Arc<Semaphore>,
    only_local_names: bool,
}

/// The paths. GET and HEAD only, as axum's `get` has it.
pub(super) fn router(reporter: Reporter, only_local_names: bool) -> Router {
    let shared = Shared {
        reporter: Arc::new(reporter),
        turn: Arc::new(Semaphore::new(1)),
        only_local_names,
    };
    Router::new()
        .route("/", get(status))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

/// Turns strangers away, and puts the headers that every answer has.
async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = if shared.only_local_names && !asks_for_local_name(&request) {
        let words = "ask for this address by its number or as localhost\n";
        (StatusCode::MISDIRECTED_REQUEST, words).into_response()
    } else {
        next.run(request).await
    };
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn asks_for_local_name(request: &Request) -> bool {
    // HTTP/1.0 knows no hosts, and no browser speaks it.
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.uri().host().is_none_or(is_local_name),
        (Some(host), None) => host.to_str().is_ok_and(is_local_name),
        (Some(_), Some(_)) => false,
    }
}

/// `127.0.0.1:9187`, `[::1]`, `localhost`: what no name server can have been asked for.
fn is_local_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let is_address = bare.unwrap_or(name).parse::<IpAddr>().is_ok();
    is_address || name.eq_ignore_ascii_case("localhost")
}

async fn status(State(shared): State<Shared>) -> Response {
    let page = made(shared, Reporter::page).await;
    page.map_or_else(unavailable, |page| text(StatusCode::OK, HTML, page))
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match made(shared, Reporter::metrics).await {
        Some(Ok(metrics)) => text(StatusCode::OK, prometheus::TEXT_FORMAT, metrics),
        Some(Err(error)) => {
            tracing::error!(%error, "metrics cannot be written");
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                TEXT,
                format!("{error}\n"),
            )
        }
        None => unavailable(),
    }
}

/// The process runs and answers; nothing more is promised.
async fn healthy() -> Response {
    text(StatusCode::OK, TEXT, "ok\n".to_owned())
}

async fn ready(State(shared): State<Shared>) -> Response {
    match made(shared, Reporter::readiness).await {
        Some((true, words)) => text(StatusCode::OK, TEXT, words),
        Some((false, words)) => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, words),
        None => unavailable(),
    }
}

async fn not_found() -> Response {
    let words = "there is /, /metrics, /healthz and /readyz\n";
    text(StatusCode::NOT_FOUND, TEXT, words.to_owned())
}

/// Makes an answer on a thread where that may block. The turn is held until it is made, also when
/// nobody waits for it any more.
async fn made<T: Send + 'static>(
    shared: Shared,
    make: impl FnOnce(&Reporter) -> T + Send + 'static,
) -> Option<T> {
    let turn = shared.turn.acquire_owned().await.ok()?;
    let made = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        make(&shared.reporter)
    });
    made.await.ok()
}

fn unavailable() -> Response {
    let words = "this could not be told\n".to_owned();
    text(StatusCode::SERVICE_UNAVAILABLE, TEXT, words)
}

fn text(status: StatusCode, kind: &'static str, words: String) -> Response {
    (status, [(CONTENT_TYPE, kind)], words).into_response()
}

#[cfg(test)]
mod tests {
    use super::is_local_name;

    #[test]
    fn only_addresses_and_localhost_are_local_names() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9187",
            "[::1]:9187",
            "localhost:1",
            "LOCALHOST",
        ] {
            assert!(is_local_name(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9187",
            "localhost.evil.example",
            "[::1",
            ":1",
        ] {
            assert!(!is_local_name(host), "{host}");
        }
    }
}
