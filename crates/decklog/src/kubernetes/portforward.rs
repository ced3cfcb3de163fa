//! A port of a pod, through the API server: a WebSocket whose messages carry the port's bytes.
//!
//! The first byte of a message is its channel: 0 is the port's data, 1 is for errors. The first message on each is the port's
//! number in two bytes, little end first
//! (<https://github.com/kubernetes/cri-streaming/blob/master/pkg/streaming/portforward/websocket.go>). API servers pass the
//! WebSocket on to the kubelet, which is the other end of the protocol.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

use super::websocket::{Decoder, FrameError, Message, Opcode, encode};
use super::{Api, ApiError};

/// What waits between the two ends; full means that the faster one waits.
const BUFFER_BYTES: usize = 256 << 10;
/// What is read, and sent as one message.
const PIECE_BYTES: usize = 16 << 10;
/// Pings that wait for their answer; more are left unanswered.
const MAX_PONGS: usize = 4;

/// Opens a stream to `port` of a pod. Must be called inside the runtime, which carries the bytes until either end leaves.
///
/// # Errors
/// When the API server refuses. That nobody listens on the port is told by the stream's first read.
pub(crate) async fn forward(api: &Api, namespace: &str, pod: &str, port: u16) -> Result<Forwarded, ApiError> {
    let remote = api.websocket(&format!("/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={port}")).await?;
    Ok(Forwarded::over(TokioIo::new(remote), port))
}

/// The stream.
pub(crate) struct Forwarded {
    local: DuplexStream,
    failed: Failed,
}

/// Why the stream ended, if that was no ordinary end.
type Failed = Arc<Mutex<Option<String>>>;

impl Forwarded {
    fn over(remote: impl AsyncRead + AsyncWrite + Send + 'static, port: u16) -> Self {
        let (local, other) = tokio::io::duplex(BUFFER_BYTES);
        let failed = Failed::default();
        let noted = Arc::clone(&failed);
        tokio::spawn(async move {
            let (from_remote, to_remote) = tokio::io::split(remote);
            let (from_local, to_local) = tokio::io::split(other);
            let (pongs, asked) = mpsc::channel(MAX_PONGS);
            // Whichever ends first ends the other: a port has no half-closed streams.
            let ended = tokio::select! {
                ended = receive(from_remote, to_local, pongs, Channels::new(port)) => ended,
                ended = send(from_local, to_remote, asked) => ended.map_err(PortError::Broken),
            };
            if let Err(error) = ended {
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            }
        });
        Self { local, failed }
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.local).poll_read(context, buffer))?;
        if buffer.filled().len() == before
            && let Some(reason) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
        {
            return Poll::Ready(Err(io::Error::other(reason)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.local).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.local).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.local).poll_shutdown(context)
    }
}

/// Why a forwarded port is of no use any more.
#[derive(Debug, thiserror::Error)]
enum PortError {
    #[error("the connection to the API server broke: {0}")]
    Broken(#[source] io::Error),
    #[error("the API server does not forward ports as it should: {0}")]
    Frame(#[from] FrameError),
    #[error("the API server does not forward ports as it should: a message on channel {0}")]
    Channel(u8),
    #[error("the API server does not forward ports as it should: a channel begins with something else than port {0}")]
    Port(u16),
    #[error("{0}")]
    Told(String),
}

/// What has come on the two channels.
struct Channels {
    port: u16,
    begun: [bool; 2],
}

impl Channels {
    fn new(port: u16) -> Self {
        Self { port, begun: [false; 2] }
    }

    /// The port's bytes in a message.
    fn take<'a>(&mut self, message: &'a [u8]) -> Result<&'a [u8], PortError> {
        let Some((&channel, content)) = message.split_first() else { return Ok(&[]) };
        let begun = self.begun.get_mut(usize::from(channel)).ok_or(PortError::Channel(channel))?;
        if !std::mem::replace(begun, true) {
            return if content == self.port.to_le_bytes() { Ok(&[]) } else { Err(PortError::Port(self.port)) };
        }
        match channel {
            0 => Ok(content),
            _ if content.is_empty() => Ok(&[]),
            _ => Err(PortError::Told(crate::output::escape(&String::from_utf8_lossy(content)).into_owned())),
        }
    }
}

