//! Faults that the loom models plant to show that they would notice. Outside loom none can be planted, and
//! every test for one is compiled away.

/// A way to break the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Links and tags are stored without Release.
    RelaxedPublish,
    /// A tag is stored before its link.
    TagBeforeLink,
    /// The entry is filled after it was linked.
    FillAfterPublish,
    /// Retired slots are given out again at once.
    NoGracePeriod,
    /// Readers enter without their half of the barrier.
    NoReaderBarrier,
    /// Readers leave without Release.
    RelaxedLeave,
    /// An overflow line that is taken out no longer leads on.
    LineForgetsNext,
    /// An overflow line that is taken out may be used again at once.
    LineWithoutGracePeriod,
}

/// Whether `fault` is planted: never, outside loom.
#[cfg(not(loom))]
#[inline(always)]
pub(super) const fn planted(_: Fault) -> bool {
    false
}

#[cfg(loom)]
std::thread_local! {
    /// loom runs all threads of a model on the thread of its test, so this is one value per model.
    static PLANTED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

/// Plants `fault` in all tables of the calling test.
#[cfg(loom)]
pub fn plant(fault: Fault) {
    PLANTED.set(Some(fault));
}

/// Whether `fault` is planted.
#[cfg(loom)]
pub(super) fn planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}
