//! Randomness and clocks of a whole process, from a seed. A program that links this crate asks here
//! in place of the C library: seeds of hash maps, of generators of threads, of tokio's `select!`, and
//! what libraries read off the system's clocks. For the simulation's program alone.
//!
//! Until [`take_over`] is called everything is as the system says.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

/// 2026-01-01, in seconds since the Unix epoch: where the wall clock of a process that was taken over
/// begins.
const EPOCH_S: i64 = 1_767_225_600;

/// Where its monotonic clock begins: libraries subtract from it.
const UPTIME_S: u64 = 1 << 20;

static TAKEN_OVER: AtomicBool = AtomicBool::new(false);
static DRAWN: AtomicU64 = AtomicU64::new(0);
static ELAPSED_NS: AtomicU64 = AtomicU64::new(0);

/// From now on all randomness follows from `seed`, and clocks stand where [`set_elapsed_ns`] puts them.
pub fn take_over(seed: u64) {
    DRAWN.store(seed, Ordering::SeqCst);
    TAKEN_OVER.store(true, Ordering::SeqCst);
}

/// Puts the clocks to so many nanoseconds after their beginning.
pub fn set_elapsed_ns(elapsed_ns: u64) {
    ELAPSED_NS.store(elapsed_ns, Ordering::SeqCst);
}

/// The next number of the generator: SplitMix64.
fn draw() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut mixed = DRAWN.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The C library's, see getrandom(2).
///
/// # Safety
/// `buffer` is valid for writes of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(
    buffer: *mut libc::c_void,
    length: libc::size_t,
    flags: libc::c_uint,
) -> libc::ssize_t {
    if !TAKEN_OVER.load(Ordering::SeqCst) {
        // SAFETY: the system call with the arguments that the caller vouches for.
        let got = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
        return libc::ssize_t::try_from(got).unwrap_or(-1);
    }
    if length == 0 {
        return 0;
    }
    // SAFETY: the caller vouches for the buffer, which is not empty.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&draw().to_le_bytes()[..chunk.len()]);
    }
    libc::ssize_t::try_from(length).unwrap_or(libc::ssize_t::MAX)
}

/// The C library's, see getentropy(3).
///
/// # Safety
/// `buffer` is valid for writes of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getentropy(
    buffer: *mut libc::c_void,
    length: libc::size_t,
) -> libc::c_int {
    // SAFETY: as the caller vouches.
    let got = unsafe { getrandom(buffer, length, 0) };
    if usize::try_from(got) == Ok(length) { 0 } else { -1 }
}

/// The C library's, see syscall(2): some ask the system for random bytes without it. All else goes on to where
/// it would have gone. Arguments that are not given are garbage here, and nobody looks at them there.
///
/// # Safety
/// The arguments are those of the system call `number`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: libc::c_long,
    one: usize,
    two: usize,
    three: usize,
    four: usize,
    five: usize,
    six: usize,
) -> libc::c_long {
    if number == libc::SYS_getrandom && TAKEN_OVER.load(Ordering::SeqCst) {
        // SAFETY: the buffer and its length, as the caller vouches.
        let got = unsafe { getrandom(one as *mut libc::c_void, two, 0) };
        return libc::c_long::try_from(got).unwrap_or(-1);
    }
    // SAFETY: whoever comes next in line under this name is the C library, which takes these arguments.
    unsafe { next_syscall()(number, one, two, three, four, five, six) }
}

type Syscall = unsafe extern "C" fn(libc::c_long, ...) -> libc::c_long;

/// The C library's own.
fn next_syscall() -> Syscall {
    static FOUND: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());
    let mut found = FOUND.load(Ordering::Relaxed);
    if found.is_null() {
        // SAFETY: the name ends with a zero.
        found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"syscall".as_ptr()) };
        if found.is_null() {
            std::process::abort();
        }
        FOUND.store(found, Ordering::Relaxed);
    }
    // SAFETY: it is not null, and of this type.
    unsafe { std::mem::transmute::<*mut libc::c_void, Syscall>(found) }
}

/// The C library's, see clock_gettime(3).
///
/// # Safety
/// `time` is valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> libc::c_int {
    if !TAKEN_OVER.load(Ordering::SeqCst) {
        // SAFETY: the system call with the arguments that the caller vouches for.
        let done = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
        return libc::c_int::try_from(done).unwrap_or(-1);
    }
    let elapsed_ns = ELAPSED_NS.load(Ordering::SeqCst);
    let (seconds, rest_ns) = (elapsed_ns / 1_000_000_000, elapsed_ns % 1_000_000_000);
    let begun_s = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => EPOCH_S,
        _ => i64::try_from(UPTIME_S).unwrap_or(0),
    };
    let shown = libc::timespec {
        tv_sec: begun_s + i64::try_from(seconds).unwrap_or(0),
        tv_nsec: i64::try_from(rest_ns).unwrap_or(0),
    };
    // SAFETY: the caller vouches for the pointer.
    unsafe { time.write(shown) };
    0
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};
    use std::time::SystemTime;

    use super::*;

    /// What a thread of its own draws.
    fn drawn() -> u64 {
        std::thread::spawn(|| RandomState::new().hash_one(7)).join().unwrap()
    }

    /// What the system is asked for past the C library's own name.
    fn asked() -> [u8; 8] {
        let mut bytes = [0; 8];
        // SAFETY: a buffer and its length.
        let got = unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), 8_usize, 0) };
        assert_eq!(got, 8);
        bytes
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the clock that is replaced")]
    fn randomness_follows_from_the_seed_and_clocks_stand_where_they_are_put() {
        let [first, second, third] = [1, 1, 2].map(|seed| {
            take_over(seed);
            (drawn(), asked())
        });
        assert_eq!(first, second);
        assert_ne!(first, third);
        set_elapsed_ns(1_500_000_000);
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(at.as_millis(), u128::from(EPOCH_S.unsigned_abs()) * 1_000 + 1_500);
        // SAFETY: it takes no arguments.
        let id = unsafe { libc::syscall(libc::SYS_getpid) };
        assert_eq!(
            id,
            libc::c_long::from(std::process::id()),
            "other system calls are as they are"
        );
    }
}
