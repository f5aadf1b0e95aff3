//! An allocator that counts the bytes in use.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed};

struct Counting;

/// Off while time is measured, since counting takes time.
static IS_ON: AtomicBool = AtomicBool::new(false);
static IN_USE: AtomicIsize = AtomicIsize::new(0);
static ALLOCATIONS: AtomicIsize = AtomicIsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all calls are forwarded to the system allocator; counting does not affect them.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_ON.load(Relaxed) {
            IN_USE.fetch_add(layout.size() as isize, Relaxed);
            ALLOCATIONS.fetch_add(1, Relaxed);
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if IS_ON.load(Relaxed) {
            IN_USE.fetch_sub(layout.size() as isize, Relaxed);
        }
        unsafe { System.dealloc(place, layout) }
    }
}

/// Returns the result of `work`, the requested bytes that it leaves allocated, and the number of its allocations.
pub fn count<T>(work: impl FnOnce() -> T) -> (T, isize, isize) {
    let (in_use, allocations) = (IN_USE.load(Relaxed), ALLOCATIONS.load(Relaxed));
    IS_ON.store(true, Relaxed);
    let result = work();
    IS_ON.store(false, Relaxed);
    (result, IN_USE.load(Relaxed) - in_use, ALLOCATIONS.load(Relaxed) - allocations)
}
