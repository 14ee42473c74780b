//! Files that are read again and again while a host runs, and what is told of that.

/// What is to be told of an attempt to read files again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// They hold something else, which is used from here on.
    Exchanged,
    /// They cannot be used any more, for this reason. What they held before stays in use.
    Unusable(String),
}

/// What is wrong with the files.
#[derive(Debug, Default)]
pub struct Problem {
    /// What was wrong when they were last read.
    last: Option<String>,
    /// What has been told.
    told: Option<String>,
}

impl Problem {
    /// What is to be told of an attempt: true if the files hold something else, or what is wrong. Who exchanges a certificate
    /// exchanges its key a moment later: a problem counts when it is still there at the next attempt, and is told once.
    pub fn heard(&mut self, read: Result<bool, String>) -> Option<Followed> {
        match read {
            Ok(has_changed) => {
                *self = Self::default();
                has_changed.then_some(Followed::Exchanged)
            }
            Err(problem) => {
                let stays = self.last.as_ref() == Some(&problem);
                let is_new = self.told.as_ref() != Some(&problem);
                self.last = Some(problem.clone());
                (stays && is_new).then(|| {
                    self.told = Some(problem.clone());
                    Followed::Unusable(problem)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_once_and_only_if_it_stays() {
        let mut problem = Problem::default();
        let bad = |text: &str| Err(text.to_owned());
        let told = |text: &str| Some(Followed::Unusable(text.into()));
        assert_eq!(problem.heard(bad("a")), None);
        assert_eq!(problem.heard(bad("a")), told("a"));
        assert_eq!(problem.heard(bad("a")), None);
        assert_eq!(problem.heard(bad("b")), None);
        assert_eq!(problem.heard(bad("b")), told("b"));
        assert_eq!(problem.heard(Ok(true)), Some(Followed::Exchanged));
        assert_eq!(problem.heard(Ok(false)), None);
        assert_eq!(problem.heard(bad("b")), None);
        assert_eq!(problem.heard(bad("b")), told("b"));
    }
}
