//! A machine that is busy with something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

/// Keeps processors busy until it is dropped; with threads, so that they cannot outlive the program in any case.
#[derive(Debug)]
pub struct Load(Arc<AtomicBool>);

impl Load {
    /// Two busy loops for every processor.
    pub fn all_processors() -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..2 * std::thread::available_parallelism()?.get() {
            let over = Arc::clone(&over);
            std::thread::spawn(move || while !over.load(Ordering::Relaxed) {});
        }
        Ok(Self(over))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
