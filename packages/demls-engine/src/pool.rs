//! The threads on which OpenMLS encrypts and decrypts paths.
//!
//! OpenMLS uses rayon. Rayon's global pool does not survive `fork`: in the child its threads are
//! gone, and the first call would wait for them for ever. So each process has a pool of its own,
//! found by its process id, and everything that may reach rayon runs inside it.

use std::sync::Arc;
use std::thread::available_parallelism;

use arc_swap::ArcSwapOption;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// More threads bring little: a path has as many steps as the tree has levels.
const THREADS_MAX: usize = 4;

/// In a smaller group waking several threads costs more than they save.
const WIDE_FROM: usize = 512;

struct OwnPool {
    process: u32,
    threads: ThreadPool,
}

// Not a lock: one that another thread held during the fork would stay locked in the child.
static NARROW: ArcSwapOption<OwnPool> = ArcSwapOption::const_empty();
static WIDE: ArcSwapOption<OwnPool> = ArcSwapOption::const_empty();

/// Runs `work`, which may use rayon, on the threads of this process: one, or in a group of many
/// `members` several.
pub fn run<T: Send>(members: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    own_pool(members >= WIDE_FROM)?.threads.install(work)
}

fn own_pool(is_wide: bool) -> Result<Arc<OwnPool>> {
    let current = if is_wide { &WIDE } else { &NARROW };
    let process = std::process::id();
    if let Some(pool) = current.load_full()
        && pool.process == process
    {
        return Ok(pool);
    }
    let most = if is_wide { THREADS_MAX } else { 1 };
    let threads = available_parallelism().map_or(1, |count| count.get().min(most));
    let pool = Arc::new(OwnPool {
        process,
        threads: ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("demls-engine-{index}"))
            .build()
            .map_err(Error::defect)?,
    });
    // The parent's pool is never dropped here: that would talk to threads that do not exist.
    if let Some(before) = current.swap(Some(Arc::clone(&pool)))
        && before.process != process
    {
        std::mem::forget(before);
    }
    Ok(pool)
}
