//! Reads a body: no more than may be, no slower than may be, and no byte that
//! has no room, but for the first ones, which lie in the connection's buffer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

use crate::room::{OVERHEAD, Room, Taken};
use crate::settings::Settings;
use crate::stats::Outcome;

/// A whole body and the room it takes.
pub(crate) struct Intake {
    pub(crate) body: Bytes,
    pub(crate) memory: Taken,
}

/// # Errors
///
/// How the request ends instead.
pub(crate) async fn read<B>(
    mut body: B,
    room: &Room,
    settings: &Settings,
) -> Result<Intake, Outcome>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = body.size_hint().lower();
    if announced > settings.max_body as u64 {
        return Err(Outcome::TooLarge);
    }
    let patience = settings.room_timeout;
    let started = Instant::now();
    let mut parts = Parts::default();
    // Nothing is held while the first bytes are waited for, and a body that
    // comes in one piece, as nearly all do, waits for all of its room at once:
    // many that hold a little and wait for more would stop each other.
    let mut memory = None;
    loop {
        let frame = match timeout_at(deadline(started, parts.len, settings), body.frame()).await {
            Err(_) => return Err(Outcome::Slow),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Outcome::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else {
            continue; // trailers: hyper bounds them
        };
        if parts.len + data.len() > settings.max_body {
            return Err(Outcome::TooLarge);
        }
        if let Some(memory) = &mut memory {
            if !room.grow(memory, data.len(), patience).await {
                return Err(Outcome::Overload);
            }
        } else {
            memory = Some(start(room, data.len(), patience).await?);
        }
        parts.push(data);
    }
    Ok(Intake {
        body: parts.whole(),
        memory: match memory {
            Some(memory) => memory,
            None => start(room, 0, patience).await?,
        },
    })
}

async fn start(room: &Room, bytes: usize, patience: Duration) -> Result<Taken, Outcome> {
    let taken = room.take(OVERHEAD + bytes, patience).await;
    taken.ok_or(Outcome::Overload)
}

/// When the next bytes must be here, after `len` of them.
fn deadline(started: Instant, len: usize, settings: &Settings) -> Instant {
    let whole = started + settings.body_timeout;
    let earned = (len as u64).saturating_mul(1000) / settings.min_rate.max(1);
    let slow = started + settings.grace + Duration::from_millis(earned);
    whole.min(slow)
}

/// Most bodies come in one piece and are never copied.
#[derive(Default)]
struct Parts {
    first: Bytes,
    all: BytesMut,
    len: usize,
}

impl Parts {
    fn push(&mut self, data: Bytes) {
        self.len += data.len();
        if self.len == data.len() {
            self.first = data;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&data);
    }

    fn whole(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}
