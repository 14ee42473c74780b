//! A script as somebody wrote it, and whether it can be played.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use soloist_config::{Document, Place, Written};
use soloist_core::event::Event;
use soloist_core::state::{check_key, check_value};
use soloist_core::term::Demotion;
use tracing::Level;

use super::{
    Act, Answer, BadStep, DATE_DEFAULT, Expectation, Script, ScriptError, Standing, StateMode, Step,
};

/// The longest time that a step lets pass.
const ADVANCE_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How many steps, and how many answers, a script has at most.
const PARTS_MAX: usize = 10_000;
/// How long the name of a host may be, in bytes.
const HOST_BYTES_MAX: usize = 128;

/// Reads a script, and judges each of its values.
pub(super) fn script(document: &Document) -> Result<Script, ScriptError> {
    let wire: ScriptWire = document.parse("")?;
    let mut judge = Judge {
        document,
        bad: Vec::new(),
    };
    let date = wire.date.as_ref().map(|written| {
        humantime::parse_rfc3339_weak(written.value()).unwrap_or_else(|error| {
            let what = format!("is no date ({error}): write it like \"2026-01-01T00:00:00Z\"");
            judge.refuse("date", written, what);
            SystemTime::UNIX_EPOCH
        })
    });
    if let Some(first) = wire.step.get(PARTS_MAX) {
        judge.refuse(
            "step",
            first,
            format!("is one too many: at most {PARTS_MAX}"),
        );
    }
    if let Some(first) = wire.answer.get(PARTS_MAX) {
        judge.refuse(
            "answer",
            first,
            format!("is one too many: at most {PARTS_MAX}"),
        );
    }
    let steps: Vec<Step> = wire
        .step
        .iter()
        .take(PARTS_MAX)
        .filter_map(|wire| {
            let place = Some(document.place_of(wire, "step"));
            judge.step(wire).map(|act| Step { place, act })
        })
        .collect();
    let answers = wire.answer.iter().take(PARTS_MAX);
    let answers = answers
        .filter_map(|wire| judge.answer(wire.value()))
        .collect();
    if steps.is_empty() && judge.bad.is_empty() {
        judge.bad.push(BadStep {
            place: Place::File {
                path: document.path().to_owned(),
                line: 1,
                column: 1,
                key: Some("step".to_owned()),
            },
            what: "is missing: write at least one, like [[step]] and elect = \"a\" below it"
                .to_owned(),
        });
    }
    if !judge.bad.is_empty() {
        return Err(ScriptError::Invalid(judge.bad));
    }
    Ok(Script {
        date: date.unwrap_or(SystemTime::UNIX_EPOCH + DATE_DEFAULT),
        answers,
        steps,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptWire {
    date: Option<Written<String>>,
    #[serde(default)]
    answer: Vec<Written<AnswerWire>>,
    #[serde(default)]
    step: Vec<Written<StepWire>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StepWire {
    Elect(Written<String>),
    Advance(Written<String>),
    Demote(Written<String>),
    LoseLease(Written<bool>),
    Kill(Written<bool>),
    State(StateMode),
    Set(BTreeMap<String, Written<String>>),
    Expect(ExpectWire),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectWire {
    log: Option<String>,
    level: Option<Written<String>>,
    event: Option<Written<String>>,
    times: Option<Written<u32>>,
    #[serde(default)]
    state: BTreeMap<String, String>,
    #[serde(default)]
    absent: Vec<String>,
    requests: Option<u32>,
    ended: Option<Standing>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerWire {
    url: Written<String>,
    method: Option<Written<String>>,
    status: Option<Written<u16>>,
    #[serde(default)]
    headers: BTreeMap<String, Written<String>>,
    #[serde(default)]
    body: String,
    after: Option<Written<String>>,
    times: Option<u32>,
}

/// Collects what is wrong.
struct Judge<'a> {
    document: &'a Document,
    bad: Vec<BadStep>,
}

impl Judge<'_> {
    fn refuse<T>(&mut self, key: &str, written: &Written<T>, what: String) {
        let place = self.document.place_of(written, key);
        self.bad.push(BadStep { place, what });
    }

    fn duration(&mut self, key: &str, written: &Written<String>, max: Duration) -> Duration {
        let text = written.value();
        match humantime::parse_duration(text) {
            Ok(duration) if duration <= max => duration,
            Ok(_) => {
                let max = humantime::format_duration(max);
                self.refuse(key, written, format!("{text:?} is too long: at most {max}"));
                Duration::ZERO
            }
            Err(error) => {
                let remedy = "write a number and its unit, like \"500ms\", \"10s\" or \"1day\"";
                let what = format!("{text:?} is not a duration ({error}): {remedy}");
                self.refuse(key, written, what);
                Duration::ZERO
            }
        }
    }

    /// A switch that is only turned on.
    fn on(&mut self, key: &str, written: &Written<bool>) {
        if !written.value() {
            let what = "is not done when it is `false`: write `true`, or leave the step out";
            self.refuse(key, written, what.to_owned());
        }
    }

    fn step(&mut self, wire: &Written<StepWire>) -> Option<Act> {
        Some(match wire.value() {
            StepWire::Elect(host) => {
                let name = host.value();
                if name.is_empty() || name.len() > HOST_BYTES_MAX || name.contains('/') {
                    let what =
                        "is no name of a host: write 1 to 128 bytes without a slash, like \"a\"";
                    self.refuse("step.elect", host, what.to_owned());
                }
                Act::Elect(name.clone())
            }
            StepWire::Advance(time) => {
                Act::Advance(self.duration("step.advance", time, ADVANCE_MAX))
            }
            StepWire::Demote(reason) => {
                let known = Demotion::ALL
                    .into_iter()
                    .find(|known| known.name() == reason.value());
                if known.is_none() {
                    let names = Demotion::ALL
                        .map(|reason| format!("\"{reason}\""))
                        .join(", ");
                    let what = format!("{:?} is no reason: write one of {names}", reason.value());
                    self.refuse("step.demote", reason, what);
                }
                Act::Demote(known?)
            }
            StepWire::LoseLease(on) => {
                self.on("step.lose-lease", on);
                Act::LoseLease
            }
            StepWire::Kill(on) => {
                self.on("step.kill", on);
                Act::Kill
            }
            StepWire::State(mode) => Act::State(*mode),
            StepWire::Set(entries) => {
                for (key, value) in entries {
                    let checked =
                        check_key(key).and_then(|()| check_value(value.value().as_bytes()));
                    if let Err(error) = checked {
                        self.refuse(&format!("step.set.{key}"), value, error.to_string());
                    }
                }
                let entries = entries.iter();
                Act::Set(
                    entries
                        .map(|(key, value)| (key.clone(), value.value().clone()))
                        .collect(),
                )
            }
            StepWire::Expect(expect) => Act::Expect(self.expectation(wire, expect)),
        })
    }

    fn expectation(&mut self, step: &Written<StepWire>, wire: &ExpectWire) -> Expectation {
        let level = wire.level.as_ref().and_then(|written| {
            let level = match &**written.value() {
                "error" => Level::ERROR,
                "warn" => Level::WARN,
                "info" => Level::INFO,
                "debug" => Level::DEBUG,
                "trace" => Level::TRACE,
                other => {
                    let choices = "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"";
                    let what = format!("{other:?} is no level: write {choices}");
                    self.refuse("step.expect.level", written, what);
                    return None;
                }
            };
            Some(level)
        });
        if let Some(event) = &wire.event
            && !Event::NAMES.contains(&&**event.value())
        {
            let what = format!(
                "there is no event {:?}: REFERENCE.md has them, like \"plugin-completed\"",
                event.value()
            );
            self.refuse("step.expect.event", event, what);
        }
        if let (Some(level), None) = (&wire.level, &wire.log) {
            let what = "is the level of a line: write `log` beside it".to_owned();
            self.refuse("step.expect.level", level, what);
        }
        if let (Some(times), None, None) = (&wire.times, &wire.log, &wire.event) {
            let what = "counts lines or events: write `log` or `event` beside it".to_owned();
            self.refuse("step.expect.times", times, what);
        }
        let expectation = Expectation {
            log: wire.log.clone(),
            level,
            event: wire.event.as_ref().map(|event| event.value().clone()),
            times: wire.times.as_ref().map(|times| *times.value()),
            state: wire.state.clone(),
            absent: wire.absent.clone(),
            requests: wire.requests,
            ended: wire.ended,
        };
        let Expectation { log, event, .. } = &expectation;
        let is_of_state = !wire.state.is_empty() || !wire.absent.is_empty();
        if log.is_none()
            && event.is_none()
            && !is_of_state
            && wire.requests.is_none()
            && wire.ended.is_none()
            && wire.level.is_none()
            && wire.times.is_none()
        {
            let what = "expects nothing: write log, event, state, absent, requests or ended";
            self.refuse("step.expect", step, what.to_owned());
        }
        expectation
    }

    fn answer(&mut self, wire: &AnswerWire) -> Option<Answer> {
        let url = wire.url.value().parse::<Uri>().ok();
        let url = url.filter(|url| url.scheme().is_some() && url.authority().is_some());
        if url.is_none() {
            let what = "is no URL: write it with its scheme and host, like \"https://api.example.com/jobs\"";
            self.refuse("answer.url", &wire.url, what.to_owned());
        }
        let method = wire.method.as_ref().map(|written| {
            let method = Method::from_bytes(written.value().as_bytes());
            method.unwrap_or_else(|_| {
                let what = "is no method: write it like \"POST\"".to_owned();
                self.refuse("answer.method", written, what);
                Method::GET
            })
        });
        let status = wire.status.as_ref().map_or(StatusCode::OK, |written| {
            StatusCode::from_u16(*written.value()).unwrap_or_else(|_| {
                let what = "is no status: write a number from 100 to 999".to_owned();
                self.refuse("answer.status", written, what);
                StatusCode::OK
            })
        });
        let mut headers = HeaderMap::new();
        for (name, value) in &wire.headers {
            let name = name.parse::<HeaderName>();
            match (name, HeaderValue::from_str(value.value())) {
                (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
                _ => self.refuse("answer.headers", value, "is no header of HTTP".to_owned()),
            }
        }
        let after = wire.after.as_ref();
        let after = after.map(|after| self.duration("answer.after", after, ADVANCE_MAX));
        Some(Answer {
            url: url?,
            method,
            status,
            headers,
            body: Bytes::from(wire.body.clone()),
            after: after.unwrap_or_default(),
            times: wire.times,
        })
    }
}
