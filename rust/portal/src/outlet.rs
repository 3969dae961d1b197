//! The log that reports are put on, and who waits for it.

use std::cell::RefCell;
use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use crate::receipt::Receipt;
use crate::room::Taken;

/// A record on its way: all of it is copied by [`Outlet::send`].
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub key: &'a [u8],
    pub payload: &'a [u8],
    /// Flattened as csrc/batch.h lays headers out; empty: none.
    pub headers: &'a [u8],
    /// Since the epoch; what the log stores unless it stores its own time.
    pub timestamp_ms: i64,
}

/// The log did not take a record: it was not sent, nothing will be heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotTaken;

/// Where the log has a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub partition: i32,
    /// Negative: stored, but the broker did not say where.
    pub offset: i64,
    /// The log's own time, where it stores that in place of the record's.
    pub append_ms: Option<i64>,
}

/// What became of a record, once for each that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    pub id: u64,
    /// In the log, on all replicas that must have it; `None`: not, as far as is known.
    pub stored: Option<Place>,
}

/// Where reports go. `send` must not block.
pub trait Outlet: Send + 'static {
    /// # Errors
    ///
    /// [`NotTaken`] where its queue is full or it can not send any more.
    fn send(&self, record: &Outgoing<'_>, id: u64) -> Result<(), NotTaken>;
}

/// How an outlet tells: many fates at a time, for each message wakes the server.
pub type Fates = mpsc::UnboundedSender<Vec<Fate>>;
pub type FatesIn = mpsc::UnboundedReceiver<Vec<Fate>>;

/// What a waiter hears: not stored, stored somewhere, or stored there.
pub(crate) type Fated = Option<Option<Receipt>>;

/// A record that was sent. Its memory counts until its fate is known, also
/// when nobody waits for it any more: it still lies in the outlet's queue.
struct Sent {
    _memory: Taken,
    timestamp_ms: i64,
    waiter: oneshot::Sender<Fated>,
}

/// Everything that was sent and has no fate yet.
///
/// An id is never used twice: the late fate of a record whose client was
/// given up must not be taken for the one of another.
pub(crate) struct Pending {
    outlet: Box<dyn Outlet>,
    sent: RefCell<(u64, HashMap<u64, Sent>)>,
}

impl Pending {
    pub(crate) fn new(outlet: Box<dyn Outlet>) -> Self {
        Self {
            outlet,
            sent: RefCell::default(),
        }
    }

    /// Gives a record to the outlet; the receiver hears `Some` when it is
    /// stored, and `None` or an error when it is not.
    pub(crate) fn send(
        &self,
        record: &Outgoing<'_>,
        memory: Taken,
    ) -> Result<oneshot::Receiver<Fated>, NotTaken> {
        let (waiter, receiver) = oneshot::channel();
        let (last, sent) = &mut *self.sent.borrow_mut();
        *last += 1;
        let id = *last;
        self.outlet.send(record, id)?;
        sent.insert(
            id,
            Sent {
                _memory: memory,
                timestamp_ms: record.timestamp_ms,
                waiter,
            },
        );
        Ok(receiver)
    }

    pub(crate) fn settle(&self, fates: &[Fate]) {
        let (_, sent) = &mut *self.sent.borrow_mut();
        for fate in fates {
            if let Some(record) = sent.remove(&fate.id) {
                let receipt = |place: Place| {
                    (place.offset >= 0).then_some(Receipt {
                        partition: place.partition,
                        offset: place.offset,
                        timestamp_ms: place.append_ms.unwrap_or(record.timestamp_ms),
                    })
                };
                let _ = record.waiter.send(fate.stored.map(receipt));
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sent.borrow().1.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::room::Room;

    /// Takes so many records, and tells their ids.
    struct Short(Arc<Mutex<Vec<u64>>>, usize);

    impl Outlet for Short {
        fn send(&self, _: &Outgoing<'_>, id: u64) -> Result<(), NotTaken> {
            let mut taken = self.0.lock().unwrap();
            if taken.len() == self.1 {
                return Err(NotTaken);
            }
            taken.push(id);
            Ok(())
        }
    }

    fn record() -> Outgoing<'static> {
        Outgoing {
            key: b"k",
            payload: b"p",
            headers: b"",
            timestamp_ms: 1_700_000_000_000,
        }
    }

    fn fate(id: u64, offset: i64, append_ms: Option<i64>) -> Fate {
        let place = Place {
            partition: 3,
            offset,
            append_ms,
        };
        Fate {
            id,
            stored: Some(place),
        }
    }

    #[tokio::test]
    async fn a_receipt_has_the_time_that_is_stored_and_no_made_up_place() {
        let ids = Arc::<Mutex<Vec<u64>>>::default();
        let pending = Pending::new(Box::new(Short(ids.clone(), 3)));
        let bytes = Room::new(1000);
        for (offset, append_ms, expected) in [
            (7, None, Some("3/7/1700000000000")),
            (0, Some(5), Some("3/0/5")),
            (-1001, Some(5), None),
        ] {
            let told = pending.send(&record(), room(&bytes).await).unwrap();
            let id = *ids.lock().unwrap().last().unwrap();
            pending.settle(&[fate(id, offset, append_ms)]);
            let receipt = told.await.unwrap().expect("it is stored");
            assert_eq!(receipt.map(|found| found.to_string()).as_deref(), expected);
        }
    }

    async fn room(room: &Room) -> Taken {
        room.take(100, Duration::ZERO).await.unwrap()
    }

    #[tokio::test]
    async fn a_late_fate_is_nobody_elses() {
        let ids = Arc::<Mutex<Vec<u64>>>::default();
        let pending = Pending::new(Box::new(Short(ids.clone(), 2)));
        let bytes = Room::new(1000);
        let given_up = pending.send(&record(), room(&bytes).await).unwrap();
        drop(given_up); // its client has gone
        let mut second = pending.send(&record(), room(&bytes).await).unwrap();
        let ids = ids.lock().unwrap().clone();
        let stored = |id| fate(id, 7, None);
        pending.settle(&[stored(ids[0]), stored(ids[0]), stored(99)]);
        assert!(second.try_recv().is_err(), "not told yet");
        assert_eq!((pending.len(), bytes.used()), (1, 100));
        pending.settle(&[
            Fate {
                id: ids[1],
                stored: None,
            },
            stored(ids[1]),
        ]);
        assert_eq!(second.await, Ok(None));
        assert_eq!((pending.len(), bytes.used()), (0, 0));
    }

    #[tokio::test]
    async fn what_is_not_taken_costs_nothing() {
        let pending = Pending::new(Box::new(Short(Arc::default(), 0)));
        let bytes = Room::new(1000);
        assert_eq!(
            pending.send(&record(), room(&bytes).await).err(),
            Some(NotTaken)
        );
        assert_eq!((pending.len(), bytes.used()), (0, 0));
    }
}
