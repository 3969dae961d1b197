//! The log that reports are put on, and who waits for it.

use std::cell::RefCell;
use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use crate::room::Taken;

/// A record on its way: all of it is copied by [`Outlet::send`].
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub key: &'a [u8],
    pub payload: &'a [u8],
    /// Flattened as csrc/batch.h lays headers out; empty: none.
    pub headers: &'a [u8],
}

/// The log did not take a record: it was not sent, nothing will be heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotTaken;

/// What became of a record, once for each that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    pub id: u64,
    /// In the log, on all replicas that must have it.
    pub stored: bool,
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

/// A record that was sent. Its memory counts until its fate is known, also
/// when nobody waits for it any more: it still lies in the outlet's queue.
struct Sent {
    _memory: Taken,
    waiter: oneshot::Sender<bool>,
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

    /// Gives a record to the outlet; the receiver hears `true` when it is
    /// stored, and `false` or an error when it is not.
    pub(crate) fn send(
        &self,
        record: &Outgoing<'_>,
        memory: Taken,
    ) -> Result<oneshot::Receiver<bool>, NotTaken> {
        let (waiter, receiver) = oneshot::channel();
        let (last, sent) = &mut *self.sent.borrow_mut();
        *last += 1;
        let id = *last;
        self.outlet.send(record, id)?;
        sent.insert(
            id,
            Sent {
                _memory: memory,
                waiter,
            },
        );
        Ok(receiver)
    }

    pub(crate) fn settle(&self, fates: &[Fate]) {
        let (_, sent) = &mut *self.sent.borrow_mut();
        for fate in fates {
            if let Some(record) = sent.remove(&fate.id) {
                let _ = record.waiter.send(fate.stored);
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
        let stored = |id| Fate { id, stored: true };
        pending.settle(&[stored(ids[0]), stored(ids[0]), stored(99)]);
        assert!(second.try_recv().is_err(), "not told yet");
        assert_eq!((pending.len(), bytes.used()), (1, 100));
        pending.settle(&[
            Fate {
                id: ids[1],
                stored: false,
            },
            stored(ids[1]),
        ]);
        assert_eq!(second.await, Ok(false));
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
