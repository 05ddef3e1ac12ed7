//! Gives up on a server that is there and answers nothing: one that was stopped, or whose machine hangs,
//! keeps its connections, and TCP alone never says so.
//!
//! | event | the clock |
//! |---|---|
//! | something is written | runs, from now on |
//! | something is read | stands still: the server lives |
//! | it has run for the time given | the connection fails |
//!
//! Built as what the client library takes for TLS, which is the one place where it lets a stream of ours in:
//! around TLS if there is any, else no byte is changed.

use postgres::config::{Host, SslMode, SslNegotiation};
use postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use postgres::{Client, Config, NoTls};
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Connects, encrypted with `tls`; the connection fails once the server owes an answer for longer than
/// `unanswered_max`. A server on a socket of this machine is not watched.
pub(super) fn connect(
    config: &Config,
    tls: Option<&MakeRustlsConnect>,
    unanswered_max: Option<Duration>,
) -> Result<Client, postgres::Error> {
    let is_unix = |host: &Host| matches!(host, Host::Unix(_));
    let unanswered_max = unanswered_max.filter(|_| !config.get_hosts().iter().any(is_unix));
    match (tls, unanswered_max) {
        (Some(tls), Some(max)) => config.connect(Watch {
            inner: tls.clone(),
            unanswered_max: max,
        }),
        (Some(tls), None) => config.connect(tls.clone()),
        (None, Some(max)) => {
            let mut watched = config.clone();
            watched
                .ssl_mode(SslMode::Require)
                .ssl_negotiation(SslNegotiation::Direct);
            watched.connect(Watch {
                inner: Plain,
                unanswered_max: max,
            })
        }
        (None, None) => config.connect(NoTls),
    }
}

/// Watches what another makes of a stream.
#[derive(Clone)]
struct Watch<T> {
    inner: T,
    unanswered_max: Duration,
}

/// Makes nothing of it.
#[derive(Clone)]
struct Plain;

impl<S> MakeTlsConnect<S> for Watch<Plain>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Stream = Watched<S>;
    type TlsConnect = Self;
    type Error = Infallible;

    fn make_tls_connect(&mut self, _domain: &str) -> Result<Self, Infallible> {
        Ok(self.clone())
    }
}

impl<S> TlsConnect<S> for Watch<Plain>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Stream = Watched<S>;
    type Error = Infallible;
    type Future = Ready<Result<Watched<S>, Infallible>>;

    fn connect(self, stream: S) -> Self::Future {
        ready(Ok(Watched {
            stream,
            binding: |_| ChannelBinding::none(),
            unanswered_max: self.unanswered_max,
            running: None,
        }))
    }
}

impl<S> MakeTlsConnect<S> for Watch<MakeRustlsConnect>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Watched<<MakeRustlsConnect as MakeTlsConnect<S>>::Stream>;
    type TlsConnect = WatchTls<<MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect>;
    type Error = <MakeRustlsConnect as MakeTlsConnect<S>>::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        let connect = MakeTlsConnect::<S>::make_tls_connect(&mut self.inner, domain)?;
        Ok(WatchTls(connect, self.unanswered_max))
    }
}

/// One connection's.
struct WatchTls<T>(T, Duration);

impl<S, T: TlsConnect<S>> TlsConnect<S> for WatchTls<T>
where
    T::Stream: Unpin,
    T::Future: Send + 'static,
{
    type Stream = Watched<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let Self(inner, unanswered_max) = self;
        let connecting = inner.connect(stream);
        Box::pin(async move {
            Ok(Watched {
                stream: connecting.await?,
                binding: TlsStream::channel_binding,
                unanswered_max,
                running: None,
            })
        })
    }
}

struct Watched<S> {
    stream: S,
    binding: fn(&S) -> ChannelBinding,
    unanswered_max: Duration,
    /// While the server owes an answer.
    running: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let Some(running) = &mut self.running else {
            return Poll::Pending;
        };
        running.as_mut().poll(context).map(|()| {
            let max = self.unanswered_max;
            let reason = format!("the server has not answered for {max:?}");
            io::Error::new(io::ErrorKind::TimedOut, reason)
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    /// What is there is read first: a call after a long pause finds the answers to the one before.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, into) {
            Poll::Ready(read) => {
                self.running = None;
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_overdue(context).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(written, Poll::Ready(Ok(_))) {
            let mut running = Box::pin(tokio::time::sleep(self.unanswered_max));
            // Nobody else may poll before it is due: so it is to wake us.
            let due = running.as_mut().poll(context).is_ready();
            debug_assert!(!due, "it has only begun");
            self.running = Some(running);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Watched<S> {
    fn channel_binding(&self) -> ChannelBinding {
        (self.binding)(&self.stream)
    }
}
