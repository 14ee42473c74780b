//! Where tasks are led: `[placement]` of a host, and `[task.placement]`.

use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serializer};
use soloist_core::placement::{
    AVOIDED_MAX, LABELS_MAX, Label, Pace, TaskPlacement, WEIGHT_DEFAULT, WEIGHT_MAX,
};

use crate::amount::Amount;
use crate::node;
use crate::problem::{BadValue, Excerpt};
use crate::shape;
use crate::validator::{Reported, Validator};
use crate::written::Written;

const GRACE_DEFAULT: Duration = Duration::from_mins(1);
const COOL_DOWN_DEFAULT: Duration = Duration::from_mins(5);
const PRIORITY_MAX: u32 = 1_000;

/// What a host says of itself, and whether it takes part in spreading tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlacement {
    /// What tasks know it by.
    pub labels: Vec<Label>,
    /// How much it carries beside others.
    pub weight: u32,
    /// How many tasks it leads at most.
    pub max_active: Option<u32>,
    /// Whether it hands tasks over, and takes them, so that each host comes to its share.
    pub spread: bool,
    /// The times of moves.
    pub pace: Pace,
}

impl Default for HostPlacement {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            weight: WEIGHT_DEFAULT,
            max_active: None,
            spread: true,
            pace: Pace {
                grace: GRACE_DEFAULT,
                cool_down: COOL_DOWN_DEFAULT,
            },
        }
    }
}

/// What can be set of the placement of a host.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HostPlacementWire {
    #[serde(deserialize_with = "shape::list")]
    labels: Vec<Written<String>>,
    weight: Option<Written<Amount>>,
    max_active: Option<Written<Amount>>,
    spread: Option<Written<bool>>,
    #[serde(deserialize_with = "shape::duration")]
    grace: Option<Written<String>>,
    #[serde(deserialize_with = "shape::duration")]
    cool_down: Option<Written<String>>,
}

/// What can be set of the placement of a task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlacementWire {
    /// See [`TaskPlacement::priority`].
    pub priority: Option<Written<Amount>>,
    /// See [`TaskPlacement::preempt`].
    pub preempt: Option<Written<bool>>,
    /// See [`TaskPlacement::prefer`].
    #[serde(deserialize_with = "shape::list")]
    pub prefer: Vec<Written<String>>,
    /// See [`TaskPlacement::require`].
    #[serde(deserialize_with = "shape::list")]
    pub require: Vec<Written<String>>,
    /// See [`TaskPlacement::avoid`].
    #[serde(deserialize_with = "shape::list")]
    pub avoid: Vec<Written<String>>,
    /// See [`TaskPlacement::weight`].
    pub weight: Option<Written<Amount>>,
    /// See [`TaskPlacement::spread`].
    pub spread: Option<Written<bool>>,
}

impl HostPlacementWire {
    pub(crate) fn validate(
        &self,
        validator: &mut Validator<'_>,
    ) -> Result<HostPlacement, Reported> {
        let default = HostPlacement::default();
        let labels = labels("placement.labels", &self.labels, validator);
        let weight = weight("placement.weight", self.weight.as_ref(), validator);
        let max_active = self.max_active.as_ref();
        let max_active = validator.optional("placement.max_active", max_active, |amount| {
            amount.number(1..=u32::MAX)
        });
        let grace = validator.duration("placement.grace", self.grace.as_ref(), GRACE_DEFAULT);
        let cool_down = self.cool_down.as_ref();
        let cool_down = validator.duration("placement.cool_down", cool_down, COOL_DOWN_DEFAULT);
        Ok(HostPlacement {
            labels: labels?,
            weight: weight?,
            max_active: max_active?,
            spread: self.spread.as_ref().map_or(default.spread, |it| it.value),
            pace: Pace {
                grace: grace?,
                cool_down: cool_down?,
            },
        })
    }
}

impl PlacementWire {
    pub(crate) fn validate(
        &self,
        validator: &mut Validator<'_>,
    ) -> Result<TaskPlacement, Reported> {
        let default = TaskPlacement::default();
        let priority = self.priority.as_ref();
        let priority = validator.optional("task.placement.priority", priority, |amount| {
            amount.number(0..=PRIORITY_MAX)
        });
        let prefer = labels("task.placement.prefer", &self.prefer, validator);
        let require = labels("task.placement.require", &self.require, validator);
        let avoid = self.avoid(validator);
        let weight = weight("task.placement.weight", self.weight.as_ref(), validator);
        let priority = priority?.map_or(default.priority, u32::cast_signed);
        Ok(TaskPlacement {
            priority,
            preempt: self.preempt.as_ref().is_some_and(|it| it.value),
            prefer: prefer?,
            require: require?,
            avoid: avoid?,
            weight: weight?,
            spread: self.spread.as_ref().map_or(default.spread, |it| it.value),
        })
    }

    fn avoid(&self, validator: &mut Validator<'_>) -> Result<Vec<String>, Reported> {
        let key = "task.placement.avoid";
        few(key, "tasks", &self.avoid, AVOIDED_MAX, validator)?;
        validator.list(key, &self.avoid, |text| {
            node::name(text).map(|name| name.to_string())
        })
    }
}

