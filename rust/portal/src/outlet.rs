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
