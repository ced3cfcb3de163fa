//! Connections to a server: TCP or a stream that somebody opens, and TLS over it where the address says https.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower::Service;

/// How long a server may take to be connected to, and then for the handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes connections.
#[derive(Clone)]
pub struct Connector {
    way: Way,
    tls: Option<Tls>,
}

/// How bytes get there.
#[derive(Clone)]
enum Way {
    Tcp(HttpConnector),
    Through(Arc<Open>),
}

/// Opens a stream to the one server there is, by other means than its address.
pub type Open = dyn Fn() -> Opening + Send + Sync;
/// A stream that is being opened.
pub type Opening = Pin<Box<dyn Future<Output = Result<Stream, Box<dyn Error + Send + Sync>>> + Send>>;

/// TLS over the stream.
#[derive(Clone)]
struct Tls {
    config: Arc<TlsConfigs>,
    /// Whom the certificate must be for, where that is not the address's host.
    name: Option<ServerName<'static>>,
}

/// Gives the configuration of the next handshake: files may have changed since the last one.
pub type TlsConfigs = dyn Fn() -> io::Result<Arc<ClientConfig>> + Send + Sync;

impl Connector {
    /// Without TLS.
    pub fn clear() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(PATIENCE));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        Self { way: Way::Tcp(tcp), tls: None }
    }

    /// With TLS, always.
    pub fn tls(config: Arc<ClientConfig>) -> Self {
        Self::clear().over_tls(Arc::new(move || Ok(Arc::clone(&config))), None)
    }

    /// Over streams that `open` gives.
    pub fn through(open: Arc<Open>) -> Self {
        Self { way: Way::Through(open), tls: None }
    }

    /// The same with TLS over it.
    pub fn over_tls(self, config: Arc<TlsConfigs>, name: Option<ServerName<'static>>) -> Self {
        Self { tls: Some(Tls { config, name }), ..self }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Opening;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &mut self.way {
            Way::Tcp(tcp) => tcp.poll_ready(context).map_err(Into::into),
            Way::Through(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let opening: Opening = match &mut self.way {
            Way::Tcp(tcp) => {
                let connecting = tcp.call(uri);
                Box::pin(async move { Ok(Stream::new(connecting.await?.into_inner())) })
            }
            Way::Through(open) => open(),
        };
        let tls = self.tls.clone();
        Box::pin(async move {
            let stream = opening.await?;
            let Some(tls) = tls else { return Ok(stream) };
            let name = tls.name.map_or_else(|| ServerName::try_from(host), Ok)?;
            let handshake = TlsConnector::from((tls.config)()?).connect(name, stream.0.into_inner());
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no TLS handshake within {} s", PATIENCE.as_secs()));
            Ok(Stream::new(tokio::time::timeout(PATIENCE, handshake).await.map_err(late)??))
        })
    }
}

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// One connection.
pub struct Stream(TokioIo<Box<dyn Bytes>>);

impl Stream {
    /// Of bytes that go both ways.
    pub fn new(bytes: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(TokioIo::new(Box::new(bytes)))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// The reason at the bottom of an error.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
