//! How the plugins under test live their terms.

use soloist_core::restart::RestartPolicy;
use soloist_core::term::Demotion;
use soloist_dev::testbed::{PATIENCE, Tested};
use soloist_runtime::activation::ActivationSettings;

/// No plugin is stopped for want of time: what stops, stops by itself.
pub(crate) fn patient() -> ActivationSettings {
    ActivationSettings {
        demote_timeout: PATIENCE,
        ..ActivationSettings::default()
    }
}

/// Like [`patient`], and a plugin that fails is not started again.
pub(crate) fn without_restart() -> ActivationSettings {
    let restart = RestartPolicy {
        max_restarts: 0,
        ..RestartPolicy::default()
    };
    ActivationSettings {
        restart,
        ..patient()
    }
}

/// Like [`patient`], and a plugin that is to be run again waits for longer than any test lasts.
pub(crate) fn with_late_restart() -> ActivationSettings {
    let restart = RestartPolicy {
        initial: 10 * PATIENCE,
        max: 10 * PATIENCE,
        ..RestartPolicy::default()
    };
    ActivationSettings {
        restart,
        ..patient()
    }
}

/// Ends the term in good order, and returns the lines that the plugin wrote in it.
pub(crate) fn demote(mut tested: Tested) -> Vec<String> {
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    tested.lines()
}
