//! Accepts connections, serves them, and ends in order: one thread, one
//! runtime. More processor is more processes.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Connection};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::answer::{Body, Silence};
use crate::gate::Gate;
use crate::muzzle::{Mouth, Muzzle};
use crate::outlet::{FatesIn, Outlet, Pending};
use crate::room::Room;
use crate::service::{Peer, Portal};
use crate::settings::Settings;
use crate::stats::Stats;

pub use crate::service::Flags;

/// After a failure to accept: file descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// So many are accepted before those that are open get their turn: under
/// overload, others wait in the backlog, and what is begun is ended first.
const AT_ONCE: u64 = 4;

/// A running portal. Dropped, it ends without care; see [`Server::drain`].
pub struct Server {
    pub stats: Arc<Stats>,
    pub flags: Arc<Flags>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on `listener` from now on.
    ///
    /// # Errors
    ///
    /// Where the system gives no thread, no event queue, or not this socket.
    pub fn start(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        settings: Settings,
        outlet: Box<dyn Outlet>,
        fates: FatesIn,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stats, flags) = (Arc::<Stats>::default(), Arc::<Flags>::default());
        let stop = Arc::new(Notify::new());
        let (counted, flagged, stopped) = (stats.clone(), flags.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("flurry-portal".to_owned())
            .spawn(move || {
                let portal = Rc::new(Portal {
                    room: Room::new(settings.memory),
                    settings,
                    stats: counted,
                    flags: flagged,
                    pending: Pending::new(outlet),
                    gate: Gate::new(),
                });
                LocalSet::new().block_on(&runtime, serve(portal, listener, tls, fates, stopped));
            })?;
        Ok(Self {
            stats,
            flags,
            stop,
            thread: Some(thread),
        })
    }

    /// Accepts nothing more, lets requests end, and closes what is idle;
    /// returns whether all of them ended within `patience`.
    pub fn drain(&mut self, patience: Duration) -> bool {
        self.flags.draining.store(true, Relaxed);
        self.stop.notify_one();
        let Some(thread) = self.thread.take() else {
            return true;
        };
        let end = std::time::Instant::now() + patience;
        while !thread.is_finished() {
            if std::time::Instant::now() >= end {
                return false; // it ends with the process
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        thread.join().is_ok()
    }

    /// Whether it still serves: false after a drain, or a panic.
    pub fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }
}

async fn serve(
    portal: Rc<Portal>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut fates: FatesIn,
    stop: Arc<Notify>,
) {
    let settling = portal.clone();
    spawn_local(async move {
        while let Some(batch) = fates.recv().await {
            settling.pending.settle(&batch);
        }
    });
    let measuring = portal.clone();
    spawn_local(async move {
        loop {
            measuring.measure();
            sleep(Duration::from_millis(100)).await;
        }
    });
    let places = Arc::new(Semaphore::new(portal.settings.connections));
    let (drain, drained) = watch::channel(false);
    // Whoever is refused a place waits in the listener's backlog.
    if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
        let mut stopping = pin!(stop.notified());
        loop {
            let place = tokio::select! {
                biased;
                () = &mut stopping => break,
                place = places.clone().acquire_owned() => place,
            };
            let (stream, address) = tokio::select! {
                biased;
                () = &mut stopping => break,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(_) => {
                        portal.stats.accept_errors.fetch_add(1, Relaxed);
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let number = portal.stats.accepted.fetch_add(1, Relaxed);
            portal.stats.open.fetch_add(1, Relaxed);
            let (portal, tls, drained) = (portal.clone(), tls.clone(), drained.clone());
            spawn_local(async move {
                let counted = portal.stats.clone();
                connection(portal, stream, address, tls, drained).await;
                counted.open.fetch_sub(1, Relaxed);
                drop(place);
            });
            if number.is_multiple_of(AT_ONCE) {
                yield_now().await;
            }
        }
    }
    let _ = drain.send(true);
    // A place comes back when its connection has ended.
    let all = u32::try_from(portal.settings.connections).unwrap_or(u32::MAX);
    let _ = places.acquire_many(all).await;
    portal.measure();
}

async fn connection(
    portal: Rc<Portal>,
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    drained: watch::Receiver<bool>,
) {
    match tls {
        None => requests(portal, Muzzle::new(stream, false), address, drained).await,
        // On its own: it is large, and every task has room for it else.
        Some(tls) => Box::pin(encrypted(portal, stream, address, tls, drained)).await,
    }
}

async fn encrypted(
    portal: Rc<Portal>,
    stream: TcpStream,
    address: SocketAddr,
    tls: TlsAcceptor,
    drained: watch::Receiver<bool>,
) {
    match timeout(portal.settings.head_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => requests(portal, Muzzle::new(stream, true), address, drained).await,
        _ => {
            portal.stats.garbled.fetch_add(1, Relaxed);
        }
    }
}

async fn requests<S>(
    portal: Rc<Portal>,
    (stream, mouth): (Muzzle<S>, Mouth),
    address: SocketAddr,
    mut drained: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let garbled = portal.stats.clone();
    let mut serving = pin!(served_by(portal, stream, mouth.clone(), address));
    let served = tokio::select! {
        biased;
        served = serving.as_mut() => served,
        _ = drained.wait_for(|draining| *draining) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if served.is_err() && !mouth.was_opened() {
        garbled.garbled.fetch_add(1, Relaxed);
    }
}

/// hyper at work on one connection. Not async: what it is made from would
/// take room in every task.
fn served_by<S>(
    portal: Rc<Portal>,
    stream: Muzzle<S>,
    mouth: Mouth,
    address: SocketAddr,
) -> Connection<TokioIo<Muzzle<S>>, impl HttpService<Incoming, ResBody = Body, Error = Silence>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .half_close(true)
        .title_case_headers(true)
        .max_headers(portal.settings.max_headers)
        .max_buf_size(portal.settings.max_head)
        .timer(TokioTimer::new())
        .header_read_timeout(portal.settings.head_timeout);
    let peer = Rc::new(Peer {
        address,
        requests: Cell::new(0),
    });
    let service = service_fn(move |request| {
        mouth.open();
        let (mouth, handled) = (mouth.clone(), portal.clone().handle(peer.clone(), request));
        async move {
            let answer = handled.await;
            mouth.answered();
            answer
        }
    });
    builder.serve_connection(TokioIo::new(stream), service)
}
