//! How much memory and how many elements of tables a plugin has, counted while it runs.

use std::sync::Arc;

use soloist_core::limits::{Limit, Limits, count};
use soloist_core::meter::TaskMeter;
use wasmtime::ResourceLimiter;

/// Counts the bytes of all memories of a plugin, and the elements of all its tables.
///
/// How many memories, tables and instances a plugin has is judged when it is loaded, before it runs.
#[derive(Debug)]
pub(crate) struct Usage {
    limits: Limits,
    memory_bytes: u64,
    table_elements: u64,
    meter: Option<Arc<TaskMeter>>,
}

impl Usage {
    /// What it has is told to the `meter`, if it is measured.
    pub(crate) fn new(limits: Limits, meter: Option<&Arc<TaskMeter>>) -> Self {
        Self {
            limits,
            memory_bytes: 0,
            table_elements: 0,
            meter: meter.cloned(),
        }
    }

    fn has_memory(&mut self, bytes: u64) {
        self.memory_bytes = bytes;
        if let Some(meter) = &self.meter {
            meter.has_memory(bytes);
        }
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.has_memory(0);
    }
}

/// By how much a memory or a table grows. A number that does not fit counts as more than there can be, never as less.
fn growth(current: usize, desired: usize) -> u64 {
    u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX)
}

/// A plugin that reaches a limit is ended by an error that says so: a refusal would look like a bug of the plugin. Only what
/// the plugin's own maximum forbids is refused, as WebAssembly has it.
impl ResourceLimiter for Usage {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.memory_bytes.saturating_add(growth(current, desired));
        if total > self.limits.memory {
            return Err(self.limits.reached(Limit::Memory).into());
        }
        self.has_memory(total);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(growth(current, desired));
        if total > self.limits.table_elements {
            return Err(self.limits.reached(Limit::TableElements).into());
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    // Twice what was counted when the plugin was loaded: wasmtime adds modules of its own between the components of a composed one.
    fn instances(&self) -> usize {
        count(self.limits.instances.into()).saturating_mul(2)
    }

    fn memories(&self) -> usize {
        count(self.limits.memories.into()).saturating_mul(2)
    }

    fn tables(&self) -> usize {
        count(self.limits.tables.into()).saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use soloist_core::limits::LimitReached;

    use super::*;

    #[test]
    fn memories_and_tables_are_counted_together() {
        let mut usage = Usage::new(
            Limits {
                memory: 3 << 16,
                table_elements: 100,
                ..Limits::default()
            },
            None,
        );
        assert!(usage.memory_growing(0, 1 << 16, None).unwrap());
        assert!(usage.memory_growing(0, 1 << 16, Some(1 << 16)).unwrap());
        assert!(
            !usage
                .memory_growing(1 << 16, 2 << 16, Some(1 << 16))
                .unwrap(),
            "its own maximum"
        );
        assert!(usage.memory_growing(1 << 16, 2 << 16, None).unwrap());
        let error = usage.memory_growing(2 << 16, 3 << 16, None).unwrap_err();
        assert_eq!(
            error.downcast_ref::<LimitReached>().unwrap().limit,
            Limit::Memory
        );
        assert!(usage.table_growing(0, 60, None).unwrap());
        let error = usage.table_growing(0, 60, None).unwrap_err();
        assert_eq!(
            *error.downcast_ref::<LimitReached>().unwrap(),
            LimitReached {
                limit: Limit::TableElements,
                allowed: 100
            }
        );
    }
}