fn labels(
    key: &str,
    written: &[Written<String>],
    validator: &mut Validator<'_>,
) -> Result<Vec<Label>, Reported> {
    few(key, "labels", written, LABELS_MAX, validator)?;
    validator.list(key, written, |text| {
        text.parse().map_err(|source| BadValue::Label {
            text: Excerpt::of(text),
            source,
        })
    })
}

fn few(
    key: &str,
    what: &'static str,
    written: &[Written<String>],
    max: usize,
    validator: &mut Validator<'_>,
) -> Result<(), Reported> {
    match written.get(max) {
        Some(first_too_many) => {
            let found = written.len();
            let bad = BadValue::TooMany { what, found, max };
            Err(validator.report(key, &first_too_many.source, bad))
        }
        None => Ok(()),
    }
}

fn weight(
    key: &str,
    written: Option<&Written<Amount>>,
    validator: &mut Validator<'_>,
) -> Result<u32, Reported> {
    let weight = validator.optional(key, written, |amount| amount.number(1..=WEIGHT_MAX))?;
    Ok(weight.unwrap_or(WEIGHT_DEFAULT))
}

/// Whether nothing is set: then it is not written, so that a manifest without it reads on hosts that do not know it.
pub(crate) fn is_default(placement: &TaskPlacement) -> bool {
    *placement == TaskPlacement::default()
}

/// Writes what is not as usual.
pub(crate) fn write<S: Serializer>(
    placement: &TaskPlacement,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let default = TaskPlacement::default();
    let mut map = serializer.serialize_map(None)?;
    if placement.priority != default.priority {
        map.serialize_entry("priority", &placement.priority)?;
    }
    if placement.preempt {
        map.serialize_entry("preempt", &true)?;
    }
    let lists = [
        ("prefer", &placement.prefer),
        ("require", &placement.require),
    ];
    for (key, labels) in lists.into_iter().filter(|(_, labels)| !labels.is_empty()) {
        map.serialize_entry(key, labels)?;
    }
    if !placement.avoid.is_empty() {
        map.serialize_entry("avoid", &placement.avoid)?;
    }
    if placement.weight != default.weight {
        map.serialize_entry("weight", &placement.weight)?;
    }
    if !placement.spread {
        map.serialize_entry("spread", &false)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Given;
    use crate::testing::{TASK, are_named, load, task};

    /// A configuration whose `[placement]` has this line, its second.
    fn host(line: &str) -> String {
        format!("[placement]\n{line}\n{TASK}")
    }

    #[test]
    fn every_bad_value_is_named_with_its_place() {
        let many = |entry: &str, max: usize| vec![format!("\"{entry}\""); max + 1].join(", ");
        let labels = format!("placement = {{ require = [{}] }}", many("a=b", LABELS_MAX));
        let tasks = format!("placement = {{ avoid = [{}] }}", many("a", AVOIDED_MAX));
        #[rustfmt::skip]
        let cases = [
            (task("placement = { zone = \"a\" }"), "4:15", "task.placement.zone", "unknown field `zone`"),
            (task("placement = { priority = -1 }"), "4:26", "task.placement.priority", "a whole number from 0"),
            (task("placement = { priority = 1001 }"), "4:26", "task.placement.priority", "1000"),
            (task("placement = { weight = 0 }"), "4:24", "task.placement.weight", "write 1 to"),
            (task("placement = { prefer = [\"zone\"] }"), "4:25", "task.placement.prefer", "like zone=a"),
            (task("placement = { require = \"zone=a\" }"), "4:25", "task.placement.require", "a list"),
            (task("placement = { avoid = [\"a/b\"] }"), "4:24", "task.placement.avoid", "a/b"),
            (task("placement = { preempt = 1 }"), "4:25", "task.placement.preempt", "a boolean"),
            (task(&labels), "4:138", "task.placement.require", "16"),
            (task(&tasks), "4:104", "task.placement.avoid", "16"),
            (host("max_active = 0"), "2:14", "placement.max_active", "write 1 to"),
            (host("weight = 2000"), "2:10", "placement.weight", "1000"),
            (host("labels = [\"=a\"]"), "2:11", "placement.labels", "like zone=a"),
            (host("grace = \"soon\""), "2:9", "placement.grace", "not a duration"),
            (host("speed = 3"), "2:1", "placement.speed", "unknown field"),
        ];
        are_named(&cases);
    }

    #[test]
    fn what_is_set_is_read_and_written_again() {
        let line = "labels = [\"zone=a\"]\nmax_active = 3\nspread = false\ngrace = \"5s\"";
        let of_task = "placement = { priority = 7, preempt = true, prefer = [\"zone=a\"], avoid = [\"b\"], spread = false }";
        let config = load(&format!("{}{of_task}\n", host(line)), Given::default()).unwrap();
        let HostPlacement {
            labels,
            weight,
            max_active,
            spread,
            pace,
        } = config.placement;
        assert_eq!(
            (labels.len(), weight, max_active, spread),
            (1, 1, Some(3), false)
        );
        assert_eq!(
            (pace.grace, pace.cool_down),
            (Duration::from_secs(5), COOL_DOWN_DEFAULT)
        );
        let json = serde_json::to_value(&config.tasks[0]).unwrap();
        let written =
            r#"{"priority":7,"preempt":true,"prefer":["zone=a"],"avoid":["b"],"spread":false}"#;
        let expected: serde_json::Value = serde_json::from_str(written).unwrap();
        assert_eq!(json["placement"], expected);
    }
}
