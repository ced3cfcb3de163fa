//! The newest blocks, kept in memory as they were taken in: a reader that keeps up with what comes in gets them from
//! here, and reads and decompresses nothing.

use std::collections::VecDeque;

use decklog_audit::journal::RecordBlock;

/// Blocks one after the other, without a gap.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    blocks: VecDeque<RecordBlock>,
    size: u64,
}

impl Recent {
    /// Adds a block that has become durable, and lets the oldest go that `limit` bytes have no room for.
    pub(crate) fn push(&mut self, block: RecordBlock, limit: u64) {
        if self.blocks.back().is_some_and(|last| last.end_seq() != block.first_seq) {
            self.clear();
        }
        self.size += size(&block);
        self.blocks.push_back(block);
        while self.size > limit {
            let Some(oldest) = self.blocks.pop_front() else { break };
            self.size -= size(&oldest);
        }
    }

    /// Forgets all: something became durable that it was not given.
    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
        self.size = 0;
    }

    /// The block that `seq` lies in.
    pub(crate) fn get(&self, seq: u64) -> Option<&RecordBlock> {
        let index = self.blocks.partition_point(|block| block.end_seq() <= seq);
        self.blocks.get(index).filter(|block| block.first_seq <= seq)
    }
}

fn size(block: &RecordBlock) -> u64 {
    (block.bytes.len() + std::mem::size_of_val(block.heads.as_slice())) as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use decklog_audit::Timestamp;
    use decklog_audit::journal::{RecordFlags, RecordHead, RecordKind};

    use super::*;

    fn block(first_seq: u64, n_records: usize, length: usize) -> RecordBlock {
        let head = |index: usize| RecordHead {
            kind: RecordKind::Mark,
            flags: RecordFlags::default(),
            end: length * (index + 1) / n_records,
            id: None,
            time: Timestamp::default(),
            former_id: None,
        };
        RecordBlock {
            origin: Arc::default(),
            ingested_at: Timestamp::default(),
            first_seq,
            heads: (0..n_records).map(head).collect(),
            bytes: vec![0; length].into(),
        }
    }

    #[test]
    fn the_newest_blocks_are_found_and_the_oldest_go() {
        let mut recent = Recent::default();
        let limit = 3 * size(&block(1, 2, 100));
        for first_seq in [1, 3, 5, 7] {
            recent.push(block(first_seq, 2, 100), limit);
        }
        let found = |recent: &Recent, seq| recent.get(seq).map(|block| block.first_seq);
        assert_eq!([2, 3, 4, 8, 9].map(|seq| found(&recent, seq)), [None, Some(3), Some(3), Some(7), None]);
        recent.push(block(20, 2, 100), limit);
        assert_eq!([8, 19, 21].map(|seq| found(&recent, seq)), [None, None, Some(20)], "a gap empties it");
        recent.push(block(22, 1, 100_000), limit);
        assert_eq!(found(&recent, 22), None, "what is larger than the limit is not kept");
    }
}
