//! Looks at an ensemble as a host would use it, and says what speaks for and against it. It writes nothing.
//!
//! Every server is asked for sessions that are closed at once, and for what the four-letter words tell, where the server allows
//! them. What cannot be seen from outside is said as well, so that nobody takes it for checked.

use std::fmt;
use std::time::Duration;

use futures::future::join_all;

use crate::connect::Ensemble;
use crate::connect::greeting::{greet, word};
use crate::connect::probe::SHORT;
use crate::connect::servers::{Server, servers};
use crate::observer::{Observer, ObserverError};
use facts::{Conf, Version};

mod facts;
mod judge;

/// The pause between two readings of a server's clock.
const CLOCK_PAUSE: Duration = Duration::from_secs(2);
/// No more readings are compared with the first.
const CLOCK_READINGS: u32 = 5;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub verdict: Verdict,
    /// What was found, and what to do.
    pub text: String,
}

/// Whether what was looked at is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is.
    Fine,
    /// It could not be looked at.
    Unknown,
    /// It can be, but better be otherwise.
    Doubtful,
    /// It is not: the promise does not hold, or nothing can be led.
    Bad,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fine => "ok",
            Self::Unknown => "not checked",
            Self::Doubtful => "warning",
            Self::Bad => "error",
        })
    }
}

/// What was found of an ensemble.
#[derive(Clone, Debug, Default)]
pub struct Examination {
    /// Of each server, by its name.
    pub servers: Vec<(String, Vec<Finding>)>,
    /// Of all of them together.
    pub ensemble: Vec<Finding>,
}

impl Examination {
    /// The worst of all verdicts.
    pub fn worst(&self) -> Verdict {
        let findings = self.servers.iter().flat_map(|(_, findings)| findings);
        let verdicts = findings.chain(&self.ensemble).map(|it| it.verdict);
        verdicts.max().unwrap_or(Verdict::Unknown)
    }
}

/// What one server says.
#[derive(Debug)]
struct Answers {
    /// The session timeout that it agrees to, or why there is none.
    agreed: Result<Duration, String>,
    /// The shortest session timeout that it agrees to.
    shortest: Option<Duration>,
    version: Option<Version>,
    conf: Option<Conf>,
    /// How much faster than this machine's its clock runs, in parts of a million.
    drift_ppm: Option<i64>,
}

impl Answers {
    fn none(silence: impl fmt::Display) -> Self {
        Self {
            agreed: Err(silence.to_string()),
            shortest: None,
            version: None,
            conf: None,
            drift_ppm: None,
        }
    }
}

/// Looks at an ensemble. `tick_time` is what hosts take for its tick; a session may take `within`.
///
/// # Errors
/// [`ObserverError`] if there is no session.
pub async fn examine(
    ensemble: &Ensemble,
    tick_time: Duration,
    within: Duration,
) -> Result<Examination, ObserverError> {
    let names = ensemble.servers.split(',').map(servers);
    let all = join_all(names).await.concat();
    let asked = all.iter().map(|server| ask(server, ensemble));
    let answers = join_all(asked).await;
    let mut examination = Examination::default();
    for (server, answers) in all.iter().zip(&answers) {
        let findings = judge::server(answers, ensemble.session_timeout, tick_time);
        examination.servers.push((server.to_string(), findings));
    }
    examination.ensemble = judge::ensemble(&answers, ensemble);
    let observer = Observer::connect(ensemble, within).await?;
    let rights = observer.rights().await;
    observer.close().await;
    examination.ensemble.push(judge::rights(rights, ensemble));
    Ok(examination)
}

async fn ask(server: &Server, ensemble: &Ensemble) -> Answers {
    let greeted = async || greet(server, ensemble.session_timeout, ensemble).await;
    let mut agreed = greeted().await;
    if agreed.is_err() {
        // The first handshake of a server that has just started can take long.
        agreed = greeted().await;
    }
    let agreed = match agreed {
        Ok(agreed) => agreed,
        Err(silence) => return Answers::none(silence),
    };
    let (shortest, srvr, conf, drift_ppm) = tokio::join!(
        greet(server, SHORT, ensemble),
        word(server, "srvr", ensemble),
        word(server, "conf", ensemble),
        drift(server, ensemble),
    );
    Answers {
        agreed: Ok(agreed),
        shortest: shortest.ok(),
        version: srvr.and_then(|said| Version::of_srvr(&said.answer)),
        conf: conf.and_then(|said| Conf::read(&said.answer)),
        drift_ppm,
    }
}

/// Compares how long a server says that it has been up, again and again, with this machine's clock: until it is certain enough.
async fn drift(server: &Server, ensemble: &Ensemble) -> Option<i64> {
    let read = async || {
        let said = word(server, "mntr", ensemble).await?;
        Some((said.asked, said.took, facts::uptime(&said.answer)?))
    };
    let (mut first, mut first_took, mut first_up) = read().await?;
    for _ in 0..CLOCK_READINGS {
        tokio::time::sleep(CLOCK_PAUSE).await;
        let (now, took, up) = read().await?;
        let (here, there) = (now.saturating_since(first), up.checked_sub(first_up)?);
        let drift = facts::drift_ppm(here, there, first_took + took);
        if drift.is_some() {
            return drift;
        }
        if took < first_took / 2 {
            // The first answer of a server can take much longer than the next ones.
            (first, first_took, first_up) = (now, took, up);
        }
    }
    None
}
