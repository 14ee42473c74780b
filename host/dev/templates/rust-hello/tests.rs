use soloist_sdk::testing::Harness;

use super::Hello;

#[test]
fn the_leader_says_hello() {
    let test = Harness::new().task("greeter");
    test.elect::<Hello>().finish().unwrap();
    assert_eq!(test.messages(), ["hello from host-1, leader of greeter"]);
}
