//! What a test grants, what it has the guest do, and what is said then.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use serde_json::Value;
use soloist_core::grants::{Grants, NetworkPolicy};
use soloist_core::limits::Limits;
use soloist_core::secret::Secret;
use soloist_core::term::Demotion;
use soloist_dev::testbed::Tested;
use soloist_sandbox::{AnswerHttp, Plugin, PluginSettings, Resolve, SystemResolver};

use crate::guests::{config, engine, guest};
use crate::terms::with_late_restart;

/// Knows the names that a test gives it, and which it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: BTreeMap<String, Vec<IpAddr>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    pub(crate) fn new(known: &[(&str, &str)]) -> Arc<Self> {
        let addresses = |text: &str| {
            text.split(' ')
                .map(|address| address.parse().unwrap())
                .collect()
        };
        let known = known
            .iter()
            .map(|(name, text)| ((*name).to_owned(), addresses(text)))
            .collect();
        Arc::new(Self {
            known,
            asked: Mutex::default(),
        })
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Names {
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(name.into());
        let found = self
            .known
            .get(name)
            .cloned()
            .ok_or_else(|| io::Error::other("nobody knows it"));
        Box::pin(async { found })
    }
}

/// What a test grants, and what it has the guest do.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) policy: NetworkPolicy,
    pub(crate) config: Vec<(&'static str, String)>,
    pub(crate) sockets: u32,
    secret: Option<Secret>,
    resolver: Arc<dyn Resolve>,
    answers: Option<Arc<dyn AnswerHttp>>,
}

impl Case {
    /// Nothing is granted, but everything may be imported.
    pub(crate) fn new(what: &str) -> Self {
        let policy = NetworkPolicy {
            http: Some(Vec::new()),
            tcp: Some(Vec::new()),
            ..NetworkPolicy::default()
        };
        let resolver = Arc::new(SystemResolver::default());
        Self {
            policy,
            config: vec![("do", what.into())],
            sockets: 16,
            secret: None,
            resolver,
            answers: None,
        }
    }

    pub(crate) fn http(mut self, origin: &str) -> Self {
        self.policy
            .http
            .get_or_insert_default()
            .push(origin.parse().unwrap());
        self
    }

    pub(crate) fn tcp(mut self, endpoint: &str) -> Self {
        self.policy
            .tcp
            .get_or_insert_default()
            .push(endpoint.parse().unwrap());
        self
    }

    pub(crate) fn network(mut self, network: &str) -> Self {
        self.policy.networks.push(network.parse().unwrap());
        self
    }

    pub(crate) fn this_machine(self) -> Self {
        self.network("127.0.0.0/8").network("::1")
    }

    pub(crate) fn set(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.config.push((key, value.into()));
        self
    }

    pub(crate) fn secret(mut self, text: &str) -> Self {
        self.secret = Some(Secret::new(text.to_owned()));
        self
    }

    pub(crate) fn names(mut self, names: &Arc<Names>) -> Self {
        self.resolver = Arc::clone(names) as _;
        self
    }

    /// No server is asked.
    pub(crate) fn answers(mut self, answers: &Arc<impl AnswerHttp + 'static>) -> Self {
        self.answers = Some(Arc::clone(answers) as _);
        self
    }

    pub(crate) fn settings(&self) -> PluginSettings {
        let entries: Vec<_> = self
            .config
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        PluginSettings {
            grants: Grants {
                network: self.policy.clone(),
                ..Grants::default()
            },
            limits: Limits {
                sockets: self.sockets,
                ..Limits::default()
            },
            resolver: Arc::clone(&self.resolver),
            answers: self.answers.clone(),
            secrets: self
                .secret
                .iter()
                .map(|secret| ("SECRET".to_owned(), secret.clone()))
                .collect(),
            ..config(&entries)
        }
    }

    pub(crate) fn start(&self) -> Tested {
        let plugin = Plugin::load(&engine(), &guest("network"), self.settings()).unwrap();
        Tested::start(Arc::new(plugin), with_late_restart())
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Outcome {
        let mut tested = self.start();
        tested.wait_for("plugin-completed", "", 1);
        tested.activation().demote(Demotion::Shutdown);
        assert!(!tested.stopped());
        Outcome::of(&tested)
    }

    /// Runs it with a URL to get, and returns what it heard.
    pub(crate) fn get(&self, url: &str) -> Outcome {
        self.clone().set("url", url).run()
    }
}

/// What was said.
pub(crate) struct Outcome {
    /// By the guest, without what it says about its end.
    pub(crate) lines: Vec<String>,
    /// By the host, about the network.
    pub(crate) refusals: Vec<String>,
}

impl Outcome {
    pub(crate) fn of(tested: &Tested) -> Self {
        let (mut lines, mut refusals) = (Vec::new(), Vec::new());
        for event in tested
            .events()
            .iter()
            .filter(|event| event["event"] == "plugin-log")
        {
            let message = event["message"].as_str().unwrap().to_owned();
            match event.get("import") {
                Some(import) => {
                    assert_eq!(
                        (import, &event["level"]),
                        (&Value::from("network"), &Value::from("warn"))
                    );
                    refusals.push(message);
                }
                None if message == "demoted" => {}
                None => lines.push(message),
            }
        }
        Self { lines, refusals }
    }

    pub(crate) fn line(&self) -> &str {
        let [line] = &self.lines[..] else {
            panic!("{:?}, {:?}", self.lines, self.refusals)
        };
        line
    }

    pub(crate) fn refusal(&self) -> &str {
        let [refusal] = &self.refusals[..] else {
            panic!("{:?}, {:?}", self.lines, self.refusals)
        };
        refusal
    }
}
