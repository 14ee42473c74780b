//! Lines of the crates `log` and `tracing`, as lines of the plugin: level, message and fields stay what they are.

#[cfg(feature = "log")]
mod log_crate;
#[cfg(feature = "tracing")]
mod tracing_crate;

/// Has the lines of those crates written from now on, unless the plugin has set up something of its own. What they were
/// given before is lost, as with any program that has set up nothing yet.
pub(crate) fn install() {
    #[cfg(feature = "log")]
    log_crate::install();
    #[cfg(feature = "tracing")]
    tracing_crate::install();
}

#[cfg(all(test, feature = "log", feature = "tracing"))]
mod tests;
