//! The entropy and the machine's clock that dependencies read past our seams: `HashMap`'s keys, thread
//! generators, dates in HTTP headers.
//!
//! Promises: on a thread that is [`seeded`], `getrandom` and `clock_gettime` of the C library are a
//! seed's and the simulation's; other threads have the real ones.
//! Does not: reach programs that call the kernel by themselves.

use std::cell::Cell;
use std::ffi::{c_int, c_long, c_uint, c_void};

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    static NOW_US: Cell<u64> = const { Cell::new(0) };
}

/// 2030-01-01, where simulated wall clocks start, in seconds since 1970.
pub const WALL_START_SECONDS: u64 = 1_893_456_000;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

const SYS_CLOCK_GETTIME: c_long = if cfg!(target_arch = "aarch64") { 113 } else { 228 };
const SYS_GETRANDOM: c_long = if cfg!(target_arch = "aarch64") { 278 } else { 318 };

/// Makes the entropy of this thread follow from a seed, for the thread's whole life. To be called
/// before anything on the thread has asked for entropy.
pub fn seed_thread(seed: u64) {
    STATE.with(|state| state.set(Some(seed)));
}

/// Moves this thread's clock.
pub fn set_now(us: u64) {
    NOW_US.with(|now| now.set(us));
}

fn next(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state, mixed ^ (mixed >> 31))
}

/// The C library's `getrandom`.
///
/// # Safety
/// As the C library's: `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    let seeded = STATE.try_with(Cell::get).ok().flatten();
    let Some(mut state) = seeded else {
        // SAFETY: the caller's buffer, as given.
        return unsafe { syscall(SYS_GETRANDOM, buffer, length, flags) } as isize;
    };
    // SAFETY: the caller gives a buffer of this length.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        let (after, mixed) = next(state);
        state = after;
        chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
    }
    STATE.with(|cell| cell.set(Some(state)));
    length as isize
}

/// `struct timespec` of 64-bit Linux.
#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// The C library's `clock_gettime`.
///
/// # Safety
/// As the C library's: `time` points to a `struct timespec`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    let is_seeded = STATE.try_with(Cell::get).ok().flatten().is_some();
    if !is_seeded {
        // SAFETY: the caller's pointer, as given.
        return unsafe { syscall(SYS_CLOCK_GETTIME, c_long::from(clock), time) } as c_int;
    }
    let us = NOW_US.with(Cell::get);
    let seconds = (WALL_START_SECONDS + us / 1_000_000) as i64;
    // SAFETY: the caller points to a timespec.
    unsafe { time.write(Timespec { seconds, nanoseconds: (us % 1_000_000 * 1000) as i64 }) };
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::Rng;
    use std::hash::{BuildHasher, RandomState};

    fn drawn(seed: u64) -> (u64, u64, u64, std::time::SystemTime) {
        #[allow(clippy::disallowed_methods, reason = "what dependencies do is what is tested")]
        let draw = move || {
            seed_thread(seed);
            set_now(5_000_000);
            let hashed = RandomState::new().hash_one(1);
            let direct = env::rng::OsRng.next_u64();
            let nano = std::time::Instant::now().elapsed().as_nanos() as u64;
            (hashed, direct, nano, std::time::SystemTime::now())
        };
        #[allow(clippy::disallowed_methods, reason = "a thread of its own for each seed")]
        std::thread::spawn(draw).join().expect("no panic")
    }

    #[test]
    fn a_seed_decides_what_dependencies_draw() {
        assert_eq!(drawn(1), drawn(1));
        let (one, two) = (drawn(1), drawn(2));
        assert_ne!(one.0, two.0, "hash maps have other keys");
        assert_ne!(one.1, two.1, "the getrandom crate is reached");
        assert_eq!(one.2, 0, "time stands");
    }
}
