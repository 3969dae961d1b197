//! Simulated devices at the other end of the line: one connection a report,
//! never closed by them, repeated and resent as real agents do.

mod post;
mod tally;
mod tls;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use post::{Line, Reply};
pub use tally::Tally;
pub use tls::{Tls, Trust};

/// Reports that wait for a device to be free, on each thread.
const QUEUE: usize = 4096;
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
    queues: Vec<mpsc::Sender<(u64, Bytes)>>,
    given: u64,
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
            queues: Vec::with_capacity(count),
            given: 0,
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
        let (queue, reports) = mpsc::channel(QUEUE);
        let tally = self.tally.clone();
        let thread = thread::Builder::new()
            .name("flurry-devices".to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, run(settings, reports, tally)))?;
        self.queues.push(queue);
        self.threads.push(thread);
        Ok(())
    }

    /// Queues a report, waiting for room; false where the fleet has ended.
    pub fn post(&mut self, report: Bytes) -> bool {
        let number = self.given;
        if self.queues.is_empty() {
            return false;
        }
        // Never more than there are threads.
        let turn = (number % self.queues.len() as u64) as usize;
        let queued = self.queues[turn].blocking_send((number, report)).is_ok();
        self.given += u64::from(queued);
        queued
    }

    /// Returns when every report has its outcome.
    pub fn finish(&mut self) {
        self.queues.clear();
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

async fn run(
    settings: Settings,
    mut reports: mpsc::Receiver<(u64, Bytes)>,
    tally: Arc<Mutex<Tally>>,
) {
    let devices = u32::try_from(settings.devices).unwrap_or(u32::MAX);
    let free = Arc::new(Semaphore::new(settings.devices));
    let line = Rc::new(Line::new(settings));
    while let Some((number, report)) = reports.recv().await {
        let Ok(device) = free.clone().acquire_owned().await else {
            return;
        };
        let (line, tally) = (line.clone(), tally.clone());
        spawn_local(async move {
            deliver(&line, number, &report, &tally).await;
            drop(device);
        });
    }
    let _ = free.acquire_many(devices).await;
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
