//! glibc's allocator, told to give memory back.
//!
//! Left to itself it keeps up to eight heaps for each core, and keeps what large answers took: a
//! server that had answered one listing of 100,000 objects stayed at twice the memory it used. The
//! settings are read once, before the program begins, so the server starts itself again with them.

use std::num::NonZero;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Where the settings are read from.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Blocks of this size have pages of their own, and a heap's end of this size is given back.
const LARGE_BYTES: usize = 128 << 10;

/// Starts the program again with the settings, in the same process, unless somebody has set them.
pub(super) fn tune() {
    let set = [TUNABLES, "MALLOC_ARENA_MAX"];
    if !cfg!(target_env = "gnu") || set.iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let heaps = std::thread::available_parallelism().map_or(2, NonZero::get);
    let tunables = format!(
        "glibc.malloc.arena_max={heaps}:glibc.malloc.trim_threshold={LARGE_BYTES}:\
         glibc.malloc.mmap_threshold={LARGE_BYTES}"
    );
    let mut command = Command::new(program);
    let mut arguments = std::env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // It answers only if it fails, and then all goes on as it is.
    let error = command.args(arguments).env(TUNABLES, tunables).exec();
    tracing::debug!(%error, "memory is kept as the system does it");
}
