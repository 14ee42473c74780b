use std::rc::Rc;

use async_trait::async_trait;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use soloist_core::records::{End, TermEntry};
use soloist_core::secret::Secret;
use soloist_core::status::{Health, HostStatus, LastFailure, Leader};

use super::*;
use crate::pages::Pages;
use crate::told::Told;

mod access;
mod files;
mod live;
mod orders;
mod texts;

const TOKEN: &str = "0123456789abcdef";
const FOR_ORDERS: &str = "fedcba9876543210";

/// What those write who mean harm: markup, what ends a string or a script, what drives a terminal or turns text around, an address
/// that is none of HTTP, much text, and what ends an event.
const HOSTILE: [&str; 8] = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\"}]}'`${alert(1)}\\",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "\u{202e}txt.exe\u{2066}\u{200b}",
    "javascript:alert(1)",
    "a\n\nevent: tasks\ndata: {}\n\n",
    "\u{2028}\u{feff}&lt;b&gt;",
];

/// An ensemble into which somebody has written that.
#[derive(Clone)]
struct Written(Vec<Row>);

impl Written {
    fn hostile() -> Self {
        let row = |text: &&str| Row {
            task: (*text).to_owned(),
            health: Health::Failing,
            leader: Some(Leader {
                host: (*text).to_owned(),
                since: text.repeat(100),
                ..Leader::default()
            }),
            standbys: vec![(*text).to_owned(); 1_000],
            failure: Some(LastFailure {
                at: (*text).to_owned(),
                host: (*text).to_owned(),
                cause: (*text).to_owned(),
                detail: text.repeat(1_000),
                term: 1,
                fencing_token: None,
            }),
            retry_at: Some((*text).to_owned()),
            restarts: None,
        };
        Self(HOSTILE.iter().map(row).collect())
    }
}

#[async_trait(?Send)]
impl Look for Written {
    async fn begin(&self) -> Result<Rc<dyn Sight>, String> {
        Ok(Rc::new(self.clone()))
    }
}

#[async_trait(?Send)]
impl Sight for Written {
    fn is_lost(&self) -> bool {
        false
    }

    async fn glance(&self) -> Result<Glance, String> {
        let host = |row: &Row| HostRow {
            status: HostStatus {
                host: row.task.clone(),
                version: Some(row.task.clone()),
                labels: vec!["zone=a".parse().unwrap(); 100],
                listen: Some(row.task.clone()),
                ..HostStatus::default()
            },
            ..HostRow::default()
        };
        Ok(Glance {
            hosts: self.0.iter().map(host).collect(),
            tasks: self.0.clone(),
            ..Glance::default()
        })
    }

    async fn task(&self, _: &str) -> Result<Option<Detail>, String> {
        let text = self.0[0].task.clone();
        let texts: Vec<String> = self.0.iter().map(|row| row.task.clone()).collect();
        Ok(Some(Detail {
            row: self.0[0].clone(),
            hosts: vec![Readied {
                host: text.clone(),
                reason: Some(texts.concat()),
                ..Readied::default()
            }],
            ended: self.terms(&texts).await?.concat(),
            keys: vec![texts.concat(); 5_000],
            plans: vec![PlanRow {
                name: text.clone(),
                record: Err(texts.concat()),
                next: None,
            }],
            rollout: Some(Err(texts.concat())),
            generations: Vec::new(),
        }))
    }

    async fn terms(&self, tasks: &[String]) -> Result<Vec<Vec<TermEntry>>, String> {
        let term = |text: &String| TermEntry {
            number: 1,
            host: text.clone(),
            since: text.clone(),
            generation: None,
            digest: None,
            fencing_token: Some(1),
            end: Some(End {
                at: text.clone(),
                reason: text.clone(),
                cause: Some(text.clone()),
                detail: Some(text.repeat(1_000)),
            }),
        };
        Ok(tasks.iter().map(|text| vec![term(text)]).collect())
    }

    async fn value(&self, _: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        let value = match key {
            "bytes" => vec![0, 255],
            _ => self
                .0
                .iter()
                .map(|row| row.task.clone())
                .collect::<String>()
                .into_bytes(),
        };
        Ok(Some(value))
    }

    async fn order(&self, task: &str, order: &Order) -> Result<String, String> {
        match order {
            Order::Rollback { .. } => Err(format!("{}\u{1b}", order.name())),
            _ => Ok(format!("{} {task}", order.name())),
        }
    }

    async fn close(self: Rc<Self>) {}
}

fn pages(token: Option<&str>, is_open: bool, tells_values: bool) -> Pages {
    let roster = Arc::new(Roster::default());
    let told = Arc::new(Told::new(Arc::clone(&roster)));
    let token = token.map(|token| Secret::new(token.into()));
    let pages = Pages::new("alpha".into(), roster, told, token.as_ref(), is_open);
    let journal = Arc::new(Journal::new(1));
    let now = std::time::SystemTime::UNIX_EPOCH;
    journal.add("a", now, HOSTILE[0].to_owned());
    let look = Box::new(Written::hostile());
    let orders = Secret::new(FOR_ORDERS.into());
    let settings = Settings {
        tells_values,
        orders: Some(&orders),
    };
    pages.with_lines(journal).with_page(look, settings).unwrap()
}

async fn ask(pages: &Pages, path: &str, headers: &[(&str, &str)]) -> Response<Answer> {
    let mut request = Request::builder().uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    pages.answer_in_time(&parts, Empty::<Bytes>::new()).await
}

async fn told(answer: Response<Answer>) -> (u16, String) {
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// What a part of the stream says, up to this text.
async fn heard(body: &mut Answer, until: &str) -> String {
    let mut heard = String::new();
    while !heard.contains(until) {
        let frame = body.frame().await.unwrap().unwrap();
        heard.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    heard
}
