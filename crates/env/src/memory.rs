//! What the process keeps of the memory that it frees.
//!
//! A broker makes and frees buffers of a megabyte or two all the time: batches on their way from
//! sockets to files and to followers. The C library's allocator gives such memory back to the system
//! at once, and the system gives it out again page by page, each made zero: measured with three
//! brokers, 141,000 page faults for each gigabyte produced, 4,000 where the allocator keeps it.
//!
//! Promises: beyond what is in use, each of the allocator's arenas (a few per core) keeps at most
//! [`KEPT_BYTES`].

/// Freed memory at the end of an arena above this goes back to the system.
pub const KEPT_BYTES: i32 = 32 << 20;
/// Allocations from this size on come from the system, and go back to it.
const SYSTEM_BYTES: i32 = 16 << 20;

/// Keeps freed memory from now on. Does nothing with other allocators than that of glibc.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        const M_TRIM_THRESHOLD: c_int = -1;
        const M_MMAP_THRESHOLD: c_int = -3;
        // SAFETY: mallopt takes any numbers, locks what it changes, and says no to what it does not
        // know.
        unsafe {
            mallopt(M_MMAP_THRESHOLD, SYSTEM_BYTES);
            mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
        }
    }
}
