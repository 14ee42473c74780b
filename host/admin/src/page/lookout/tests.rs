use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use tokio::task::JoinSet;

use super::*;
use crate::page::seen::Sight;

#[derive(Default)]
struct Counts {
    begun: AtomicUsize,
    glances: AtomicUsize,
    closed: AtomicUsize,
    /// Tasks that are being read, or were.
    tasks: AtomicUsize,
    /// Reading a task takes until this is true.
    may_read: watch::Sender<bool>,
}

#[derive(Clone)]
struct Counted(Arc<Counts>);

#[async_trait(?Send)]
impl Look for Counted {
    async fn begin(&self) -> Result<Rc<dyn Sight>, String> {
        if self.0.begun.fetch_add(1, SeqCst) == 0 {
            return Err("the first attempt fails".into());
        }
        Ok(Rc::new(self.clone()))
    }
}

#[async_trait(?Send)]
impl Sight for Counted {
    fn is_lost(&self) -> bool {
        false
    }

    async fn glance(&self) -> Result<Glance, String> {
        let beat = i64::try_from(self.0.glances.fetch_add(1, SeqCst)).unwrap() / 2;
        Ok(Glance {
            beats: [("a".to_owned(), beat)].into(),
            leases: [("a".to_owned(), Duration::from_secs(10))].into(),
            ..Glance::default()
        })
    }

    async fn task(&self, _: &str) -> Result<Option<Detail>, String> {
        self.0.tasks.fetch_add(1, SeqCst);
        let mut may_read = self.0.may_read.subscribe();
        may_read.wait_for(|may| *may).await.unwrap();
        Ok(None)
    }

    async fn terms(&self, tasks: &[String]) -> Result<Vec<Vec<TermEntry>>, String> {
        Ok(vec![Vec::new(); tasks.len()])
    }

    async fn value(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, String> {
        Err("no".into())
    }

    async fn order(&self, _: &str, _: &Order) -> Result<String, String> {
        Err("no".into())
    }

    async fn close(self: Rc<Self>) {
        self.0.closed.fetch_add(1, SeqCst);
    }
}

fn lookout(idle: Duration) -> (Lookout, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let look = Box::new(Counted(Arc::clone(&counts)));
    (Lookout::patient(look, idle).unwrap(), counts)
}

/// The next that is seen.
async fn next(view: &mut watch::Receiver<Latest>) -> Latest {
    view.changed().await.unwrap();
    view.borrow_and_update().clone()
}

#[tokio::test]
async fn many_viewers_cost_as_much_as_one_and_nobody_looks_for_nobody() {
    let (lookout, counts) = lookout(Duration::ZERO);
    assert_eq!(counts.begun.load(SeqCst), 0);
    let mut views: Vec<_> = (0..20).map(|_| lookout.view().unwrap()).collect();
    let first = next(&mut views[0]).await;
    assert_eq!(first.trouble.as_deref(), Some("the first attempt fails"));
    let mut seen = 0;
    while seen < 3 {
        let latest = next(&mut views[0]).await;
        assert_eq!(latest.trouble, None);
        seen += usize::from(latest.seen.is_some());
    }
    let glances = counts.glances.load(SeqCst);
    assert!((3..=4).contains(&glances), "{glances}");
    drop(views);
    // The lookout is woken to find that nobody looks.
    while counts.closed.load(SeqCst) == 0 {
        let _ = lookout.terms(Vec::new()).await;
    }
    assert_eq!(counts.closed.load(SeqCst), 1);
}

#[tokio::test]
async fn what_is_told_is_fresh_and_what_fails_is_told() {
    let (lookout, _) = lookout(IDLE);
    let asked = Instant::now();
    // The first attempt fails.
    let failed = lookout.fresh(asked).await.map(drop);
    assert!(matches!(failed, Err(Trouble::Ensemble(_))), "{failed:?}");
    let seen = lookout.fresh(Instant::now()).await.unwrap();
    let later = lookout.fresh(Instant::now() + PAUSE * 2).await.unwrap();
    assert!(later.begun > seen.begun);
    let no = lookout.value("a", "b").await;
    assert_eq!(no, Err(Trouble::Ensemble("no".into())));
}

#[tokio::test]
async fn a_lease_is_told_to_have_no_more_left_than_it_can_have() {
    let (lookout, _) = lookout(IDLE);
    let mut view = lookout.view().unwrap();
    let mut seen: Vec<Arc<Seen>> = Vec::new();
    while seen.len() < 4 {
        seen.extend(next(&mut view).await.seen);
    }
    // The second look found the heartbeat of the first, the third another one, which came after the second look at the earliest.
    let heard = |at: usize| seen[at].heard["a"].1;
    assert_eq!(heard(1), heard(0));
    assert_eq!(heard(2), seen[1].begun);
    assert_eq!(heard(3), heard(2));
    let (left, full) = seen[3].left_at_least("a").unwrap();
    assert!(left < full && full == Duration::from_secs(10));
    assert_eq!(seen[3].left_at_least("b"), None);
}

/// Whoever asks and goes away, again and again, or asks for what there is not, holds up neither the ensemble nor an order.
#[tokio::test]
async fn few_questions_are_asked_at_once_none_for_nobody_and_an_order_waits_for_none() {
    let (lookout, counts) = lookout(IDLE);
    let lookout = Arc::new(lookout);
    // The first attempt fails.
    lookout.task("first").await.unwrap_err();
    let ask = |asking: &mut JoinSet<_>, name: String| {
        let lookout = Arc::clone(&lookout);
        asking.spawn(async move { lookout.task(&name).await.is_ok() })
    };
    let (mut staying, mut going) = (JoinSet::new(), JoinSet::new());
    for number in 0..6 {
        ask(&mut staying, format!("stays-{number}"));
    }
    for number in 0..20 {
        ask(&mut going, format!("goes-{number}"));
    }
    while counts.tasks.load(SeqCst) < 4 {
        tokio::task::yield_now().await;
    }
    let order = Order::Pause { reason: None };
    let given = lookout.order("a".into(), order).await;
    assert_eq!(given, Ok(Err("no".into())));
    assert_eq!(counts.tasks.load(SeqCst), 4);

    going.shutdown().await;
    counts.may_read.send_replace(true);
    assert_eq!(staying.join_all().await, [true; 6]);
    lookout.task("last").await.unwrap();
    assert_eq!(counts.tasks.load(SeqCst), 7);
}
