//! Random ids and numbers.

/// 16 random bytes.
pub(crate) fn random_id() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without randomness ids repeat, and a journal keeps one event of each: told, since it would be a loss.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        tracing::error!("the system gives no random bytes");
    }
    bytes
}

/// Any number.
pub(crate) fn random_number() -> u64 {
    u64::from_ne_bytes(random_id()[..8].try_into().unwrap_or_default())
}