/// From the API server, to its end.
async fn receive(
    mut remote: impl AsyncRead + Unpin,
    mut local: impl AsyncWrite + Unpin,
    pongs: mpsc::Sender<Vec<u8>>,
    mut channels: Channels,
) -> Result<(), PortError> {
    let mut decoder = Decoder::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        while let Some(message) = decoder.next()? {
            match message {
                Message::Data(message) => {
                    // Our own end is gone: the other half of the work ends with it.
                    if local.write_all(channels.take(&message)?).await.is_err() {
                        return Ok(());
                    }
                }
                // Full: who pings so often can wait.
                Message::Ping(payload) => drop(pongs.try_send(payload)),
                Message::Close => return Ok(()),
            }
        }
        match remote.read(&mut piece).await.map_err(PortError::Broken)? {
            0 => return Ok(()),
            n_read => decoder.feed(&piece[..n_read]),
        }
    }
}

/// To the API server, until our end leaves.
async fn send(mut local: impl AsyncRead + Unpin, mut remote: impl AsyncWrite + Unpin, mut pongs: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    // The first byte of each message is the channel of the port's data.
    let mut piece = vec![0; 1 + PIECE_BYTES];
    let mut frame = Vec::new();
    loop {
        frame.clear();
        tokio::select! {
            read = local.read(&mut piece[1..]) => match read? {
                0 => {
                    encode(Opcode::Close, &[], mask()?, &mut frame);
                    remote.write_all(&frame).await?;
                    return remote.shutdown().await;
                }
                n_read => encode(Opcode::Binary, &piece[..=n_read], mask()?, &mut frame),
            },
            Some(payload) = pongs.recv() => encode(Opcode::Pong, &payload, mask()?, &mut frame),
        }
        remote.write_all(&frame).await?;
        remote.flush().await?;
    }
}

/// Section 5.3: unpredictable to whoever chose the payload.
fn mask() -> io::Result<[u8; 4]> {
    let mut mask = [0; 4];
    aws_lc_rs::rand::fill(&mut mask).map_err(|_| io::Error::other("there is no randomness"))?;
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The API server's end: frames without a mask.
    struct Kubelet(DuplexStream);

    impl Kubelet {
        fn pair() -> (Self, Forwarded) {
            let (ours, theirs) = tokio::io::duplex(1 << 20);
            (Self(ours), Forwarded::over(theirs, 0x1BA8))
        }

        async fn say(&mut self, message: &[u8]) {
            self.0.write_all(&[0x82, message.len() as u8]).await.unwrap();
            self.0.write_all(message).await.unwrap();
        }

        async fn begin(&mut self) {
            self.say(&[0, 0xA8, 0x1B]).await;
            self.say(&[1, 0xA8, 0x1B]).await;
        }

        /// The opcode and the payload of the client's next frame, which is a short one.
        async fn hear(&mut self) -> (u8, Vec<u8>) {
            let mut head = [0; 6];
            self.0.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; usize::from(head[1] & 0x7F)];
            self.0.read_exact(&mut payload).await.unwrap();
            let mask = head[2..].iter().cycle();
            (head[0] & 0x0F, payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect())
        }
    }

    async fn read_all(stream: &mut Forwarded) -> Result<String, String> {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.map(|_| text).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_pings_are_answered() {
        let (mut kubelet, mut stream) = Kubelet::pair();
        kubelet.begin().await;
        stream.write_all(b"GET /").await.unwrap();
        assert_eq!(kubelet.hear().await, (2, b"\0GET /".to_vec()));
        kubelet.0.write_all(&[0x89, 1, b'!']).await.unwrap();
        assert_eq!(kubelet.hear().await, (0xA, b"!".to_vec()));
        kubelet.say(b"\0HTTP/1.1 ").await;
        kubelet.say(b"\x01").await;
        kubelet.say(b"\x00200").await;
        kubelet.0.write_all(&[0x88, 0]).await.unwrap();
        assert_eq!(read_all(&mut stream).await.unwrap(), "HTTP/1.1 200");
    }

    #[tokio::test]
    async fn an_end_that_leaves_says_so() {
        let (mut kubelet, stream) = Kubelet::pair();
        drop(stream);
        assert_eq!(kubelet.hear().await.0, 8);
    }

    #[tokio::test]
    async fn why_a_port_is_of_no_use_is_told_by_the_read() {
        for (message, part) in [(&b"\x01error forwarding port 7080: connection refused"[..], "connection refused"), (b"\x07x", "channel 7")] {
            let (mut kubelet, mut stream) = Kubelet::pair();
            kubelet.begin().await;
            kubelet.say(message).await;
            let error = read_all(&mut stream).await.unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let (mut kubelet, mut stream) = Kubelet::pair();
        kubelet.say(&[0, 1, 1]).await;
        assert!(read_all(&mut stream).await.unwrap_err().contains("something else than port 7080"));
        let (mut kubelet, mut stream) = Kubelet::pair();
        kubelet.0.write_all(b"HTTP/1.1 500").await.unwrap();
        assert!(read_all(&mut stream).await.unwrap_err().contains("as it should"));
    }
}
