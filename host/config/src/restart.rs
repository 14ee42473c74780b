//! When a task's plugin is run again: `restart = { ... }`.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serializer};
use soloist_core::restart::RestartPolicy;

use crate::amount::Amount;
use crate::problem::BadValue;
use crate::shape;
use crate::validator::{Reported, Validator};
use crate::written::Written;

/// What can be set of the restart policy of a task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestartWire {
    /// See [`RestartPolicy::initial`].
    #[serde(deserialize_with = "shape::duration")]
    pub initial: Option<Written<String>>,
    /// See [`RestartPolicy::max`].
    #[serde(deserialize_with = "shape::duration")]
    pub max: Option<Written<String>>,
    /// See [`RestartPolicy::healthy_after`].
    #[serde(deserialize_with = "shape::duration")]
    pub healthy_after: Option<Written<String>>,
    /// See [`RestartPolicy::max_restarts`].
    #[serde(deserialize_with = "shape::count")]
    pub max_restarts: Option<u32>,
}

impl RestartWire {
    pub(crate) fn validate(
        &self,
        validator: &mut Validator<'_>,
    ) -> Result<RestartPolicy, Reported> {
        let default = RestartPolicy::default();
        let initial = validator.duration(
            "task.restart.initial",
            self.initial.as_ref(),
            default.initial,
        );
        let max = validator.duration("task.restart.max", self.max.as_ref(), default.max);
        let healthy_after = validator.duration(
            "task.restart.healthy_after",
            self.healthy_after.as_ref(),
            default.healthy_after,
        );
        let initial = initial?;
        let max = max?;
        let written = self.max.as_ref().or(self.initial.as_ref());
        if let Some(written) = written.filter(|_| max < initial) {
            return Err(validator.report(
                "task.restart",
                &written.source,
                BadValue::RestartOrder { initial, max },
            ));
        }
        Ok(RestartPolicy {
            initial,
            max,
            healthy_after: healthy_after?,
            max_restarts: self.max_restarts.unwrap_or(default.max_restarts),
        })
    }
}

/// Writes the whole policy.
pub(crate) fn write<S: Serializer>(
    policy: &RestartPolicy,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("initial", &Amount::from(policy.initial))?;
    map.serialize_entry("max", &Amount::from(policy.max))?;
    map.serialize_entry("healthy_after", &Amount::from(policy.healthy_after))?;
    map.serialize_entry("max_restarts", &policy.max_restarts)?;
    map.end()
}

#[cfg(test)]
mod tests {
    use crate::testing::{are_named, task};

    #[test]
    fn every_bad_value_is_named_with_its_place() {
        #[rustfmt::skip]
        let cases = [
            (task("restart = { first = \"1s\" }"), "4:13", "task.restart.first", "unknown field `first`"),
            (task("restart = { healthy_after = \"\" }"), "4:29", "task.restart.healthy_after", "not a duration"),
            (task("restart = { initial = \"2s\", max = \"1s\" }"), "4:35", "task.restart", "shorter"),
            (task("restart = { initial = \"2m\" }"), "4:23", "task.restart", "shorter"),
            (task("[[task.restart]]"), "4:1", "task.restart", "in one pair of brackets"),
            (task("restart = \"1s\""), "4:11", "task.restart", "a table"),
            (task("restart = { max_restarts = -1 }"), "4:28", "task.restart.max_restarts", "`-1`, expected a whole number from 0 to 4294967295"),
            (task("restart = { max_restarts = 5000000000 }"), "4:28", "task.restart.max_restarts", "a whole number from 0"),
            (task("restart = { max_restarts = \"5\" }"), "4:28", "task.restart.max_restarts", "a whole number from 0"),
        ];
        are_named(&cases);
    }
}
