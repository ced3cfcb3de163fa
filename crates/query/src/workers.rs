//! Reading blocks on several threads: each takes the next block, reads it and works on it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use decklog_audit::journal::{Gap, RecordBlock};
use decklog_audit::search::{SearchError, Stop};
use decklog_store::{BlockRead, BlockRef, JournalView};

/// Less than this in all blocks together is not worth a second thread.
const SMALL: u64 = 256 << 10;

#[derive(Clone, Copy)]
pub(crate) struct Workers<'a> {
    pub(crate) n_threads: usize,
    pub(crate) stop: &'a Stop,
}

impl Workers<'_> {
    /// Calls `work` once for each block, with its index, and gives every thread's state and the gaps found. `work`
    /// may break off once the search is stopped.
    pub(crate) fn run<S: Default + Send>(
        self,
        view: &JournalView,
        blocks: &[BlockRef],
        work: impl Fn(&mut S, usize, RecordBlock) + Sync,
    ) -> Result<(Vec<S>, Vec<Gap>), SearchError> {
        let size: u64 = blocks.iter().map(|block| u64::from(block.size)).sum();
        let n_threads = if size < SMALL { 1 } else { self.n_threads.min(blocks.len()) };
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let one = || -> Result<(S, Vec<Gap>), SearchError> {
            let (mut state, mut gaps) = (S::default(), Vec::new());
            while !failed.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(block) = blocks.get(index) else { break };
                if self.stop.is_stopped() {
                    return Err(SearchError::Stopped);
                }
                match view.read(block) {
                    Ok(BlockRead::Records(records)) => work(&mut state, index, records),
                    Ok(BlockRead::Gap(gap)) => gaps.push(gap),
                    Err(error) => {
                        failed.store(true, Ordering::Relaxed);
                        return Err(error.into());
                    }
                }
            }
            Ok((state, gaps))
        };
        let results: Vec<_> = if n_threads <= 1 {
            vec![one()]
        } else {
            std::thread::scope(|scope| {
                let handles: Vec<_> = (0..n_threads).map(|_| scope.spawn(one)).collect();
                handles.into_iter().map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
            })
        };
        if self.stop.is_stopped() {
            // Work may have ended in the middle of a block.
            return Err(SearchError::Stopped);
        }
        let (mut states, mut gaps) = (Vec::new(), Vec::new());
        for result in results {
            let (state, found) = result?;
            states.push(state);
            gaps.extend(found);
        }
        Ok((states, gaps))
    }
}

/// A gap in words.
pub(crate) fn gap_words(gap: &Gap) -> (u64, String) {
    let words = if gap.reason.starts_with("records ") {
        gap.reason.clone()
    } else {
        format!("records {} to {} are missing: {}", gap.from_seq, gap.to_seq.saturating_sub(1), gap.reason)
    };
    (gap.from_seq, words)
}
