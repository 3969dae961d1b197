//! Simulated devices at the other end of the line: one connection a report,
//! never closed by them, repeated and resent as real agents do.

mod inbox;
mod post;
mod tally;
mod tls;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use inbox::Inbox;
use post::{Line, Reply};
pub use tally::Tally;
pub use tls::{Tls, Trust};

/// Neighbours go to the same thread: fewer of them are woken.
const TURN: usize = 64;
/// An unanswered post is repeated so often, within 100 ms.
const REPEATS: u32 = 4;
const REPEAT_PAUSE: Duration = Duration::from_millis(25);
/// From this protocol on (agent 155) any status counts as a delivery.
const TRUSTS_ANY_STATUS: u16 = 27;

#[derive(Debug, Clone)]
pub struct Settings {
    pub address: SocketAddr,
    /// For the Host header.
    pub host: String,
    pub tls: Option<Tls>,
    /// Devices that post at the same time, on all threads together.
    pub devices: usize,
    /// One is as much as a processor, and the devices are shared out.
    pub threads: usize,
    /// How long an agent waits for an answer.
    pub timeout: Duration,
    /// How often a device comes back with what it still has.
    pub resends: u32,
    pub resend_wait: Duration,
    /// Not as agents do: ask for more than one request a connection.
    pub keep_alive: bool,
    /// Nor this: ask where the log has each report.
    pub receipts: bool,
}

/// A fleet that posts. Reports are given by `post` and numbered from 0.
pub struct Fleet {
    /// Of each thread; none once it has finished.
    inboxes: Vec<Arc<Inbox>>,
    given: u64,
    turns: u64,
    tally: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Fleet {
    /// # Errors
    ///
    /// Where the system gives no thread or event queue.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let tally = Arc::<Mutex<Tally>>::default();
        let count = settings.threads.clamp(1, settings.devices.max(1));
        let mut fleet = Self {
            inboxes: Vec::with_capacity(count),
            given: 0,
            turns: 0,
            tally,
            threads: Vec::with_capacity(count),
        };
        for number in 0..count {
            let devices = settings.devices / count + usize::from(number < settings.devices % count);
            fleet.add_thread(Settings {
                devices: devices.max(1),
                ..settings.clone()
            })?;
        }
        Ok(fleet)
    }

    fn add_thread(&mut self, settings: Settings) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (inbox, tally) = (Arc::<Inbox>::default(), self.tally.clone());
        let taken = Deserted(inbox.clone());
        let thread = thread::Builder::new()
            .name("flurry-devices".to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, run(settings, taken, tally)))?;
        self.inboxes.push(inbox);
        self.threads.push(thread);
        Ok(())
    }

    /// Queues reports, waiting for room; how many, fewer than all where the
    /// fleet has ended.
    pub fn post(&mut self, reports: &[Bytes]) -> u64 {
        let first = self.given;
        for turn in reports.chunks(TURN) {
            if self.inboxes.is_empty() {
                break;
            }
            // Never more than there are threads.
            let thread = (self.turns % self.inboxes.len() as u64) as usize;
            let queued = self.inboxes[thread].give((self.given..).zip(turn.iter().cloned()));
            self.given += queued;
            self.turns += 1;
            if queued < turn.len() as u64 {
                break;
            }
        }
        self.given - first
    }

    /// Returns when every report has its outcome.
    pub fn finish(&mut self) {
        for inbox in self.inboxes.drain(..) {
            inbox.end();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }

    pub fn with_tally<T>(&self, look: impl FnOnce(&mut Tally) -> T) -> T {
        look(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Says so when a thread's devices have gone, also where one of them panicked.
struct Deserted(Arc<Inbox>);

impl Drop for Deserted {
    fn drop(&mut self) {
        self.0.desert();
    }
}

/// One of the devices that post just now.
struct Busy(Rc<Cell<usize>>, Rc<Notify>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
        self.1.notify_one();
    }
}

async fn run(settings: Settings, inbox: Deserted, tally: Arc<Mutex<Tally>>) {
    let (busy, idle) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
    let line = Rc::new(Line::new(settings));
    loop {
        let (waiting, more) = inbox.0.look();
        for _ in 0..waiting.min(line.settings.devices - busy.get()) {
            busy.set(busy.get() + 1);
            let (line, inbox, tally) = (line.clone(), inbox.0.clone(), tally.clone());
            let device = Busy(busy.clone(), idle.clone());
            spawn_local(async move {
                while let Some((number, report)) = inbox.take() {
                    deliver(&line, number, &report, &tally).await;
                }
                drop(device);
            });
        }
        if !more {
            break;
        }
        inbox.0.news().await;
    }
    while busy.get() > 0 {
        idle.notified().await;
    }
}

/// One report, until its device is rid of it or gives it up.
async fn deliver(line: &Line, number: u64, report: &Bytes, tally: &Mutex<Tally>) {
    let protocol = report
        .first_chunk()
        .map_or(0, |head| u16::from_be_bytes(*head));
    let count = |note: &dyn Fn(&mut Tally)| {
        note(&mut tally.lock().unwrap_or_else(PoisonError::into_inner));
    };
    for round in 0..=line.settings.resends {
        if round > 0 {
            count(&|tally| tally.resends += 1);
            sleep(line.settings.resend_wait).await;
        }
        for repeat in 0..=REPEATS {
            if repeat > 0 {
                count(&|tally| tally.repeats += 1);
                sleep(REPEAT_PAUSE).await;
            }
            match line.post(protocol, report).await {
                Reply::Stored(receipt, after) => {
                    return count(&|tally| tally.stored(number, receipt, after));
                }
                Reply::Refused if protocol >= TRUSTS_ANY_STATUS => {
                    return count(&|tally| tally.dropped(number));
                }
                Reply::Refused => {
                    count(&|tally| tally.statuses += 1);
                    break; // kept until the next occasion
                }
                Reply::Closed => count(&|tally| tally.unanswered += 1),
                Reply::Late => {
                    count(&|tally| tally.timeouts += 1);
                    break;
                }
                Reply::NoConnection(why) => {
                    count(&|tally| tally.no_connection(&why));
                    break;
                }
            }
        }
    }
    count(&|tally| tally.given_up(number));
}
