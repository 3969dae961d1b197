//! Hints about memory: what will be read soon, and what is worth large pages.
//!
//! Hints change how long something takes and never what comes out. The
//! functions are safe for any argument; on other processors and systems than
//! those named here they do nothing.
#![deny(unsafe_op_in_unsafe_fn)]

use std::mem::MaybeUninit;

/// The size of a large page where it matters here (x86-64, and aarch64 with
/// pages of 4 KiB). A wrong size costs the hint its effect, nothing else.
#[cfg(target_os = "linux")]
const LARGE: usize = 1 << 21;

/// The smallest page of x86-64 and most of aarch64; where pages are larger, the
/// kernel refuses what does not begin with one.
#[cfg(target_os = "linux")]
const PAGE: usize = 1 << 12;

/// `slice[at]` will be read soon. Does not wait for it; outside of the slice,
/// and for an empty one, it does nothing.
#[inline(always)]
pub fn soon<T>(slice: &[T], at: usize) {
    if let Some(value) = slice.get(at) {
        prefetch(value);
    }
}

/// What lies in a line of the caches of most processors.
const LINE: usize = 64;

/// The first bytes of `slice`, up to so many, will be read soon.
#[inline(always)]
pub fn begins_soon(slice: &[u8], most: usize) {
    for at in (0..slice.len().min(most)).step_by(LINE) {
        soon(slice, at);
    }
}

#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn prefetch<T>(value: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: SSE, which every x86-64 has. A prefetch reads nothing that the
    // program sees and does not fault; here the address is even a valid one.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) }
}

#[inline(always)]
#[cfg(target_arch = "aarch64")]
fn prefetch<T>(value: &T) {
    let address = std::ptr::from_ref(value);
    // SAFETY: as above; the instruction is of the base set and touches no
    // register, flag or stack.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address,
            options(nostack, preserves_flags, readonly));
    }
}

#[inline(always)]
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn prefetch<T>(_: &T) {}

/// Memory that was just reserved, is large and will be looked into all over:
/// the kernel may back it with large pages.
#[cfg(target_os = "linux")]
pub fn scattered<T>(spare: &mut [MaybeUninit<T>]) {
    let bytes = size_of_val(spare);
    if bytes < LARGE {
        return;
    }
    // From the beginning of its first page: an allocator that maps large pieces
    // keeps a few bytes of its own before them, and a large page that begins
    // with those would be lost.
    let start = spare.as_mut_ptr().cast::<u8>();
    let before = start as usize % PAGE;
    // SAFETY: pages that are mapped, since each has memory that the caller owns
    // alone. MADV_HUGEPAGE changes neither contents nor protection, whoever
    // else has bytes in the first and last of them, and where it is refused
    // everything stays as it was.
    unsafe {
        let page = start.wrapping_sub(before).cast();
        libc::madvise(page, bytes + before, libc::MADV_HUGEPAGE);
    }
}

/// Makes room for one more in a vector that grows by doubling and is looked
/// into all over once it is large.
#[inline]
pub fn grow<T>(vector: &mut Vec<T>, more: usize) {
    if vector.capacity() - vector.len() < more {
        vector.reserve(more);
        scattered(vector.spare_capacity_mut());
    }
}

#[cfg(not(target_os = "linux"))]
pub fn scattered<T>(_: &mut [MaybeUninit<T>]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_may_be_hinted_at() {
        let values: Vec<u64> = (0..1_000).collect();
        for at in [0, 1, 999, 1_000, 1_001, usize::MAX / 8, usize::MAX] {
            soon(&values, at);
            soon(values.get(at..).unwrap_or(&[]), 0);
            soon::<u64>(&[], at);
            soon(&[(); 3], at);
            begins_soon(&[7; 1_000], at);
            begins_soon(&[], at);
        }
        assert!(values.into_iter().eq(0..1_000));
    }

    #[test]
    fn memory_holds_what_it_held() {
        for bytes in [
            0,
            1,
            4_095,
            4_096,
            LARGE - 1,
            LARGE,
            3 * LARGE,
            5 * LARGE + 7,
        ] {
            let mut memory: Vec<u8> = Vec::with_capacity(bytes);
            scattered(memory.spare_capacity_mut());
            memory.extend((0..bytes).map(|at| at as u8));
            // Of memory that is in use only what is spare can be named.
            memory.truncate(bytes / 2);
            scattered(memory.spare_capacity_mut());
            assert!(
                memory
                    .iter()
                    .enumerate()
                    .all(|(at, byte)| *byte == at as u8)
            );
        }
        scattered::<u64>(&mut []);
        scattered::<()>(&mut [MaybeUninit::new(())]);
    }

    #[test]
    fn vectors_grow_as_ever() {
        let mut vector = Vec::new();
        for number in 0..3 * LARGE / 8 {
            grow(&mut vector, 1);
            let room = vector.capacity();
            vector.push(number);
            assert_eq!(vector.capacity(), room);
        }
        assert!(vector.into_iter().eq(0..3 * LARGE / 8));
        let mut vector: Vec<u8> = Vec::new();
        grow(&mut vector, 5 * LARGE);
        assert!(vector.capacity() >= 5 * LARGE);
    }

    #[cfg(not(target_os = "linux"))]
    const LARGE: usize = 1 << 21;
}
