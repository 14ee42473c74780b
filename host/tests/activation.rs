//! One term of a plugin, from activation to its end, in every way that it can end.

mod support;

use soloist::activation::ActivationSettings;
use soloist::term::Demotion;
use support::{Tested, misbehave, text};

#[test]
fn a_well_behaved_plugin_is_demoted_while_on_elected_waits() {
    let mut tested = Tested::start(misbehave("wait"), ActivationSettings::default());
    tested.wait_for("plugin-log", "entered", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    assert_eq!(tested.story(), ["activated", "draining", "demoted"]);
    assert_eq!(tested.lines(), ["entered", "on_elected was dropped", "demoted: Demotion::Shutdown"]);
}

#[test]
fn the_smallest_plugin_lives_a_whole_term() {
    let minimal = include_str!("../../plugins/minimal.wat");
    let mut tested = Tested::start(text(minimal), ActivationSettings::default());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
    assert_eq!(tested.story(), ["activated", "plugin-completed", "draining", "demoted"]);
}
