//! Keys of a terminal that hands over every byte, and the terminal put into that state and back.
//!
//! The sequences are those of ECMA-48 as xterm sends them (<https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>).

use std::collections::VecDeque;
use std::io::{self, Read, Stdin};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Bytes of a key at most; longer sequences are none that are known.
const MAX_KEY_BYTES: usize = 16;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A character that is written.
    Character(char),
    /// Enter.
    Enter,
    /// Backspace.
    Backspace,
    /// Delete, or Ctrl-D.
    Delete,
    /// Arrows.
    Left,
    Right,
    Up,
    Down,
    /// Home and End, Ctrl-A and Ctrl-E.
    Home,
    End,
    /// Ctrl-K: the rest of the line goes.
    KillRight,
    /// Ctrl-U: what is before goes.
    KillLeft,
    /// Ctrl-W: the word before goes.
    KillWord,
    /// Ctrl-C.
    Interrupt,
    /// Anything else.
    Other,
}

/// Takes a key from the front of `bytes`; `None` if it is not whole yet.
pub(super) fn take_key(bytes: &mut VecDeque<u8>) -> Option<Key> {
    let first = *bytes.front()?;
    let (key, length) = match first {
        b'\r' | b'\n' => (Key::Enter, 1),
        0x7f | 0x08 => (Key::Backspace, 1),
        0x01 => (Key::Home, 1),
        0x02 => (Key::Left, 1),
        0x03 => (Key::Interrupt, 1),
        0x04 => (Key::Delete, 1),
        0x05 => (Key::End, 1),
        0x06 => (Key::Right, 1),
        0x0b => (Key::KillRight, 1),
        0x0e => (Key::Down, 1),
        0x10 => (Key::Up, 1),
        0x15 => (Key::KillLeft, 1),
        0x17 => (Key::KillWord, 1),
        b'\t' => (Key::Character(' '), 1),
        0x1b => sequence(bytes)?,
        0x00..=0x1f => (Key::Other, 1),
        _ => character(bytes)?,
    };
    bytes.drain(..length);
    Some(key)
}

fn sequence(bytes: &VecDeque<u8>) -> Option<(Key, usize)> {
    let Some(kind @ (b'[' | b'O')) = bytes.get(1) else {
        // Escape and a key: Alt, which means nothing here.
        return bytes.get(1).map(|_| (Key::Other, 2));
    };
    let start = 2;
    let Some(end) = (start..bytes.len()).find(|at| (0x40..=0x7e).contains(&bytes[*at])) else {
        return (bytes.len() > MAX_KEY_BYTES).then_some((Key::Other, bytes.len()));
    };
    let number: Vec<u8> = bytes.range(start..end).copied().collect();
    let key = match (kind, bytes[end], number.as_slice()) {
        (_, b'A', _) => Key::Up,
        (_, b'B', _) => Key::Down,
        (_, b'C', _) => Key::Right,
        (_, b'D', _) => Key::Left,
        (_, b'H', _) | (b'[', b'~', b"1" | b"7") => Key::Home,
        (_, b'F', _) | (b'[', b'~', b"4" | b"8") => Key::End,
        (b'[', b'~', b"3") => Key::Delete,
        _ => Key::Other,
    };
    Some((key, end + 1))
}

fn character(bytes: &VecDeque<u8>) -> Option<(Key, usize)> {
    let length = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    if bytes.len() < length {
        return None;
    }
    let encoded: Vec<u8> = bytes.range(..length).copied().collect();
    let character = std::str::from_utf8(&encoded).ok().and_then(|text| text.chars().next());
    Some(character.map_or((Key::Other, 1), |character| (Key::Character(character), length)))
}

/// The terminal on standard input, handing over every key, until this is dropped.
pub(super) struct RawTerminal {
    before: Termios,
    input: Stdin,
}

impl RawTerminal {
    /// Puts it into that state.
    pub(super) fn enter() -> io::Result<Self> {
        let input = io::stdin();
        let before = tcgetattr(&input)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&input, OptionalActions::Drain, &raw)?;
        Ok(Self { before, input })
    }

    /// Waits for bytes; none are the end.
    pub(super) fn read(&mut self, into: &mut VecDeque<u8>) -> io::Result<usize> {
        let mut buffer = [0; 256];
        let n_read = self.input.read(&mut buffer)?;
        into.extend(&buffer[..n_read]);
        Ok(n_read)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(&self.input, OptionalActions::Drain, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut bytes: VecDeque<u8> = bytes.iter().copied().collect();
        std::iter::from_fn(|| take_key(&mut bytes)).collect()
    }

    #[test]
    fn keys_of_a_terminal() {
        assert_eq!(keys("aü€\r".as_bytes()), [Key::Character('a'), Key::Character('ü'), Key::Character('€'), Key::Enter]);
        assert_eq!(keys(b"\x1b[A\x1b[1;5C\x1bOH\x1b[3~\x1b[200~\x1bf"), [Key::Up, Key::Right, Key::Home, Key::Delete, Key::Other, Key::Other]);
        assert_eq!(keys(b"\x01\x7f\x03"), [Key::Home, Key::Backspace, Key::Interrupt]);
        assert_eq!(keys(b"\xe2\x82"), [], "the rest of it comes with the next bytes");
    }

    proptest! {
        #[test]
        fn any_bytes_are_keys(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut left: VecDeque<u8> = bytes.into_iter().collect();
            while take_key(&mut left).is_some() {}
            prop_assert!(left.len() <= MAX_KEY_BYTES, "{left:?}");
        }
    }
}
