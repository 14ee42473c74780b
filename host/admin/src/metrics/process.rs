//! What the system tells of this process.

use std::fs;

/// What the process takes of the machine, as far as the system tells.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) open_files: Option<usize>,
}

impl Process {
    pub(super) fn read() -> Self {
        let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a time that is read needs no more digits"
        )]
        let cpu_seconds = usage.tv_sec as f64 + usage.tv_nsec as f64 / 1e9;
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Self {
            resident_bytes: kib.map(|kib| kib * 1024),
            cpu_seconds: Some(cpu_seconds),
            open_files: fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
        }
    }
}
