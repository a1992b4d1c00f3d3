//! The one module of the harness with `unsafe`: what only a foreign call can do.

/// Gives the allocator's unused pages back to the operating system, so that each table starts from the same state.
///
/// Returns false where the allocator refused; memory figures then include leftovers of the preparation.
#[must_use]
pub fn purge_allocator() -> bool {
    // Arena number 4096 stands for all arenas (MALLCTL_ARENAS_ALL in jemalloc.h).
    const PURGE_ALL: &std::ffi::CStr = c"arena.4096.purge";
    // SAFETY: the name is NUL-terminated and outlives the call; "arena.<i>.purge" neither reads nor writes a value, which all
    // null and zero arguments say.
    let status = unsafe {
        tikv_jemalloc_sys::mallctl(
            PURGE_ALL.as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            0,
        )
    };
    status == 0
}
