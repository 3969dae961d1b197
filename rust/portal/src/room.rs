//! The one budget over the bytes of bodies, from the first byte that is read
//! until the log has them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What a request costs beside its body: tasks, buffers, tables, librdkafka's
/// own bookkeeping. Measured roughly, on the safe side.
pub(crate) const OVERHEAD: usize = 2048;

/// Requests wait in the order in which they came, whatever they want.
pub(crate) struct Room {
    bytes: Arc<Semaphore>,
    total: usize,
}

/// Bytes of the budget; given back when dropped.
pub(crate) struct Taken(OwnedSemaphorePermit);

impl Taken {
    fn add(&mut self, more: Taken) {
        self.0.merge(more.0);
    }
}

impl Room {
    pub(crate) fn new(total: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS);
        Self {
            bytes: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.total.saturating_sub(self.bytes.available_permits())
    }

    /// Room for so many bytes, after a wait of at most `patience`; `None`
    /// where there was none.
    pub(crate) async fn take(&self, bytes: usize, patience: Duration) -> Option<Taken> {
        let wanted = u32::try_from(bytes).ok()?;
        if let Ok(permit) = self.bytes.clone().try_acquire_many_owned(wanted) {
            return Some(Taken(permit));
        }
        let waiting = self.bytes.clone().acquire_many_owned(wanted);
        let permit = timeout(patience, waiting).await.ok()?.ok()?;
        Some(Taken(permit))
    }

    /// More room for something that has some.
    pub(crate) async fn grow(&self, taken: &mut Taken, bytes: usize, patience: Duration) -> bool {
        match self.take(bytes, patience).await {
            Some(more) => {
                taken.add(more);
                true
            }
            None => false,
        }
    }
}
