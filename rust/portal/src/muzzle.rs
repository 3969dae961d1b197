//! Keeps hyper from answering what it can not read.
//!
//! hyper says 400, 414 or 431 by itself to a head that does not parse. Agents
//! of the last generations would take that for a delivery, so nothing is
//! written but what the service says to a request that it has seen: elsewhere
//! the connection just ends.

use std::cell::Cell;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Speech {
    #[default]
    Shut,
    /// A request is being served: it may be asked for its body.
    Free,
    /// It has its answer, which is one write; whatever hyper says after that
    /// is about something else.
    Last,
}

/// Shared by a connection and its service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mouth(Rc<(Cell<Speech>, Cell<bool>)>);

impl Mouth {
    /// The service has a request.
    pub(crate) fn open(&self) {
        self.0.0.set(Speech::Free);
        self.0.1.set(true);
    }

    /// And its answer.
    pub(crate) fn answered(&self) {
        self.0.0.set(Speech::Last);
    }

    /// Whether there was a request at all.
    pub(crate) fn was_opened(&self) -> bool {
        self.0.1.get()
    }
}

pub(crate) struct Muzzle<S> {
    stream: S,
    mouth: Mouth,
    farewell: bool,
}

impl<S> Muzzle<S> {
    /// `farewell`: something is to be said at the end, as by TLS. Elsewhere
    /// the end of the writing side would be a system call before the one that
    /// ends both: whoever serves the connection drops it right after.
    pub(crate) fn new(stream: S, farewell: bool) -> (Self, Mouth) {
        let mouth = Mouth::default();
        (
            Self {
                stream,
                mouth: mouth.clone(),
                farewell,
            },
            mouth,
        )
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Muzzle<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Muzzle<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let speech = self.mouth.0.0.get();
        if speech == Speech::Shut {
            return Poll::Ready(Err(Error::from(ErrorKind::BrokenPipe)));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if speech == Speech::Last
            && matches!(written, Poll::Ready(Ok(count)) if count == bytes.len())
        {
            self.mouth.0.0.set(Speech::Shut);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        if self.farewell {
            Pin::new(&mut self.stream).poll_shutdown(context)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}
