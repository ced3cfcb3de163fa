//! The key of redaction: 32 random bytes that do not print.
//!
//! Making and reading the key file (0600) is left to the store and the command line; here is its text.

use std::fmt;

use aws_lc_rs::{digest, hmac};

/// The secret under which redacted values are hashed. Who has it can test guesses of a value; without it
/// a hash tells nothing but equality.
#[derive(Clone)]
pub struct RedactionKey {
    bytes: [u8; 32],
    hmac: hmac::Key,
    id: String,
}

/// The text is not a redaction key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a redaction key: expected 64 hexadecimal digits, found {found} characters; delete the file to get a new key at the next start")]
pub struct BadKey {
    /// How many characters were found.
    pub found: usize,
}

impl RedactionKey {
    /// A key of 32 bytes from the system's random source.
    pub fn generate(random: [u8; 32]) -> Self {
        let id = hex(&digest::digest(&digest::SHA256, &random).as_ref()[..4]);
        Self { bytes: random, hmac: hmac::Key::new(hmac::HMAC_SHA256, &random), id }
    }

    /// Reads what [`RedactionKey::to_text`] gave; white space around it does not matter.
    ///
    /// # Errors
    /// When it is anything else. The error does not repeat the text.
    pub fn parse(text: &[u8]) -> Result<Self, BadKey> {
        let digits = text.trim_ascii();
        let bad = BadKey { found: digits.len() };
        if digits.len() != 64 {
            return Err(bad);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(bad);
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Ok(Self::generate(bytes))
    }

    /// What belongs in the key file: 64 hexadecimal digits and a newline.
    pub fn to_text(&self) -> String {
        hex(&self.bytes) + "\n"
    }

    /// Names the key in `redacted:<key id>:…`: the first 8 hexadecimal digits of its SHA-256.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Appends `redacted:<key id>:<16 hex of HMAC-SHA-256(key, value)>`.
    pub(super) fn write_mark(&self, value: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"redacted:");
        out.extend_from_slice(self.id.as_bytes());
        out.push(b':');
        out.extend_from_slice(hex(&hmac::sign(&self.hmac, value).as_ref()[..8]).as_bytes());
    }
}

impl fmt::Debug for RedactionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedactionKey({})", self.id)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `text` has exactly the form of a redacted value. Such a text holds no secret, whoever wrote it.
pub(super) fn is_mark(text: &str) -> bool {
    let lower_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let Some(rest) = text.strip_prefix("redacted:") else { return false };
    matches!(rest.split_once(':'), Some((id, hash)) if id.len() == 8 && hash.len() == 16 && lower_hex(id) && lower_hex(hash))
}
