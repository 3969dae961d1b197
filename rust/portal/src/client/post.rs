//! One post, as an agent does it.

use std::cell::RefCell;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Settings;
use crate::receipt::{self, Receipt};

/// Agents wait so long for `100 Continue` before they send the body anyway.
const CONTINUE: Duration = Duration::from_secs(2);
const MAX_HEADERS: usize = 32;
/// Room at first, enough for nearly all.
const HEAD: usize = 384;
const ANSWER: usize = 256;
const MAX_ANSWER: usize = 16 << 10;
/// Protocol of agent 30: it posts to /aar.do and asks before it sends.
const ASKS_FIRST: u16 = 8;

pub(super) enum Reply {
    /// 200, after the time from connecting to the answer.
    Stored(Option<Receipt>, Duration),
    /// Another status.
    Refused,
    /// Without an answer.
    Closed,
    Late,
    NoConnection(io::Error),
}

/// Plain, or TLS.
trait Connection: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection for S {}

/// The way to the portal, with connections that may be used again.
pub(super) struct Line {
    pub(super) settings: Settings,
    idle: RefCell<Vec<Box<dyn Connection>>>,
}

impl Line {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            idle: RefCell::default(),
        }
    }

    pub(super) async fn post(&self, protocol: u16, report: &Bytes) -> Reply {
        let started = Instant::now();
        let stream = match self.connection().await {
            Ok(stream) => stream,
            Err(why) => return Reply::NoConnection(why),
        };
        match timeout(
            self.settings.timeout,
            self.exchange(stream, protocol, report),
        )
        .await
        {
            Err(_) => Reply::Late,
            Ok(Err(_)) => Reply::Closed,
            Ok(Ok((200, receipt))) => Reply::Stored(receipt, started.elapsed()),
            Ok(Ok(_)) => Reply::Refused,
        }
    }

    /// One that may be used; a handshake has as long as an answer.
    async fn connection(&self) -> io::Result<Box<dyn Connection>> {
        if let Some(stream) = self.idle.borrow_mut().pop() {
            return Ok(stream);
        }
        timeout(self.settings.timeout, self.connect()).await?
    }

    async fn connect(&self) -> io::Result<Box<dyn Connection>> {
        let stream = TcpStream::connect(self.settings.address).await?;
        match &self.settings.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => Ok(Box::new(tls.handshake(stream).await?)),
        }
    }

    /// # Errors
    ///
    /// Where there was no whole answer.
    async fn exchange(
        &self,
        mut stream: Box<dyn Connection>,
        protocol: u16,
        report: &Bytes,
    ) -> io::Result<Answer> {
        let asks = protocol == ASKS_FIRST;
        let mut answer = Vec::with_capacity(ANSWER);
        let mut request = Vec::with_capacity(HEAD + report.len());
        self.write_head(asks, report.len(), &mut request);
        let mut found = (100, None);
        if asks {
            stream.write_all(&request).await?;
            stream.flush().await?;
            // The first thing that comes: 100, or an answer already.
            if let Ok(first) = timeout(CONTINUE, read_head(&mut *stream, &mut answer)).await {
                found = first?;
            }
        }
        if found.0 == 100 {
            if asks {
                stream.write_all(report).await?;
            } else {
                request.extend_from_slice(report);
                stream.write_all(&request).await?;
            }
            stream.flush().await?; // TLS may keep some back
        }
        while found.0 == 100 {
            found = read_head(&mut *stream, &mut answer).await?;
        }
        if self.settings.keep_alive && found.0 == 200 {
            self.idle.borrow_mut().push(stream);
        } else {
            // Agents never close: this ends when the portal does.
            let mut rest = [0; 256];
            while stream.read(&mut rest).await.unwrap_or(0) > 0 {}
        }
        Ok(found)
    }

    /// The headers of Android's HTTP client, in its order.
    fn write_head(&self, asks: bool, length: usize, out: &mut Vec<u8>) {
        let path = if asks { "/aar.do" } else { "/aap.do" };
        let expect = if asks { "Expect: 100-continue\r\n" } else { "" };
        let accepts = match (self.settings.keep_alive, self.settings.receipts) {
            (false, false) => "",
            (true, false) => "Portal-Accepts: keep-alive\r\n",
            (false, true) => "Portal-Accepts: receipt\r\n",
            (true, true) => "Portal-Accepts: keep-alive, receipt\r\n",
        };
        let host = &self.settings.host;
        let _ = write!(
            out,
            "POST {path} HTTP/1.1\r\nContent-Type: application/octet-stream\r\n{accepts}\
             Content-Length: {length}\r\nHost: {host}\r\nConnection: Keep-Alive\r\n{expect}\r\n"
        ); // a Vec takes all
    }
}

/// A status, and what a portal's receipt says.
type Answer = (u16, Option<Receipt>);

/// Reads one head; what follows it stays in `buffer`.
async fn read_head(stream: &mut dyn Connection, buffer: &mut Vec<u8>) -> io::Result<Answer> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(buffer) {
            Ok(httparse::Status::Complete(length)) => {
                let status = response.code.unwrap_or_default();
                let mut headers = response.headers.iter();
                let receipt = headers
                    .find(|header| header.name.eq_ignore_ascii_case(receipt::HEADER.as_str()))
                    .and_then(|header| Receipt::parse(header.value));
                buffer.drain(..length);
                return Ok((status, receipt));
            }
            Ok(httparse::Status::Partial) if buffer.len() < MAX_ANSWER => {}
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
