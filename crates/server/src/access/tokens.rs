//! The tokens file: who may come in, a line each, with the SHA-256 of their token.
//!
//! ```text
//! # NAME SCOPE[,SCOPE] SHA256-HEX [source=S cluster=C]
//! prod   send          2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae source=prod cluster=prod-eu
//! carol  read          fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9
//! ```
//!
//! The file holds no secret: a token is 32 random bytes in any spelling, and its hash cannot be turned
//! round. That is also why plain SHA-256 is enough, where a password would need a slow hash.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use decklog_audit::access::Scope;

/// The largest file that is read, in bytes: some ten thousand tokens.
pub(super) const MAX_FILE_BYTES: usize = 1 << 20;
const MAX_ERRORS: usize = 100;
const MAX_NAME: usize = 128;

/// The credentials of one tokens file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    entries: Vec<Entry>,
}

/// One line: a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who that is.
    pub name: Arc<str>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The source its events belong to.
    pub source: Option<Arc<str>>,
    /// The cluster its events belong to.
    pub cluster: Option<Arc<str>>,
    hash: [u8; 32],
}

/// One thing that is wrong in a tokens file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}; help: {help}")]
pub struct TokensError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, with the word in backquotes.
    pub message: String,
    /// What to write instead.
    pub help: &'static str,
}

impl Tokens {
    /// One credential a source, each with the right to send its events.
    pub(super) fn of_senders(senders: Vec<super::Sender>) -> Self {
        let entry = |sender: super::Sender| Entry {
            name: sender.source.clone(),
            scopes: vec![Scope::Send],
            source: Some(sender.source),
            cluster: sender.cluster,
            hash: sender.hash,
        };
        Self { entries: senders.into_iter().map(entry).collect() }
    }

    /// Whether it holds no credential.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads a tokens file.
    ///
    /// # Errors
    /// Everything that is wrong in it (the first hundred), with line numbers.
    pub fn parse(text: &str) -> Result<Self, Vec<TokensError>> {
        let mut reader = FileReader::default();
        for (index, line) in text.lines().enumerate() {
            let words = line.split('#').next().unwrap_or_default();
            if !words.trim().is_empty() && reader.errors.len() < MAX_ERRORS {
                reader.line(index + 1, words);
            }
        }
        if reader.entries.is_empty() && reader.errors.is_empty() {
            // An emptied file is more likely a half-written one than the wish to lock everybody out.
            reader.error(text.lines().count().max(1), "the file holds no token".to_owned(), FORM);
        }
        if reader.errors.is_empty() { Ok(Self { entries: reader.entries }) } else { Err(reader.errors) }
    }

    /// The credential whose token has this hash. Takes as long whichever it is, and if it is none.
    pub fn find(&self, hash: &[u8; 32]) -> Option<&Entry> {
        self.entries.iter().fold(None, |found, entry| if verify_slices_are_equal(&entry.hash, hash).is_ok() { Some(entry) } else { found })
    }

