//! Keeps hyper from answering what it can not read.
//!
//! hyper says 400, 414 or 431 by itself to a head that does not parse. Agents
//! of the last generations would take that for a delivery, so nothing is
//! written before the service has seen a request: the connection just ends.

use std::cell::Cell;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Shared by a connection and its service, which opens it.
pub(crate) type Mouth = Rc<Cell<bool>>;

pub(crate) struct Muzzle<S> {
    stream: S,
    open: Mouth,
}

impl<S> Muzzle<S> {
    pub(crate) fn new(stream: S) -> (Self, Mouth) {
        let open = Mouth::default();
        (
            Self {
                stream,
                open: open.clone(),
            },
            open,
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
        if !self.open.get() {
            return Poll::Ready(Err(Error::from(ErrorKind::BrokenPipe)));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
