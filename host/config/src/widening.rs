//! What one task may more than another, or more than a bound: shown before a deployment, and refused by hosts.

use std::fmt;

use soloist_core::grants::{Excess, GrantsBound};
use soloist_core::limits::Limits;

use crate::limits::{RaisedLimit, raised};
use crate::task::TaskSettings;

/// Something that a task may beyond a bound. It is displayed as the line of its configuration that lets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Widening {
    /// A grant.
    Grant(Excess),
    /// A limit that is higher.
    Limit(RaisedLimit),
}

/// What the new generation of a task may more than the old one.
pub fn widened(old: &TaskSettings, new: &TaskSettings) -> Vec<Widening> {
    beyond(&GrantsBound::of(&old.grants), &old.limits, new)
}

/// What a task may beyond these bounds.
pub(crate) fn beyond(grants: &GrantsBound, limits: &Limits, task: &TaskSettings) -> Vec<Widening> {
    let grants = grants.exceeded_by(&task.grants).into_iter();
    let limits = raised(&task.limits, limits).into_iter();
    grants
        .map(Widening::Grant)
        .chain(limits.map(Widening::Limit))
        .collect()
}

impl fmt::Display for Widening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(excess) => write!(f, "allow.{excess}"),
            Self::Limit(limit) => write!(f, "limits.{limit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::task::TaskConfig;
    use crate::testing::{TASK, load};

    use super::*;

    fn task(lines: &str) -> TaskConfig {
        let config = load(&format!("{TASK}{lines}"), crate::host::Given::default());
        config.unwrap().tasks.remove(0)
    }

    fn lines(old: &str, new: &str) -> Vec<String> {
        let widened = widened(&task(old), &task(new));
        widened.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_new_generation_may_more_is_told_line_by_line() {
        let old = "allow.http = [\"https://*.a\"]\nallow.env = { TZ = \"UTC\" }\nlimits.cpu = 50\n";
        let new = "allow.http = [\"https://b.a\", \"https://c\"]\nallow.state = true\nallow.env = { LANG = \"C\" }\n\
                   allow.dirs = [{ host = \"/srv\", guest = \"/srv\", mode = \"write\" }]\nallow.secrets = [\"KEY\"]\n\
                   limits.memory = \"1GiB\"\nlimits.start_timeout = \"90s\"\nlimits.log_rate = 201\nlimits.log_line = 9000\n";
        assert_eq!(
            lines(old, new),
            [
                "allow.state = true",
                "allow.http = [\"https://c\"]",
                "allow.dirs = [{ host = \"/srv\", guest = \"/srv\", mode = \"write\" }]",
                "allow.secrets = [\"KEY\"]",
                "limits.memory = \"1GiB\" instead of \"256MiB\"",
                "limits.log_rate = 201 instead of 200",
                "limits.log_line = 9000 instead of \"8KiB\"",
                "limits.start_timeout = \"1m 30s\" instead of \"30s\"",
                "limits.cpu = \"100%\" instead of \"50%\"",
            ]
        );
        assert_eq!(lines(new, new), [""; 0]);
        assert_eq!(lines(new, ""), [""; 0]);
        assert_eq!(
            lines(
                "allow.dirs = [{ host = \"/srv\", guest = \"/a\" }]\n",
                "allow.dirs = [{ host = \"/srv/b\", guest = \"/b\", mode = \"write\" }]\n",
            ),
            ["allow.dirs = [{ host = \"/srv/b\", guest = \"/b\", mode = \"write\" }]"]
        );
    }
}