    /// The credentials, in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// The SHA-256 of a token's characters.
pub fn hash_token(token: &str) -> [u8; 32] {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

const FORM: &str = "a line is `NAME SCOPE[,SCOPE] SHA256-HEX [source=S cluster=C]`";

#[derive(Default)]
struct FileReader {
    entries: Vec<Entry>,
    errors: Vec<TokensError>,
    name_lines: HashMap<Arc<str>, usize>,
    hash_lines: HashMap<[u8; 32], usize>,
}

impl FileReader {
    fn error(&mut self, line: usize, message: String, help: &'static str) {
        self.errors.push(TokensError { line, message, help });
    }

    fn line(&mut self, line: usize, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [name, scopes, hash, pairs @ ..] = words.as_slice() else {
            return self.error(line, format!("{} words where at least 3 belong", words.len()), FORM);
        };
        let n_errors = self.errors.len();
        let name = self.name(line, name);
        let scopes = self.scopes(line, scopes);
        let hash = self.hash(line, hash);
        let (source, cluster) = self.pairs(line, pairs);
        let sends = scopes.contains(&Scope::Send);
        if !sends && (source.is_some() || cluster.is_some()) {
            self.error(line, "`source` and `cluster` without the scope `send`".to_owned(), "add `send`, or remove them: they say where sent events belong");
        }
        if sends && source.is_none() && !scopes.contains(&Scope::Admin) && self.errors.len() == n_errors {
            self.error(line, "`send` without `source`".to_owned(), "add `source=NAME`: the credential decides where its events belong, never the URL");
        }
        if self.errors.len() == n_errors {
            self.entries.push(Entry { name, scopes, source, cluster, hash });
        }
    }

    fn name(&mut self, line: usize, word: &str) -> Arc<str> {
        let name: Arc<str> = word.into();
        if !is_name(word) {
            self.error(line, format!("`{}` is no name", printable(word)), "a name has 1 to 128 letters, digits, `.`, `_`, `-`, `:`, `@` or `/`");
        } else if super::is_own_name(word) {
            self.error(line, format!("`{word}` is a name of decklog's own"), "choose another one");
        } else if let Some(first) = self.name_lines.insert(name.clone(), line) {
            self.error(line, format!("`{word}` is also the name on line {first}"), "give each token a name of its own");
        }
        name
    }

    fn scopes(&mut self, line: usize, word: &str) -> Vec<Scope> {
        let mut scopes = Vec::new();
        for part in word.split(',') {
            match Scope::ALL.into_iter().find(|scope| scope.as_str() == part) {
                Some(scope) if scopes.contains(&scope) => self.error(line, format!("the scope `{part}` stands twice"), "name it once"),
                Some(scope) => scopes.push(scope),
                None => self.error(line, format!("`{}` is no scope", printable(part)), "the scopes are `send`, `read` and `admin`, with commas between"),
            }
        }
        scopes
    }

    fn hash(&mut self, line: usize, word: &str) -> [u8; 32] {
        let Some(hash) = parse_hex(word) else {
            // The word itself may be a token put here by mistake: it is not repeated.
            self.error(
                line,
                format!("a hash of {} characters", word.chars().count()),
                "write the SHA-256 of the token in 64 hex digits: printf %s \"$TOKEN\" | sha256sum",
            );
            return [0; 32];
        };
        if let Some(first) = self.hash_lines.insert(hash, line) {
            self.error(line, format!("the same token as on line {first}"), "give each name a token of its own");
        }
        hash
    }

    fn pairs(&mut self, line: usize, words: &[&str]) -> (Option<Arc<str>>, Option<Arc<str>>) {
        let (mut source, mut cluster) = (None, None);
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let place = match key {
                "source" => &mut source,
                "cluster" => &mut cluster,
                _ => {
                    self.error(line, format!("`{}` is not known here", printable(word)), FORM);
                    continue;
                }
            };
            if !is_name(value) {
                self.error(line, format!("`{}` is no name", printable(word)), "write `source=NAME` and `cluster=NAME`");
            } else if place.replace(value.into()).is_some() {
                self.error(line, format!("`{key}` stands twice"), "name it once");
            }
        }
        (source, cluster)
    }
}

/// Whether it can be the name of a credential, a source or a cluster.
pub(crate) fn is_name(word: &str) -> bool {
    (1..=MAX_NAME).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:@/".contains(&byte))
}

fn parse_hex(word: &str) -> Option<[u8; 32]> {
    let digits = word.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(hash)
}

/// A word to be shown; of a long one, which may be a token in the wrong place, only the beginning.
fn printable(word: &str) -> String {
    const LONGEST: usize = 24;
    const SHOWN: usize = 12;
    let is_long = word.chars().nth(LONGEST).is_some();
    let shown = word.chars().take(if is_long { SHOWN } else { LONGEST });
    let shown: String = shown.map(|symbol| if symbol.is_ascii_graphic() && symbol != '`' { symbol } else { '\u{fffd}' }).collect();
    if is_long { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"; // of `foo`
    const OTHER: &str = "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"; // of `bar`

    fn errors(text: &str) -> Vec<String> {
        Tokens::parse(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lines_become_credentials() {
        let text = format!("# who\n\nprod send {HASH} source=prod cluster=eu # the API server\r\ncarol read,admin {}\n", OTHER.to_uppercase());
        let tokens = Tokens::parse(&text).unwrap();
        let prod = tokens.find(&hash_token("foo")).unwrap();
        assert_eq!(
            (&*prod.name, prod.scopes.as_slice(), prod.source.as_deref(), prod.cluster.as_deref()),
            ("prod", &[Scope::Send][..], Some("prod"), Some("eu"))
        );
        assert_eq!(tokens.find(&hash_token("bar")).unwrap().scopes, [Scope::Read, Scope::Admin]);
        assert_eq!(tokens.find(&hash_token("baz")), None);
        assert_eq!(tokens.find(&hash_token("")), None);
    }

    #[test]
    fn all_errors_come_at_once_with_their_lines() {
        let text = format!(
            "prod send\nprod read,write {HASH}\nprod read {HASH}\ncarol read hunter2\nx{{ read {OTHER} a=b\nloopback read {OTHER}\ns send {OTHER}\nr read {OTHER} source=a source=b\n"
        );
        let errors = errors(&text);
        for (at, (line, part)) in [
            (1, "2 words"),
            (2, "`write` is no scope"),
            (3, "also the name on line 2"),
            (3, "same token as on line 2"),
            (4, "a hash of 7 characters"),
            (5, "`x{` is no name"),
            (5, "`a=b` is not known"),
            (6, "decklog's own"),
            (6, "same token as on line 5"),
        ]
        .into_iter()
        .enumerate()
        {
            assert!(errors[at].starts_with(&format!("line {line}: ")) && errors[at].contains(part), "{at}: {errors:#?}");
        }
        assert!(errors.iter().all(|error| !error.contains("hunter2")));
        assert!(errors.iter().any(|error| error.starts_with("line 8: `source` stands twice")));
        assert!(errors.iter().any(|error| error.starts_with("line 8: `source` and `cluster` without")));
    }

    #[test]
    fn a_token_in_a_wrong_place_is_not_repeated() {
        let token = "c0rrect-h0rse_battery-staple0123";
        for line in
            [format!("prod {token} send"), format!("`{token} read {HASH}"), format!("prod read {HASH} {token}"), format!("prod send {HASH} source=={token}")]
        {
            let errors = errors(&line);
            assert!(errors.iter().all(|error| !error.contains(&token[12..])), "{errors:?}");
        }
    }

    #[test]
    fn a_sender_has_a_source_and_an_empty_file_is_refused() {
        assert!(errors(&format!("s send {HASH}"))[0].contains("`send` without `source`"));
        assert!(Tokens::parse(&format!("s send,admin {HASH}")).is_ok());
        assert!(errors("# nobody\n")[0].contains("holds no token"));
        assert!(errors("")[0].starts_with("line 1: "));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            if let Err(errors) = Tokens::parse(&text) {
                prop_assert!(!errors.is_empty() && errors.len() <= MAX_ERRORS + 10);
            }
        }

        #[test]
        fn likely_words_are_read_or_refused(text in "(([a-z#]{0,3} ?){0,3}(send|read|admin|,){0,4} [0-9a-f]{62,66}( (source|cluster)?=?[a-z]{0,2}){0,3}\n?){0,5}") {
            let _ = Tokens::parse(&text);
        }

        #[test]
        fn what_is_written_is_found(tokens in proptest::collection::hash_map("[a-z]{3,9}[0-9]", "[ -~]{1,30}", 1..20)) {
            let mut lines = String::new();
            let mut distinct = std::collections::HashSet::new();
            for (name, token) in &tokens {
                if distinct.insert(token) {
                    let hex: String = hash_token(token).iter().map(|byte| format!("{byte:02x}")).collect();
                    lines.push_str(&format!("{name} read {hex}\n"));
                }
            }
            let parsed = Tokens::parse(&lines).unwrap();
            for token in tokens.values() {
                prop_assert!(parsed.find(&hash_token(token)).is_some());
            }
        }
    }
}
