use std::time::Duration;

use soloist_sdk::testing::Harness;

use super::Worker;

#[test]
fn the_next_leader_goes_on_where_the_last_one_stopped() {
    let test = Harness::new();
    test.elect::<Worker>().advance(Duration::from_secs(2));
    test.elect::<Worker>().advance(Duration::from_secs(1));
    let items: Vec<_> = (1..=5).map(|item| format!("item {item}")).collect();
    assert_eq!(test.messages(), items);
    assert_eq!(test.state::<u64>("done"), Some(5));
}
