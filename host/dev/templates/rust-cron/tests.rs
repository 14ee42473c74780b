use std::time::Duration;

use soloist_sdk::testing::Harness;

use super::Cron;

#[test]
fn each_slot_is_done_once_whoever_leads() {
    let hours = Duration::from_hours;
    let test = Harness::new().slots("main", [hours(1), hours(2), hours(3)]);
    test.elect::<Cron>().advance(hours(2));
    test.elect::<Cron>().advance(hours(2));
    assert_eq!(test.messages().len(), 3);
    let last: Option<String> = test.state("last");
    assert_eq!(last.as_deref(), Some("test/main@2026-01-01T03:00:00Z"));
}
