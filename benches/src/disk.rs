//! The disk's ceilings, where the server's data will be.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

const APPEND_BYTES: usize = 4 << 10;
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes of the sequential write, at most: a fast disk is not filled for seconds.
const SEQUENTIAL_BYTES_MAX: u64 = 2 << 30;

/// Appends of 4 KiB, each made durable by an fdatasync, per second.
pub fn syncs_per_s(directory: &Path, during: Duration) -> Result<f64> {
    let path = directory.join("syncs");
    let mut file = File::create(&path)?;
    let block = noise(APPEND_BYTES);
    let started = Instant::now();
    let mut syncs = 0_u64;
    while started.elapsed() < during {
        file.write_all(&block)?;
        file.sync_data()?;
        syncs += 1;
    }
    let rate = syncs as f64 / started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// Megabytes (10⁶ bytes) per second, written in blocks of 1 MiB with one fdatasync at the end.
pub fn sequential_mb_per_s(directory: &Path, during: Duration) -> Result<f64> {
    let path = directory.join("sequential");
    let mut file = File::create(&path)?;
    let block = noise(BLOCK_BYTES);
    let started = Instant::now();
    let mut written = 0_u64;
    while started.elapsed() < during && written < SEQUENTIAL_BYTES_MAX {
        file.write_all(&block)?;
        written += BLOCK_BYTES as u64;
    }
    file.sync_data()?;
    let rate = written as f64 / 1e6 / started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// Bytes that no file system makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut block = Vec::with_capacity(bytes);
    while block.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block.truncate(bytes);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ceilings_are_measured_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        assert!(syncs_per_s(directory.path(), Duration::from_millis(20)).unwrap() > 0.0);
        assert!(sequential_mb_per_s(directory.path(), Duration::from_millis(20)).unwrap() > 0.0);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
