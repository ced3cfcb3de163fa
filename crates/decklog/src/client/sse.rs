//! Server-sent events, read as they come (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use crate::failure::Failure;

/// A line longer than this is no event of ours: the largest event is 1 GiB.
const MAX_LINE_BYTES: usize = (1 << 30) + 1024;

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its id, where it has one.
    pub(crate) id: Option<String>,
    /// Its type.
    pub(crate) event: String,
    /// Its data.
    pub(crate) data: Vec<u8>,
}

/// Takes bytes, gives messages.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    line: Vec<u8>,
    next: Message,
}

impl Messages {
    /// Feeds what came; calls `found` for every message that is whole.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(Message) -> Result<(), Failure>) -> Result<(), Failure> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > MAX_LINE_BYTES {
                return Err(Failure::failed("answer", "the server sends a line that is longer than any event"));
            }
            if self.line.pop_if(|byte| *byte == b'\n').is_some() {
                self.line.pop_if(|byte| *byte == b'\r');
                if let Some(message) = self.end_line() {
                    found(message)?;
                }
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Option<Message> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let message = std::mem::take(&mut self.next);
            return (!message.event.is_empty() || !message.data.is_empty()).then_some(message);
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(at) => (&line[..at], line[at + 1..].strip_prefix(b" ").unwrap_or(&line[at + 1..])),
            None => (line.as_slice(), [].as_slice()),
        };
        match name {
            b"id" => self.next.id = Some(String::from_utf8_lossy(value).into_owned()),
            b"event" => self.next.event = String::from_utf8_lossy(value).into_owned(),
            b"data" => self.next.data.extend_from_slice(value),
            // A comment, which keeps the connection alive, or a field of a later version.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        let text = b": hello\n\nid: 7\nevent: audit\ndata: {\"a\": 1}\n\n:\n\nid: 9\r\nevent: lag\r\ndata: {}\r\n\r\n";
        for size in 1..text.len() {
            let mut messages = Messages::default();
            let mut found = Vec::new();
            for part in text.chunks(size) {
                messages
                    .feed(part, |message| {
                        found.push((message.id, message.event, String::from_utf8(message.data).unwrap()));
                        Ok(())
                    })
                    .unwrap();
            }
            let wanted = [(Some("7".into()), "audit".into(), "{\"a\": 1}".into()), (Some("9".into()), "lag".into(), "{}".into())];
            assert_eq!(found, wanted, "in parts of {size}");
        }
    }
}
