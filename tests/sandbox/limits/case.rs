//! A plugin that reaches a limit, and the report of it.

use std::sync::Arc;

use serde_json::Value;
use soloist_core::limits::Limit;
use soloist_core::term::Demotion;
use soloist_dev::testbed::Tested;
use soloist_runtime::activation::Notice;
use soloist_sandbox::Plugin;

use crate::terms::without_restart;

/// Runs a plugin that reaches a limit, and returns the report, which must name the limit and its value.
pub(super) fn reached(plugin: Arc<Plugin>, limit: Limit, value: &str) -> Value {
    let mut tested = Tested::start(plugin, without_restart());
    let failed = tested.wait_for("plugin-failed", "", 1);
    let message = failed["message"].as_str().unwrap();
    assert_eq!(failed["cause"], limit.cause(), "{failed:#}");
    assert!(
        message.contains(limit.setting()) && message.contains(value),
        "{message}"
    );
    let Notice::Failed(told) = tested.notice() else {
        panic!("{:#?}", tested.events())
    };
    assert_eq!(told.cause.name(), limit.cause());
    assert!(message.contains(&told.cause.to_string()), "{message}");
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
    failed
}

/// A bare module whose `on_demoted` does nothing.
pub(super) fn bare(on_elected: &str) -> String {
    format!(r#"(module {on_elected} (func (export "on_demoted")))"#)
}
