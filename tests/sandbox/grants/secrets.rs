//! Variables and secrets: the plugin sees them, and nobody sees a secret in what the plugin says.

use std::collections::BTreeMap;

use soloist_core::grants::Grants;
use soloist_dev::testbed::Tested;
use soloist_runtime::activation::Notice;

use super::case::{SECRET, start};
use crate::terms::demote;

#[test]
fn a_plugin_sees_the_variables_it_is_given_and_no_others() {
    let env = BTreeMap::from([("NAME".to_owned(), "some value".to_owned())]);
    let tested = start(
        &[("do", "variables")],
        Grants {
            env,
            ..Grants::default()
        },
    );
    tested.wait_for("plugin-completed", "", 1);
    assert_eq!(demote(tested), ["NAME=some value SECRET=***"]);
}

/// No event so far contains the secret.
#[track_caller]
fn no_event_tells_it(tested: &Tested) {
    let events = tested.events();
    assert!(
        events
            .iter()
            .all(|event| !event.to_string().contains(SECRET)),
        "{events:#?}"
    );
}

#[test]
fn a_secret_reaches_the_plugin_and_no_event() {
    let tested = start(&[("do", "tell")], Grants::default());
    tested.wait_for("plugin-completed", "", 1);
    tested.wait_for("plugin-log", "the secret is ***, and that is it", 1);
    tested.wait_for("plugin-log", "x***x", 1);
    for way in ["tell-by-error", "tell-by-panic", "tell-by-abort"] {
        let tested = start(&[("do", way)], Grants::default());
        let failed = tested.wait_for("plugin-failed", "***", 1);
        assert!(!failed.to_string().contains(SECRET), "{failed:#}");
        no_event_tells_it(&tested);
    }
    no_event_tells_it(&tested);
}

#[test]
fn a_secret_does_not_get_into_the_reason_of_a_resignation() {
    let mut tested = start(&[("do", "tell-and-resign")], Grants::default());
    let Notice::ResignRequested { reason, .. } = tested.notice() else {
        panic!("{:#?}", tested.events())
    };
    assert_eq!(reason, "***");
    demote(tested);
}
