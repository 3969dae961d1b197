//! One request: from its head to what is answered, if anything is.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::{sleep, timeout};

use crate::answer::{self, Accepts, Body, Silence};
use crate::envelope::{Envelope, sender, shown};
use crate::gate::Gate;
use crate::intake::{self, Intake};
use crate::outlet::{Outgoing, Pending};
use crate::receipt::Receipt;
use crate::room::Room;
use crate::settings::Settings;
use crate::stats::{Outcome, Stats, Told};

/// Read and set by others than the server's thread.
#[derive(Debug, Default)]
pub struct Flags {
    /// Nothing new is wanted: the process is about to end.
    pub draining: AtomicBool,
    /// The log can not be reached just now.
    pub unready: AtomicBool,
}

/// What all connections share; all on one thread.
pub(crate) struct Portal {
    pub(crate) settings: Settings,
    pub(crate) stats: Arc<Stats>,
    pub(crate) flags: Arc<Flags>,
    pub(crate) room: Room,
    pub(crate) pending: Pending,
    pub(crate) gate: Gate,
}

/// A connection, as its requests see it.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Cell<u32>,
}

/// A report that was read, as the access log tells of it.
#[derive(Default)]
struct Seen {
    bytes: u64,
    protocol: Option<u16>,
}

impl Portal {
    /// Brings the gauges up to date.
    pub(crate) fn measure(&self) {
        let stats = &self.stats;
        stats.memory.store(self.room.used() as u64, Relaxed);
        stats.pending.store(self.pending.len() as u64, Relaxed);
    }

    pub(crate) async fn handle(
        self: Rc<Self>,
        peer: Rc<Peer>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Silence> {
        match (request.uri().path(), request.method()) {
            ("/aap.do" | "/aar.do", &Method::POST) => self.report(&peer, request).await,
            ("/aap.do" | "/aar.do", _) => Ok(answer::page(
                StatusCode::METHOD_NOT_ALLOWED,
                "reports are posted\n",
            )),
            ("/healthz", _) => Ok(answer::page(StatusCode::OK, "ok\n")),
            ("/readyz", _) => Ok(self.readiness()),
            ("/metrics", _) => Ok(answer::page(
                StatusCode::NOT_FOUND,
                "metrics are on metrics.port, not where devices come in\n",
            )),
            _ => Ok(answer::page(StatusCode::NOT_FOUND, "no such page\n")),
        }
    }

    fn readiness(&self) -> Response<Body> {
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        if self.flags.draining.load(Relaxed) {
            answer::page(busy, "draining\n")
        } else if self.flags.unready.load(Relaxed) {
            answer::page(busy, "Kafka can not be reached\n")
        } else {
            answer::page(StatusCode::OK, "ready\n")
        }
    }

    async fn report(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Silence> {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        let accepts = Accepts::of(&head.headers);
        let from = self.address_of(peer, &head.headers);
        let mut seen = Seen::default();
        let (outcome, receipt) = match self.store(from, body, &mut seen).await {
            Ok(receipt) => (Outcome::Stored, receipt),
            Err(outcome) => (outcome, None),
        };
        let number = self.stats.ended(outcome);
        self.tell(number, outcome, seen, started, from);
        if outcome == Outcome::Stored {
            self.stats.answered(started.elapsed());
            peer.requests.set(peer.requests.get() + 1);
            let keep = accepts.keep_alive
                && peer.requests.get() < self.settings.keep_alive_requests
                && !self.flags.draining.load(Relaxed);
            return Ok(answer::stored(keep, receipt.filter(|_| accepts.receipt)));
        }
        let status = match outcome {
            Outcome::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Outcome::Slow => StatusCode::REQUEST_TIMEOUT,
            Outcome::Broken => StatusCode::BAD_REQUEST,
            Outcome::Limited => StatusCode::TOO_MANY_REQUESTS,
            Outcome::UnknownKey => StatusCode::FORBIDDEN,
            Outcome::Stored | Outcome::Overload | Outcome::Unstored => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        if !accepts.status {
            self.hold(outcome).await;
        }
        answer::refused(accepts, status)
    }

    /// Returns when the log has the report; where, if the broker said so.
    async fn store(
        &self,
        from: IpAddr,
        body: Incoming,
        seen: &mut Seen,
    ) -> Result<Option<Receipt>, Outcome> {
        self.gate.address(from, &self.settings, Instant::now())?;
        let Intake { body, memory } = intake::read(body, &self.room, &self.settings).await?;
        let sender = sender(&body);
        if let Some(peek) = &sender {
            self.gate
                .app(peek.api_key, &self.settings, Instant::now())?;
        }
        let envelope = Envelope::of(&body, sender.as_ref(), from, &self.settings);
        (seen.bytes, seen.protocol) = (body.len() as u64, envelope.protocol);
        let record = Outgoing {
            key: &envelope.key,
            payload: &body,
            headers: &envelope.headers,
            timestamp_ms: now_ms(),
        };
        let told = self
            .pending
            .send(&record, memory)
            .map_err(|_| Outcome::Overload)?;
        drop((body, envelope)); // the outlet has a copy
        let Ok(Ok(Some(receipt))) = timeout(self.settings.answer_timeout, told).await else {
            return Err(Outcome::Unstored);
        };
        self.stats.stored_bytes.fetch_add(seen.bytes, Relaxed);
        if seen.protocol.is_none() {
            self.stats.unreadable.fetch_add(1, Relaxed);
        }
        Ok(receipt)
    }

    /// Agents repeat a post that was closed at once, up to four times within
    /// 100 ms: where connections are left, they are held a little instead.
    async fn hold(&self, outcome: Outcome) {
        let at_once = matches!(
            outcome,
            Outcome::Overload | Outcome::Limited | Outcome::UnknownKey
        );
        let room = self.stats.open.load(Relaxed) < self.settings.connections as u64 / 2;
        if at_once && room && !self.flags.draining.load(Relaxed) {
            sleep(self.settings.hold).await;
        }
    }

    fn address_of(&self, peer: &Peer, headers: &HeaderMap) -> IpAddr {
        let forwarded = || {
            let last = headers.get_all("x-forwarded-for").iter().next_back()?;
            last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
        };
        match self.settings.forwarded {
            true => forwarded().unwrap_or(peer.address.ip()),
            false => peer.address.ip(),
        }
    }

    fn tell(&self, number: u64, outcome: Outcome, seen: Seen, started: Instant, from: IpAddr) {
        let every = self.settings.log_every;
        if every == 0 || !number.is_multiple_of(every) {
            return;
        }
        self.stats.tell(Told {
            outcome,
            bytes: seen.bytes,
            seconds: started.elapsed().as_secs_f64(),
            protocol: seen.protocol,
            address: shown(from, self.settings.address_header),
        });
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
