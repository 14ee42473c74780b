use crate::testing::Harness;
use crate::{Level, Plugin, Result, Term};

/// Says all there is to say by both crates, before and in its term.
struct Talker;

impl Default for Talker {
    fn default() -> Self {
        ::log::info!("made");
        Self
    }
}

impl Plugin for Talker {
    async fn on_elected(&mut self, _: Term) -> Result {
        ::log::error!("plain");
        ::log::trace!(target: "store", bytes = 12, name:% = "a b"; "wrote {}", "it");

        tracing::warn!(left = 3, "running {}", "short");
        let outer =
            tracing::info_span!("outer", task = "t", step = 1, late = tracing::field::Empty);
        outer.record("late", "set");
        let _outer = outer.enter();
        let _inner = tracing::debug_span!("inner", step = 2).entered();
        let source = std::io::Error::other("disk full");
        let error: &(dyn std::error::Error + 'static) = &source;
        tracing::debug!(error, ok = true, step = ?Some(3));
        Ok(())
    }
}

#[test]
fn lines_of_log_and_tracing_keep_level_message_and_fields() {
    // Before a harness or a host is there.
    ::log::info!("nobody listens");
    tracing::info!("nobody listens");

    let test = Harness::new();
    test.elect::<Talker>().finish().unwrap();
    let lines: Vec<String> = test.logs().iter().map(ToString::to_string).collect();
    let target = "target=soloist_sdk::bridges::tests";
    assert_eq!(
        lines,
        [
            format!("0ns INFO  made {target}"),
            format!("0ns ERROR plain {target}"),
            "0ns TRACE wrote it target=store bytes=12 name=a b".into(),
            format!("0ns WARN  running short {target} left=3"),
            format!(
                "0ns DEBUG  {target} task=t step=Some(3) late=set span=outer:inner error=disk full ok=true"
            ),
        ]
    );
    assert_eq!(test.logs()[0].level, Level::Info);
}
