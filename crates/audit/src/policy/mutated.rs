//! Policies and request lines that are nearly right: those we have, with pieces changed, left out, repeated and put into each other, in
//! `make soak` for two minutes each. Whatever they say, there is an answer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::lint::{CODES, lint, mend};
use super::load::{TargetVersion, load, text_of};
use super::request_info::resolve;

/// Inputs of a run of `make test`.
const N_INPUTS: u64 = 3_000;

/// Small steps from one number to the next (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }

    /// A piece of some length, rather short.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = [1, 4, 16, 200][self.below(4)];
        start..(start + self.below(most + 1)).min(length)
    }

    fn mutated(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        const WORDS: [&[u8]; 24] = [
            b"*",
            b"\n",
            b"\t",
            b"  ",
            b"- ",
            b": ",
            b"[",
            b"]",
            b"{",
            b"}",
            b"\"",
            b"'",
            b"&a ",
            b"*a",
            b"<<: ",
            b"---\n",
            b"#",
            b"!!binary ",
            b"\xff",
            b"%2F",
            b"level: none\n",
            b"/",
            b"?watch=1",
            b"\xf0\x9f\x98\x80",
        ];
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(6) {
            let range = self.range(input.len());
            match self.below(6) {
                0 => drop(input.drain(range)),
                1 => drop(input.splice(range, WORDS[self.below(WORDS.len())].iter().copied())),
                2 => {
                    let other = &corpus[self.below(corpus.len())];
                    let piece = other[self.range(other.len())].to_vec();
                    drop(input.splice(range, piece));
                }
                3 => {
                    let piece = input[range.clone()].to_vec();
                    drop(input.splice(range.start..range.start, piece));
                }
                4 => {
                    let lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
                    let (from, to) = (self.below(lines.len()), self.below(lines.len()));
                    let mut lines = lines.clone();
                    if !lines.is_empty() {
                        lines.swap(from, to);
                    }
                    input = lines.concat();
                }
                _ => {
                    if let Some(byte) = input.get_mut(range.start) {
                        *byte = self.below(256) as u8;
                    }
                }
            }
        }
        input
    }
}

/// Gives mutated inputs to `check`; one that it panics over is printed.
fn play(corpus: &[Vec<u8>], seed: u64, check: impl Fn(&[u8], &mut Dice) + std::panic::RefUnwindSafe) {
    let is_long = std::env::var_os("DECKLOG_SOAK").is_some_and(|value| !value.is_empty());
    let (begun, mut n_inputs) = (Instant::now(), 0);
    while if is_long { begun.elapsed() < Duration::from_secs(120) } else { n_inputs < N_INPUTS } {
        n_inputs += 1;
        let seed = seed.wrapping_add(n_inputs).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let input = Dice(seed).mutated(corpus);
        let result = std::panic::catch_unwind(|| check(&input, &mut Dice(seed)));
        assert!(result.is_ok(), "input {n_inputs}: {:?}", String::from_utf8_lossy(&input));
    }
    println!("{n_inputs} inputs from {}", corpus.len());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn vectors(name: &str) -> Vec<serde_json::Value> {
    let file = std::fs::File::open(root().join(format!("tests/data/vectors/{name}.jsonl.zst"))).unwrap();
    let text = String::from_utf8(zstd::decode_all(file).unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn mutated_policies_have_a_verdict_and_lints() {
    let mut corpus: BTreeSet<Vec<u8>> = vectors("policy-load").iter().filter_map(|vector| Some(vector["in"]["text"].as_str()?.as_bytes().to_vec())).collect();
    for folder in ["policies", "tests/data/policies", "docs/reference/lints"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let examples = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
            corpus.extend(examples.map(|example| example.as_bytes().to_vec()));
            corpus.insert(text.into_bytes());
        }
    }
    let corpus: Vec<Vec<u8>> = corpus.into_iter().collect();
    assert!(corpus.len() > 300, "{}", corpus.len());
    play(&corpus, 1, |input, dice| {
        let target: TargetVersion = format!("1.{}", 12 + dice.below(26)).parse().unwrap();
        let verdict = load(input, target);
        if let Err(refusal) = &verdict.result {
            assert!(!refusal.problems.is_empty() && !refusal.message.is_empty());
        }
        let Ok(text) = text_of(input) else { return };
        for lint in lint(&text, &verdict, target) {
            assert!(text.get(lint.span.start..lint.span.end).is_some() && lint.span.line >= 1 && lint.span.column >= 1, "{lint:?}");
            assert!(lint.edits.iter().all(|edit| text.get(edit.start..edit.end).is_some()), "{lint:?}");
            assert!(CODES.iter().any(|(code, severity, _)| *code == lint.code && *severity == lint.severity), "{lint:?}");
        }
        if dice.below(8) == 0 {
            let mended = mend(&text, target);
            assert_eq!(mended.lints.is_empty(), mended.text == text);
        }
    });
}

#[test]
fn mutated_request_lines_have_attributes() {
    let corpus: Vec<Vec<u8>> = vectors("request-info").iter().filter_map(|vector| Some(vector["in"]["target"].as_str()?.as_bytes().to_vec())).collect();
    assert!(corpus.len() > 500, "{}", corpus.len());
    play(&corpus, 2, |input, dice| {
        let method = [&b"GET"[..], b"POST", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"get"][dice.below(7)];
        if let Ok(resolved) = resolve(method, input) {
            assert!(resolved.info.is_resource_request || resolved.info.resource.is_empty());
        }
    });
}
