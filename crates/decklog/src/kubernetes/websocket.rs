//! The frames of a WebSocket (RFC 6455, section 5) as a client speaks them: its own are masked, the server's are not.
//!
//! Only what the API server uses: binary messages of bounded size, whole or in fragments, ping, pong and close; no extensions.

/// A longer message is none of the API server's: it forwards at most 32 KiB at once.
pub(super) const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Section 5.5: control frames are short.
const MAX_CONTROL_BYTES: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

impl Opcode {
    fn of(bits: u8) -> Option<Self> {
        [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong].into_iter().find(|opcode| *opcode as u8 == bits)
    }

    fn is_control(self) -> bool {
        self as u8 >= Self::Close as u8
    }
}

/// What the server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A binary or text message, put together.
    Data(Vec<u8>),
    /// To be answered by a pong with the same bytes.
    Ping(Vec<u8>),
    /// The server ends.
    Close,
}

/// What is no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a WebSocket frame has bits or an opcode that nobody agreed on")]
    Unknown,
    #[error("a WebSocket frame of the server is masked")]
    Masked,
    #[error("a WebSocket message is longer than 1 MiB, or a control frame than 125 bytes")]
    TooLong,
    #[error("the fragments of a WebSocket message are in disorder")]
    Disorder,
}

/// Appends a whole frame to `out`, masked.
pub(super) fn encode(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    const MASKED: u8 = 0x80;
    const FINAL: u8 = 0x80;
    out.push(FINAL | opcode as u8);
    match payload.len() {
        length @ 0..=125 => out.push(MASKED | length as u8),
        length @ 126..=0xFFFF => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Puts the server's frames together.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    buffer: Vec<u8>,
    /// The message whose fragments are coming.
    partial: Option<Vec<u8>>,
}

impl Decoder {
    /// Takes bytes as they come.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; `None` until more bytes have come.
    ///
    /// # Errors
    /// When the bytes are no WebSocket; nothing that follows can be read then.
    pub(super) fn next(&mut self) -> Result<Option<Message>, FrameError> {
        while let Some(frame) = self.frame()? {
            let message = match frame.opcode {
                Opcode::Ping => Some(Message::Ping(frame.payload)),
                Opcode::Pong => None,
                Opcode::Close => Some(Message::Close),
                Opcode::Binary | Opcode::Text if self.partial.is_some() => return Err(FrameError::Disorder),
                Opcode::Binary | Opcode::Text => self.continued(frame.payload, frame.is_final)?,
                Opcode::Continuation => {
                    let mut whole = self.partial.take().ok_or(FrameError::Disorder)?;
                    whole.extend_from_slice(&frame.payload);
                    self.continued(whole, frame.is_final)?
                }
            };
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    fn continued(&mut self, so_far: Vec<u8>, is_final: bool) -> Result<Option<Message>, FrameError> {
        if so_far.len() > MAX_MESSAGE_BYTES {
            return Err(FrameError::TooLong);
        }
        if is_final {
            return Ok(Some(Message::Data(so_far)));
        }
        self.partial = Some(so_far);
        Ok(None)
    }

    fn frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let [first, second, rest @ ..] = self.buffer.as_slice() else { return Ok(None) };
        let opcode = Opcode::of(first & 0x0F).filter(|_| first & 0x70 == 0).ok_or(FrameError::Unknown)?;
        if second & 0x80 != 0 {
            return Err(FrameError::Masked);
        }
        let is_final = first & 0x80 != 0;
        let n_length_bytes = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(length_bytes) = rest.get(..n_length_bytes) else { return Ok(None) };
        let length = match n_length_bytes {
            0 => u64::from(second & 0x7F),
            _ => length_bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        let limit = if opcode.is_control() { MAX_CONTROL_BYTES } else { MAX_MESSAGE_BYTES };
        let length = usize::try_from(length).ok().filter(|length| *length <= limit).ok_or(FrameError::TooLong)?;
        if opcode.is_control() && !is_final {
            return Err(FrameError::Disorder);
        }
        let begin = 2 + n_length_bytes;
        let Some(payload) = self.buffer.get(begin..begin + length).map(<[u8]>::to_vec) else { return Ok(None) };
        self.buffer.drain(..begin + length);
        Ok(Some(Frame { opcode, is_final, payload }))
    }
}

struct Frame {
    opcode: Opcode,
    is_final: bool,
    payload: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Message>, FrameError> {
        let mut decoder = Decoder::default();
        decoder.feed(bytes);
        std::iter::from_fn(|| decoder.next().transpose()).collect()
    }

    /// A frame as a server sends it.
    fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        encode(Opcode::Binary, payload, [0; 4], &mut masked);
        // The mask stands before the payload; without it the length loses its bit.
        let at = masked.len() - payload.len() - 4;
        masked.drain(at..at + 4);
        masked[0] = first;
        masked[1] &= 0x7F;
        masked
    }

    #[test]
    fn examples_of_the_standard() {
        // RFC 6455, 5.7.
        let mut masked = Vec::new();
        encode(Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d], &mut masked);
        assert_eq!(masked, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        let hello = || Message::Data(b"Hello".to_vec());
        assert_eq!(all(&[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]).unwrap(), [hello()]);
        assert_eq!(all(&[0x01, 0x03, 0x48, 0x65, 0x6c, 0x89, 0x01, 0x21, 0x80, 0x02, 0x6c, 0x6f]).unwrap(), [Message::Ping(b"!".to_vec()), hello()]);
        let length_in_two = [&[0x82, 0x7E, 0x01, 0x00][..], &[7; 256]].concat();
        assert_eq!(all(&length_in_two).unwrap(), [Message::Data(vec![7; 256])]);
        assert_eq!(all(&[0x88, 0x00]).unwrap(), [Message::Close]);
    }

    #[test]
    fn what_is_no_websocket_is_refused() {
        for (bytes, error) in [
            (&[0x82, 0x81, 0, 0, 0, 0, 1][..], FrameError::Masked),
            (&[0xC2, 0x00], FrameError::Unknown),
            (&[0x83, 0x00], FrameError::Unknown),
            (&[0x82, 127, 0, 0, 0, 0, 0, 16, 0, 1], FrameError::TooLong),
            (&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255], FrameError::TooLong),
            (&[0x89, 126, 0, 126], FrameError::TooLong),
            (&[0x80, 0x00], FrameError::Disorder),
            (&[0x02, 0x00, 0x82, 0x00], FrameError::Disorder),
            (&[0x09, 0x00], FrameError::Disorder),
            (b"HTTP/1.1 400 Bad Request", FrameError::Unknown),
        ] {
            assert_eq!(all(bytes).unwrap_err(), error, "{bytes:?}");
        }
    }

    #[test]
    fn a_message_in_fragments_is_bounded() {
        let half = vec![0; MAX_MESSAGE_BYTES / 2 + 1];
        let bytes = [unmasked(0x02, &half), unmasked(0x80, &half)].concat();
        assert_eq!(all(&bytes).unwrap_err(), FrameError::TooLong);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            let _ = all(&bytes);
        }

        #[test]
        fn messages_come_out_as_they_went_in(messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70_000), 0..4), cut in 1usize..9_999) {
            let bytes: Vec<u8> = messages.iter().flat_map(|message| unmasked(0x82, message)).collect();
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.feed(piece);
                while let Some(message) = decoder.next().unwrap() {
                    found.push(message);
                }
            }
            prop_assert_eq!(found, messages.into_iter().map(Message::Data).collect::<Vec<_>>());
        }

        #[test]
        fn masking_twice_is_nothing(payload in any::<Vec<u8>>(), mask in any::<[u8; 4]>()) {
            let mut frame = Vec::new();
            encode(Opcode::Binary, &payload, mask, &mut frame);
            let begin = frame.len() - payload.len();
            let unmasked: Vec<u8> = frame[begin..].iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            prop_assert_eq!(unmasked, payload);
        }
    }
}
