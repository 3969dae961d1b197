//! What a client may be told.

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::{Empty, Full, combinators::UnsyncBoxBody};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use crate::receipt::{self, Receipt};

pub(crate) type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// The connection is closed, and nothing is said.
#[derive(Debug)]
pub(crate) struct Silence;

impl std::fmt::Display for Silence {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("closed without an answer")
    }
}

impl std::error::Error for Silence {}

/// The request header by which a client says what it understands: `status`
/// (a status other than 200 means: not stored, keep it), `keep-alive` and
/// `receipt` (tell with 200 where the log has it).
const ACCEPTS: HeaderName = HeaderName::from_static("portal-accepts");
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// What a client understands beyond what agents do. `Connection: Keep-Alive`
/// means nothing: agents send it and never close.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Accepts {
    pub(crate) status: bool,
    pub(crate) keep_alive: bool,
    pub(crate) receipt: bool,
}

impl Accepts {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for value in headers.get_all(ACCEPTS) {
            for token in value.as_bytes().split(|byte| *byte == b',') {
                match token.trim_ascii() {
                    b"status" => found.status = true,
                    b"keep-alive" => found.keep_alive = true,
                    b"receipt" => found.receipt = true,
                    _ => {}
                }
            }
        }
        found
    }
}

/// `200 OK`, said here and nowhere else: the log has the report.
pub(crate) fn stored(keep: bool, receipt: Option<Receipt>) -> Response<Body> {
    let mut response = empty(StatusCode::OK, keep);
    if let Some(value) = receipt.and_then(|found| HeaderValue::try_from(found.to_string()).ok()) {
        response.headers_mut().insert(receipt::HEADER, value);
    }
    response
}

/// A report is not stored: silence, or a status for those that asked for it.
pub(crate) fn refused(accepts: Accepts, status: StatusCode) -> Result<Response<Body>, Silence> {
    if !accepts.status {
        return Err(Silence);
    }
    let mut response = empty(status, false);
    if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    }
    Ok(response)
}

/// For people, load balancers and whoever else is no agent.
pub(crate) fn page(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync());
    *response.status_mut() = status;
    close(&mut response);
    response
}

fn empty(status: StatusCode, keep: bool) -> Response<Body> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    if !keep {
        close(&mut response);
    }
    response
}

fn close(response: &mut Response<Body>) {
    let value = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, value);
}
