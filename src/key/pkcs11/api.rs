//! What every call to a module needs.

use std::cell::Cell;
use std::sync::Arc;

use super::super::device::DeviceOptions;
use super::activity::Activity;
use super::raw::Raw;

/// What every call needs: the module's functions, the watch over them, and the choices of the person.
pub(super) struct Api {
    pub(super) raw: Raw,
    pub(super) activity: Arc<Activity>,
    pub(super) options: DeviceOptions,
    /// The library's path as people know it.
    pub(super) path: String,
    /// Sessions opened so far: each has its number, so that a handle can be told from one of an older session.
    pub(super) sessions: Cell<u64>,
}
