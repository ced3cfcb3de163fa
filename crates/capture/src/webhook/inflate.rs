//! A compressed body, unpacked in small steps: memory stays bounded whatever its ratio, and a bomb is noticed
//! while little of it is unpacked.

use std::io::Write;

use bytes::Bytes;
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

/// Compressed bytes unpacked in one step; deflate makes at most 1,032 times as many of them.
const GZIP_STEP: usize = 1024;
/// Bytes that come out of one step of zstd.
const ZSTD_STEP: usize = 128 << 10;
/// The largest window a zstd frame may ask memory for, as a power of two: what RFC 8878 recommends to take.
const ZSTD_WINDOW_LOG: u32 = 23;
/// More than this many times its size is a bomb: recorded audit logs reach 11 to 35.
const MAX_RATIO: u64 = 100;
/// A small body of one repeated event may reach any ratio and does no harm.
const RATIO_FREE_BYTES: u64 = 4 << 20;

/// Why a body cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum InflateError {
    #[error("`{0}` is not known: send gzip, zstd or nothing")]
    Unknown(String),
    #[error("cannot unpack the body: {0}")]
    Broken(std::io::Error),
    #[error("the body unpacks to more than {MAX_RATIO} times its size")]
    Bomb,
}

enum Decoder {
    Plain,
    Gzip(Box<flate2::write::MultiGzDecoder<Vec<u8>>>),
    Zstd { decoder: Box<zstd::stream::raw::Decoder<'static>>, at_frame_end: bool, more_inside: bool },
}

/// Unpacks a body: [`Inflater::give`] a part of it, then take with [`Inflater::next`] until nothing comes.
pub(super) struct Inflater {
    decoder: Decoder,
    input: Bytes,
    output: Vec<u8>,
    n_in: u64,
    n_out: u64,
}

impl Inflater {
    /// For the value of `Content-Encoding`.
    pub(super) fn new(encoding: Option<&str>) -> Result<Self, InflateError> {
        let decoder = match encoding.map(|encoding| encoding.trim().to_ascii_lowercase()).as_deref() {
            None | Some("" | "identity") => Decoder::Plain,
            Some("gzip" | "x-gzip") => Decoder::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Vec::new()))),
            Some("zstd") => {
                let mut decoder = zstd::stream::raw::Decoder::new().map_err(InflateError::Broken)?;
                decoder.set_parameter(zstd::stream::raw::DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).map_err(InflateError::Broken)?;
                Decoder::Zstd { decoder: Box::new(decoder), at_frame_end: true, more_inside: false }
            }
            Some(other) => return Err(InflateError::Unknown(other.chars().take(64).collect())),
        };
        Ok(Self { decoder, input: Bytes::new(), output: Vec::new(), n_in: 0, n_out: 0 })
    }

    /// Whether bodies are compressed at all.
    pub(super) fn is_packed(&self) -> bool {
        !matches!(self.decoder, Decoder::Plain)
    }

    /// Gives the next part; the one before was taken to its end.
    pub(super) fn give(&mut self, part: Bytes) {
        self.n_in += part.len() as u64;
        self.input = part;
    }

    /// Bytes that came out so far.
    pub(super) fn n_out(&self) -> u64 {
        self.n_out
    }

    /// The next unpacked bytes of the part that was given.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, InflateError> {
        let bytes = match &mut self.decoder {
            Decoder::Plain => std::mem::take(&mut self.input),
            Decoder::Gzip(decoder) => loop {
                if self.input.is_empty() {
                    break Bytes::new();
                }
                let step = self.input.split_to(self.input.len().min(GZIP_STEP));
                decoder.write_all(&step).map_err(InflateError::Broken)?;
                let unpacked = std::mem::take(decoder.get_mut());
                if !unpacked.is_empty() {
                    break Bytes::from(unpacked);
                }
            },
            Decoder::Zstd { decoder, at_frame_end, more_inside } => loop {
                if self.input.is_empty() && !*more_inside {
                    break Bytes::new();
                }
                self.output.resize(ZSTD_STEP, 0);
                let mut input = InBuffer::around(&self.input);
                let mut output = OutBuffer::around(&mut self.output[..]);
                let hint = decoder.run(&mut input, &mut output).map_err(InflateError::Broken)?;
                let (n_read, n_written) = (input.pos(), output.pos());
                *at_frame_end = hint == 0;
                *more_inside = n_written == ZSTD_STEP && hint != 0;
                self.input = self.input.split_off(n_read);
                if hint == 0 {
                    decoder.reinit().map_err(InflateError::Broken)?;
                }
                if n_written > 0 {
                    break Bytes::copy_from_slice(&self.output[..n_written]);
                }
            },
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        self.n_out += bytes.len() as u64;
        if self.n_out > RATIO_FREE_BYTES && self.n_out > self.n_in.saturating_mul(MAX_RATIO) {
            return Err(InflateError::Bomb);
        }
        Ok(Some(bytes))
    }

    /// The body is over: what the decoder still held back.
    pub(super) fn finish(&mut self) -> Result<Option<Bytes>, InflateError> {
        match &mut self.decoder {
            Decoder::Plain => Ok(None),
            Decoder::Gzip(decoder) => {
                if self.n_in > 0 {
                    decoder.try_finish().map_err(InflateError::Broken)?;
                }
                let unpacked = std::mem::take(decoder.get_mut());
                self.n_out += unpacked.len() as u64;
                Ok((!unpacked.is_empty()).then(|| Bytes::from(unpacked)))
            }
            Decoder::Zstd { at_frame_end: false, .. } => Err(InflateError::Broken(std::io::ErrorKind::UnexpectedEof.into())),
            Decoder::Zstd { .. } => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(encoding: &str, body: &[u8], part: usize) -> Result<Vec<u8>, InflateError> {
        let mut inflater = Inflater::new(Some(encoding))?;
        let mut unpacked = Vec::new();
        for part in body.chunks(part) {
            inflater.give(Bytes::copy_from_slice(part));
            while let Some(bytes) = inflater.next()? {
                unpacked.extend_from_slice(&bytes);
            }
        }
        unpacked.extend_from_slice(&inflater.finish()?.unwrap_or_default());
        Ok(unpacked)
    }

    #[test]
    fn any_part_size_and_several_members_unpack_to_the_same() {
        let text: Vec<u8> = (0..300_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let twice = [text.clone(), text.clone()].concat();
        let members = [gzip(&text), gzip(&text)].concat();
        let frames = [zstd::encode_all(&text[..], 1).unwrap(), zstd::encode_all(&text[..], 3).unwrap()].concat();
        for part in [1000, 7777, 10_000_000] {
            assert!(unpack("gzip", &members, part).unwrap() == twice, "gzip in parts of {part}");
            assert!(unpack("zstd", &frames, part).unwrap() == twice, "zstd in parts of {part}");
        }
    }

    #[test]
    fn bombs_are_noticed_early() {
        let zeros = vec![b' '; 200 << 20];
        assert!(matches!(unpack("gzip", &gzip(&zeros), 1 << 20), Err(InflateError::Bomb)));
        assert!(matches!(unpack("zstd", &zstd::encode_all(&zeros[..], 3).unwrap(), 1 << 20), Err(InflateError::Bomb)));
    }

    #[test]
    fn a_cut_or_broken_body_is_an_error() {
        let text = b"{\"kind\":\"Event\"}".repeat(1000);
        for (encoding, body) in [("gzip", gzip(&text)), ("zstd", zstd::encode_all(&text[..], 3).unwrap())] {
            assert!(unpack(encoding, &body[..body.len() - 5], 64).is_err(), "{encoding} cut");
            assert!(unpack(encoding, b"neither of them", 64).is_err(), "{encoding} broken");
        }
        assert!(matches!(Inflater::new(Some("br")), Err(InflateError::Unknown(_))));
    }
}
