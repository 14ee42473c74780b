use std::time::Duration;

use super::setbacks::LAST_RELEASES;
use super::*;
use crate::term::FencingToken;

mod corners;

const BUDGET: Duration = Duration::from_secs(2);

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// A moment with a lease that lasts ten seconds more.
fn now(millis: u64) -> Now {
    Now { time: at(millis), deadline: at(millis + 10_000) }
}

fn term(number: u64) -> Term {
    Term {
        number,
        fencing_token: FencingToken(100 + number),
        task: "report".into(),
        host: "a".into(),
        record_version: i32::try_from(number).unwrap(),
    }
}

fn record(number: u64, released: bool) -> Record {
    Record { number, version: i32::try_from(number).unwrap(), history: 7, host: Some("b".into()), released }
}

fn head(record: Record) -> Input {
    Input::Looked(Queue { ahead: Some(0), predecessor: None, appointed: false, record })
}

fn behind(predecessor: &str) -> Input {
    Input::Looked(Queue {
        ahead: Some(1),
        predecessor: Some(predecessor.into()),
        appointed: false,
        record: record(1, false),
    })
}

fn election() -> Election {
    Election::new(Settings { demote_budget: BUDGET, successor_delay: Duration::ZERO })
}

/// Feeds inputs and gives the actions that followed the last.
fn feed(election: &mut Election, now: Now, inputs: impl IntoIterator<Item = Input>) -> Vec<Action> {
    inputs.into_iter().map(|input| election.handle(now, input)).last().unwrap_or_default()
}

/// A machine at the head of the queue that has asked to be elected.
fn electing() -> Election {
    let mut election = election();
    let actions = feed(&mut election, now(0), [Input::SessionStarted, head(record(1, true))]);
    assert_eq!(actions, [Action::Elect { over: record(1, true) }]);
    election
}

/// A machine whose plugin runs in term 2.
fn leading() -> Election {
    let mut election = electing();
    let actions = feed(&mut election, now(0), [Input::Elected(term(2))]);
    assert_eq!(actions, [Action::AnnounceElected(term(2)), Action::Activate(term(2)), Action::ReadMaster]);
    assert_eq!(feed(&mut election, now(0), [Input::MasterSeen(Holder::Me(term(2)))]), []);
    election
}

#[test]
fn a_new_session_looks_joins_and_looks_again() {
    let mut election = election();
    assert_eq!(election.handle(now(0), Input::SessionStarted), [Action::Look]);
    let nowhere = Queue { ahead: None, predecessor: None, appointed: false, record: Record::default() };
    assert_eq!(election.handle(now(0), Input::Looked(nowhere)), [Action::Join]);
    assert_eq!(election.handle(now(0), Input::Joined), [Action::Look]);
}

#[test]
fn whoever_stands_behind_watches_its_predecessor_only_and_looks_when_it_goes() {
    let mut election = election();
    let actions = feed(&mut election, now(0), [Input::SessionStarted, behind("c-7")]);
    let standby = Action::AnnounceStandby { ahead: 1, leader: Some("b".into()) };
    assert_eq!(actions, [standby, Action::AwaitPredecessor("c-7".into())]);
    assert_eq!(feed(&mut election, now(0), [Input::Awaiting]), []);
    assert_eq!(feed(&mut election, now(0), [Input::Reconnected]), [Action::Look]);
    // The same place again is not announced again.
    assert_eq!(feed(&mut election, now(0), [behind("c-7")]), [Action::AwaitPredecessor("c-7".into())]);
    assert_eq!(feed(&mut election, now(0), [Input::Gone]), [Action::Look]);
}

#[test]
fn whoever_stands_right_behind_the_leader_elects_at_once_over_what_its_release_leaves() {
    let waiting = || {
        let mut election = election();
        feed(&mut election, now(0), [Input::SessionStarted, behind("c-7"), Input::Awaiting]);
        election
    };
    let mut election = waiting();
    let over = record(1, false).given_back();
    assert_eq!((over.number, over.version, over.history, over.released), (1, 2, 9, true));
    assert_eq!(feed(&mut election, now(0), [Input::Changed]), [Action::Elect { over: over.clone() }]);
    // The leader was lost instead, or somebody else was named: what is there has to be read.
    assert_eq!(feed(&mut election.clone(), now(0), [Input::Outdated]), [Action::Look]);
    // Only its candidate is gone, and it still holds the node: then that is waited for, and nothing is foreseen.
    let held = Input::MasterSeen(Holder::Other("b".into()));
    assert_eq!(feed(&mut election, now(0), [held, Input::Changed]), [Action::Look]);
    // Without time on its lease it would have to demote at once.
    let late = Now { time: at(9_000), deadline: at(10_000) };
    assert_eq!(feed(&mut waiting(), late, [Input::Changed]), [Action::Look]);
}

/// Found by the model: a leader that never heard of its election, and whose master node was deleted, is elected again.
#[test]
fn no_number_of_elections_over_lost_terms_leaves_what_a_release_leaves() {
    let seen = record(5, false);
    let foreseen = seen.clone().given_back();
    for elections in 0..1_000 {
        let versions = (seen.version + elections, seen.history + elections);
        assert_ne!(versions, (foreseen.version, foreseen.history), "{elections} elections");
        let released = (versions.0 + 1, versions.1 + RELEASE_WRITES);
        assert_eq!(
            released == (foreseen.version, foreseen.history),
            elections == 0,
            "{elections} elections and a release"
        );
    }
}

#[test]
fn nothing_is_foreseen_by_those_further_back_or_when_nobody_leads() {
    let queue = |ahead, record| {
        Input::Looked(Queue { ahead: Some(ahead), predecessor: Some("c-7".into()), appointed: false, record })
    };
    for looked in [queue(2, record(1, false)), queue(1, record(1, true)), queue(1, Record::default())] {
        let mut election = election();
        feed(&mut election, now(0), [Input::SessionStarted, looked, Input::Awaiting]);
        assert_eq!(feed(&mut election, now(0), [Input::Changed]), [Action::Look]);
    }
}

#[test]
fn a_master_node_held_by_another_is_waited_for_and_its_holder_named() {
    let mut election = electing();
    let held = Input::MasterSeen(Holder::Other("c".into()));
    assert_eq!(feed(&mut election, now(0), [held]), [Action::AnnounceStandby { ahead: 0, leader: Some("c".into()) }]);
    assert_eq!(feed(&mut election, now(0), [Input::Changed]), [Action::Look]);
}

#[test]
fn a_master_node_that_no_session_owns_is_not_waited_for() {
    let mut election = electing();
    let mut pauses = Vec::new();
    let mut time = 0;
    for _ in 0..12 {
        assert_eq!(feed(&mut election, now(time), [Input::MasterSeen(Holder::Unowned)]), []);
        let at = election.wake_at(at(time + 10_000)).unwrap().as_nanos() / 1_000_000;
        pauses.push(at - time);
        time = at;
        let actions = feed(&mut election, now(time), [Input::Timer, head(record(1, true))]);
        assert_eq!(actions, [Action::Elect { over: record(1, true) }]);
    }
    assert_eq!((&pauses[..3], pauses[11]), (&[100, 200, 400][..], 10_000));
}

#[test]
fn an_election_whose_answer_was_lost_is_adopted() {
    let mut election = electing();
    assert_eq!(feed(&mut election, now(0), [Input::Failed]), []);
    let retry_at = election.wake_at(at(10_000)).unwrap();
    let later = now(retry_at.as_nanos() / 1_000_000);
    assert_eq!(feed(&mut election, later, [Input::Timer]), [Action::Look]);
    assert_eq!(feed(&mut election, later, [head(record(2, false))]), [Action::Elect { over: record(2, false) }]);
    let actions = feed(&mut election, later, [Input::MasterSeen(Holder::Me(term(2)))]);
    assert_eq!(actions[..2], [Action::AnnounceElected(term(2)), Action::Activate(term(2))]);
}

#[test]
fn an_election_whose_answer_and_candidate_were_lost_is_given_back_before_the_queue_is_joined() {
    let mut election = electing();
    feed(&mut election, now(0), [Input::Failed]);
    let retry_at = election.wake_at(at(10_000)).unwrap();
    let later = now(retry_at.as_nanos() / 1_000_000);
    assert_eq!(feed(&mut election, later, [Input::Timer]), [Action::Look]);
    let nowhere = || Queue { ahead: None, predecessor: None, appointed: false, record: record(2, false) };
    assert_eq!(feed(&mut election, later, [Input::Looked(nowhere())]), [Action::Release { term: None }]);
    assert_eq!(feed(&mut election, later, [Input::Released]), [Action::Look]);
    assert_eq!(feed(&mut election, later, [Input::Looked(nowhere())]), [Action::Join]);
}

/// A host that has joined the queue twice has another candidate further back.
#[test]
fn an_election_whose_answer_and_first_candidate_were_lost_is_given_back_before_anybody_is_waited_for() {
    let mut election = electing();
    let actions = feed(&mut election, now(0), [Input::Failed]);
    assert_eq!(actions, []);
    let actions = feed(&mut election, now(1_000), [Input::Timer, behind("c-9")]);
    assert_eq!(actions, [Action::Release { term: None }]);
    // Once that is done it waits its turn like everybody else.
    assert_eq!(feed(&mut election, now(1_000), [Input::Released]), [Action::Look]);
    let actions = feed(&mut election, now(1_000), [behind("c-9")]);
    assert_eq!(actions.last(), Some(&Action::AwaitPredecessor("c-9".into())));
}

#[test]
fn a_host_that_sees_the_master_node_in_another_hand_does_not_hold_it() {
    let mut election = electing();
    let held = Input::MasterSeen(Holder::Other("c".into()));
    feed(&mut election, now(0), [Input::Failed]);
    let inputs = [Input::Timer, head(record(1, true)), held, Input::Changed, behind("c-9")];
    let actions = feed(&mut election, now(1_000), inputs);
    assert_eq!(actions.last(), Some(&Action::AwaitPredecessor("c-9".into())));
}

#[test]
fn a_master_node_of_ours_without_a_term_or_a_candidate_is_given_back() {
    for holder in [Holder::MeWithoutTerm, Holder::MeWithoutPlace] {
        let mut election = electing();
        let actions = feed(&mut election, now(0), [Input::MasterSeen(holder)]);
        assert_eq!(actions, [Action::Release { term: None }]);
    }
}

#[test]
fn a_leader_whose_candidate_was_deleted_stops_and_stands_anew() {
    let mut election = leading();
    assert_eq!(feed(&mut election, now(0), [Input::Changed]), [Action::ReadMaster]);
    let actions = feed(&mut election, now(0), [Input::MasterSeen(Holder::MeWithoutPlace)]);
    assert_eq!(actions, [Action::Demote(Demotion::NodeLost)]);
    // The master node is what holds the next one back now: it is kept until the plugin has stopped.
    assert_eq!(feed(&mut election, now(1), [Input::Changed]), []);
    assert_eq!(feed(&mut election, now(1), [Input::Stopped]), [Action::Release { term: Some(term(2)) }]);
    let actions = feed(&mut election, now(2), [Input::Released]);
    assert_eq!(actions, [Action::AnnounceReleased(term(2)), Action::Look]);
}

#[test]
fn the_node_is_released_only_after_the_plugin_has_stopped() {
    let mut election = leading();
    assert_eq!(feed(&mut election, now(0), [Input::Shutdown]), [Action::Demote(Demotion::Shutdown)]);
    for hint in [Input::Changed, Input::Timer, Input::Failed] {
        assert_eq!(feed(&mut election, now(1), [hint]), []);
    }
    assert_eq!(feed(&mut election, now(2), [Input::Stopped]), [Action::Release { term: Some(term(2)) }]);
    let actions = feed(&mut election, now(3), [Input::Released]);
    assert_eq!(actions, [Action::AnnounceReleased(term(2)), Action::Finish]);
}

#[test]
fn demotion_begins_a_demote_budget_before_the_deadline_and_a_renewed_lease_puts_it_off() {
    let mut election = leading();
    assert_eq!(election.wake_at(at(10_000)), Some(at(8_000)));
    assert_eq!(election.handle(Now { time: at(8_000), deadline: at(11_000) }, Input::Timer), []);
    assert_eq!(election.wake_at(at(11_000)), Some(at(9_000)));
    let due = Now { time: at(9_000), deadline: at(11_000) };
    assert_eq!(election.handle(due, Input::Timer), [Action::Demote(Demotion::LeaseExpiring)]);
}

#[test]
fn a_lost_node_demotes_and_says_how_it_was_lost() {
    for (holder, reason) in [
        (Holder::Nobody, Demotion::NodeLost),
        (Holder::Unowned, Demotion::NodeLost),
        (Holder::MeWithoutTerm, Demotion::NodeLost),
        (Holder::MeWithoutPlace, Demotion::NodeLost),
        (Holder::Me(term(3)), Demotion::NodeLost),
        (Holder::Other("c".into()), Demotion::Replaced),
    ] {
        let mut election = leading();
        assert_eq!(feed(&mut election, now(0), [Input::Changed]), [Action::ReadMaster]);
        assert_eq!(feed(&mut election, now(0), [Input::MasterSeen(holder)]), [Action::Demote(reason)]);
    }
}

#[test]
fn a_change_during_a_read_is_read_again() {
    let mut election = leading();
    assert_eq!(feed(&mut election, now(0), [Input::Changed]), [Action::ReadMaster]);
    assert_eq!(feed(&mut election, now(0), [Input::Changed]), []);
    assert_eq!(feed(&mut election, now(0), [Input::MasterSeen(Holder::Me(term(2)))]), [Action::ReadMaster]);
}

#[test]
fn the_end_of_the_session_revokes_and_nothing_is_stood_for_before_the_plugin_is_gone() {
    let mut election = leading();
    let actions = feed(&mut election, now(0), [Input::SessionEnded]);
    assert_eq!(actions, [Action::Demote(Demotion::LeaseExpiring), Action::Revoke]);
    assert_eq!(feed(&mut election, now(0), [Input::SessionStarted]), []);
    let actions = feed(&mut election, now(0), [Input::Stopped]);
    assert_eq!(actions, [Action::Release { term: Some(term(2)) }]);
    let actions = feed(&mut election, now(0), [Input::Released]);
    assert_eq!(actions, [Action::AnnounceReleased(term(2)), Action::Look]);
}

#[test]
fn whoever_resigns_stays_out_for_the_time_asked() {
    let mut election = leading();
    let resign = Input::Resign { stay_out: Duration::from_secs(60) };
    assert_eq!(feed(&mut election, now(0), [resign]), [Action::Demote(Demotion::Resigned)]);
    feed(&mut election, now(1), [Input::Stopped]);
    assert_eq!(feed(&mut election, now(2), [Input::Released]), [Action::AnnounceReleased(term(2))]);
    assert_eq!(election.wake_at(at(10_000)), Some(at(60_000)));
    assert_eq!(feed(&mut election, now(60_000), [Input::Timer]), [Action::Look]);
}

#[test]
fn without_time_on_the_lease_nobody_is_elected() {
    let mut election = election();
    let late = Now { time: at(9_000), deadline: at(10_000) };
    let actions = feed(&mut election, late, [Input::SessionStarted, head(record(1, true))]);
    assert_eq!(actions, [Action::Release { term: None }]);
    assert_eq!(feed(&mut election, late, [Input::Released]), []);
    assert_eq!(election.wake_at(late.deadline), Some(at(9_100)));
    let mut election = electing();
    let actions = feed(&mut election, late, [Input::Elected(term(2))]);
    assert_eq!(actions, [Action::AnnounceElected(term(2)), Action::Release { term: Some(term(2)) }]);
}

/// A machine at the head of the queue after a term that was lost, and its master node gone, as is read at `time`.
fn delaying(election: &mut Election, time: u64) {
    assert_eq!(feed(election, now(time), [head(record(1, false))]), [Action::ReadMaster]);
    assert_eq!(election.wake_at(at(time + 10_000)), None);
    assert_eq!(feed(election, now(time), [Input::MasterSeen(Holder::Nobody)]), []);
    assert_eq!(election.wake_at(at(time + 10_000)), Some(at(time + 3_000)));
}

fn delayed() -> Election {
    let mut election = Election::new(Settings { demote_budget: BUDGET, successor_delay: Duration::from_secs(3) });
    feed(&mut election, now(0), [Input::SessionStarted]);
    election
}

#[test]
fn a_successor_waits_unless_the_term_before_was_released() {
    let mut after_crash = delayed();
    delaying(&mut after_crash, 0);
    assert_eq!(feed(&mut after_crash, now(2_999), [Input::Timer]), []);
    let actions = feed(&mut after_crash, now(3_000), [Input::Timer]);
    assert_eq!(actions, [Action::Elect { over: record(1, false) }]);
    for orderly in [record(1, true), Record::default()] {
        let actions = feed(&mut delayed(), now(0), [head(orderly.clone())]);
        assert_eq!(actions, [Action::Elect { over: orderly }]);
    }
}

/// Found by the model: a leader whose candidate was deleted, and then lost as well, was followed without any delay.
#[test]
fn a_successor_begins_to_wait_when_the_master_node_is_gone() {
    let mut election = delayed();
    let held = Input::MasterSeen(Holder::Other("b".into()));
    let actions = feed(&mut election, now(0), [head(record(1, false)), held]);
    assert_eq!(actions, [Action::AnnounceStandby { ahead: 0, leader: Some("b".into()) }]);
    assert_eq!(feed(&mut election, now(9_000), [Input::Changed]), [Action::Look]);
    delaying(&mut election, 9_000);
}

#[test]
fn a_successor_that_cannot_read_the_master_node_or_holds_it_does_not_wait() {
    let mut election = delayed();
    assert_eq!(feed(&mut election, now(0), [head(record(1, false)), Input::Failed]), []);
    assert_eq!(feed(&mut election, now(100), [Input::Timer]), [Action::Look]);
    let mine = Input::MasterSeen(Holder::Me(term(1)));
    let actions = feed(&mut election, now(100), [head(record(1, false)), mine]);
    assert_eq!(actions[..2], [Action::AnnounceElected(term(1)), Action::Activate(term(1))]);
}

/// Found by the model: numbers begin anew when strangers delete what tells them, and a term of the same number was followed
/// without any delay.
#[test]
fn a_delay_that_is_over_counts_for_that_record_alone() {
    let mut election = delayed();
    delaying(&mut election, 0);
    let actions = feed(&mut election, now(3_000), [Input::Timer, Input::Outdated]);
    assert_eq!(actions, [Action::Look]);
    let anew = head(Record { version: 5, ..record(1, false) });
    assert_eq!(feed(&mut election, now(3_000), [anew]), [Action::ReadMaster]);
}

/// Found by the model: what tells the numbers was deleted, and term by term the records became the same again.
#[test]
fn a_delay_that_is_over_is_forgotten_with_the_next_record() {
    let mut election = delayed();
    delaying(&mut election, 0);
    let actions = feed(&mut election, now(3_000), [Input::Timer, Input::Outdated]);
    assert_eq!(actions, [Action::Look]);
    let other = Queue { ahead: Some(1), predecessor: Some("c-9".into()), appointed: false, record: record(2, false) };
    let actions = feed(&mut election, now(3_000), [Input::Looked(other), Input::Awaiting, Input::Reconnected]);
    assert_eq!(actions.last(), Some(&Action::Look), "{actions:?}");
    delaying(&mut election, 9_000);
}

#[test]
fn a_successor_whose_session_ends_while_it_waits_waits_again() {
    let mut election = delayed();
    delaying(&mut election, 0);
    let actions = feed(&mut election, now(1_000), [Input::SessionEnded, Input::SessionStarted]);
    assert_eq!(actions, [Action::Look]);
    delaying(&mut election, 1_000);
    let actions = feed(&mut election, now(4_000), [Input::Timer]);
    assert_eq!(actions, [Action::Elect { over: record(1, false) }]);
    // The delay is over, whatever becomes of the election.
    let actions = feed(&mut election, now(4_000), [Input::Outdated, head(record(1, false))]);
    assert_eq!(actions, [Action::Elect { over: record(1, false) }]);
}

#[test]
fn a_host_without_a_lease_stands_ever_more_seldom() {
    let mut election = election();
    let mut time = 0;
    let mut pauses = Vec::new();
    feed(&mut election, now(0), [Input::SessionStarted]);
    for _ in 0..4 {
        let late = Now { time: at(time), deadline: at(time) };
        assert_eq!(feed(&mut election, late, [head(record(1, true))]), [Action::Release { term: None }]);
        feed(&mut election, late, [Input::Released]);
        let at = election.wake_at(late.deadline).unwrap().as_nanos() / 1_000_000;
        pauses.push(at - time);
        time = at;
        assert_eq!(feed(&mut election, now(time), [Input::Timer]), [Action::Look]);
    }
    assert_eq!(pauses, [100, 200, 400, 800]);
}

#[test]
fn a_session_that_ends_does_not_shorten_the_time_for_which_a_host_stays_out() {
    let mut election = leading();
    let resign = Input::Resign { stay_out: Duration::from_secs(60) };
    feed(&mut election, now(0), [resign, Input::Stopped, Input::SessionEnded]);
    assert_eq!(feed(&mut election, now(1), [Input::SessionStarted]), []);
    assert_eq!(election.wake_at(at(10_000)), Some(at(60_000)));
}

#[test]
fn a_release_that_is_refused_does_not_hold_up_a_shutdown_for_ever() {
    let mut election = leading();
    feed(&mut election, now(0), [Input::Shutdown, Input::Stopped]);
    let mut time = 0;
    for attempt in 1.. {
        if feed(&mut election, now(time), [Input::Failed]) == [Action::Finish] {
            assert_eq!(attempt, LAST_RELEASES);
            break;
        }
        time = election.wake_at(at(time + 10_000)).unwrap().as_nanos() / 1_000_000;
        assert_eq!(feed(&mut election, now(time), [Input::Timer]), [Action::Release { term: Some(term(2)) }]);
    }
    assert!(time < 15_000, "{time} ms");
}

/// Refused as often as that, whoever is at the head of the queue makes way; and stays away ever longer.
#[test]
fn a_head_of_the_queue_that_cannot_elect_makes_way_ever_longer() {
    let mut election = electing();
    let mut time = 0;
    for _ in 0..2 {
        assert_eq!(feed(&mut election, now(time), [Input::Refused]), []);
        time = election.wake_at(at(time + 10_000)).unwrap().as_nanos() / 1_000_000;
        let actions = feed(&mut election, now(time), [Input::Timer, head(record(1, true))]);
        assert_eq!(actions, [Action::Elect { over: record(1, true) }]);
    }
    let mut rests = Vec::new();
    for _ in 0..7 {
        let actions = feed(&mut election, now(time), [Input::Refused]);
        let [Action::AnnounceRest(rest), Action::Release { term: None }] = actions[..] else { panic!("{actions:?}") };
        assert_eq!(feed(&mut election, now(time), [Input::Released]), []);
        let at = election.wake_at(at(time)).unwrap().as_nanos() / 1_000_000;
        assert_eq!(u128::from(at - time), rest.as_millis());
        rests.push(rest.as_secs());
        time = at;
        assert_eq!(feed(&mut election, now(time), [Input::Timer]), [Action::Look]);
        let actions = feed(&mut election, now(time), [Input::Joined, head(record(1, true))]);
        assert_eq!(actions, [Action::Elect { over: record(1, true) }]);
    }
    assert_eq!(rests, [5, 10, 20, 40, 80, 120, 120]);
    // Once it is elected, all that is over.
    let actions = feed(&mut election, now(time), [Input::Elected(term(2))]);
    assert_eq!(actions[1], Action::Activate(term(2)));
    feed(&mut election, now(time), [Input::Stopped, Input::Released, head(record(2, true))]);
    assert_eq!(feed(&mut election, now(time), [Input::Refused]), []);
}

#[test]
fn a_host_in_the_queue_that_may_not_read_it_makes_way_and_one_outside_tries_on() {
    let mut standing = election();
    feed(&mut standing, now(0), [Input::SessionStarted, behind("c-7"), Input::Awaiting]);
    let mut outside = election();
    feed(&mut outside, now(0), [Input::SessionStarted]);
    for attempt in 1..=10_u64 {
        let time = now(attempt * 20_000);
        let refused = [Input::Changed, Input::Refused];
        let released = feed(&mut standing, time, refused.clone());
        assert_eq!(released.contains(&Action::Release { term: None }), attempt == 3, "attempt {attempt}");
        if attempt == 3 {
            break;
        }
        feed(&mut standing, now(attempt * 20_000 + 15_000), [Input::Timer]);
    }
    for attempt in 1..=10_u64 {
        assert_eq!(feed(&mut outside, now(attempt * 20_000), [Input::Refused]), []);
        assert_eq!(feed(&mut outside, now(attempt * 20_000 + 15_000), [Input::Timer]), [Action::Look]);
    }
}

#[test]
fn a_release_that_is_refused_lets_the_session_go() {
    let mut election = leading();
    let resign = Input::Resign { stay_out: Duration::from_secs(60) };
    feed(&mut election, now(0), [resign, Input::Stopped]);
    let mut time = 0;
    for _ in 0..2 {
        assert_eq!(feed(&mut election, now(time), [Input::Refused]), []);
        time = election.wake_at(at(time + 10_000)).unwrap().as_nanos() / 1_000_000;
        assert_eq!(feed(&mut election, now(time), [Input::Timer]), [Action::Release { term: Some(term(2)) }]);
    }
    assert_eq!(feed(&mut election, now(time), [Input::Refused]), [Action::LeaveSession]);
    assert_eq!(election.wake_at(at(time)), None);
    assert_eq!(feed(&mut election, now(time), [Input::SessionEnded, Input::SessionStarted]), []);
    assert_eq!(election.wake_at(at(time)), Some(at(60_000)));
    // In the next session it is tried again first.
    feed(&mut election, now(60_000), [Input::Timer, head(record(2, true)), Input::Elected(term(3)), Input::Stopped]);
    assert_eq!(feed(&mut election, now(60_000), [Input::Refused]), []);
}

/// Every session that is let go ends all that its host does.
#[test]
fn a_host_that_lets_its_sessions_go_rests_ever_longer_until_a_release_succeeds() {
    let mut election = leading();
    let mut time = 0;
    let mut leave = |election: &mut Election| {
        assert_eq!(feed(election, now(time), [Input::Stopped]), [Action::Release { term: Some(term(2)) }]);
        let refused: Vec<_> = (0..3).flat_map(|_| feed(election, now(time), [Input::Refused])).collect();
        assert_eq!(refused.last(), Some(&Action::LeaveSession));
        feed(election, now(time), [Input::SessionEnded, Input::SessionStarted]);
        let rest = election.wake_at(at(time)).unwrap().as_nanos() / 1_000_000_000 - time / 1000;
        time += 10_000_000;
        feed(election, now(time), [Input::Timer, head(record(1, true)), Input::Elected(term(2))]);
        rest
    };
    let rests: Vec<_> = (0..12).map(|_| leave(&mut election)).collect();
    assert_eq!(rests, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
    feed(&mut election, now(500_000_000), [Input::Stopped, Input::Released, Input::Timer]);
    feed(&mut election, now(500_000_000), [head(record(1, true)), Input::Elected(term(2))]);
    assert_eq!(leave(&mut election), 5);
}

#[test]
fn failures_are_retried_ever_more_slowly_and_for_ever() {
    let mut election = election();
    feed(&mut election, now(0), [Input::SessionStarted]);
    let mut time = 0;
    let mut pauses = Vec::new();
    for _ in 0..12 {
        feed(&mut election, now(time), [Input::Failed]);
        let at = election.wake_at(at(1)).unwrap().as_nanos() / 1_000_000;
        pauses.push(at - time);
        time = at;
        assert_eq!(feed(&mut election, now(time), [Input::Timer]), [Action::Look]);
    }
    assert_eq!(pauses[..4], [100, 200, 400, 800]);
    assert_eq!(pauses[11], 10_000);
}

#[test]
fn shutdown_gives_the_place_in_the_queue_back() {
    let mut waiting = election();
    feed(&mut waiting, now(0), [Input::SessionStarted, behind("c-7"), Input::Awaiting]);
    assert_eq!(feed(&mut waiting, now(0), [Input::Shutdown]), [Action::Release { term: None }]);
    assert_eq!(feed(&mut waiting, now(0), [Input::Released]), [Action::Finish]);

    let mut electing = electing();
    assert_eq!(feed(&mut electing, now(0), [Input::Shutdown]), []);
    let actions = feed(&mut electing, now(0), [Input::Elected(term(2))]);
    assert_eq!(actions, [Action::AnnounceElected(term(2)), Action::Release { term: Some(term(2)) }]);

    assert_eq!(feed(&mut election(), now(0), [Input::Shutdown]), [Action::Finish]);
}

#[test]
fn shutdown_does_not_outwait_the_lease_when_nothing_is_answered() {
    let mut waiting = election();
    feed(&mut waiting, now(0), [Input::SessionStarted, behind("c-7"), Input::Awaiting, Input::Shutdown]);
    assert_eq!(waiting.wake_at(at(10_000)), Some(at(10_000)));
    let over = Now { time: at(10_000), deadline: at(10_000) };
    assert_eq!(feed(&mut waiting, over, [Input::Timer]), [Action::Finish]);
}

#[test]
fn whoever_stands_before_the_appointed_successor_steps_back() {
    let mut election = election();
    let queue = Queue { ahead: Some(0), predecessor: None, appointed: true, record: record(1, true) };
    let actions = feed(&mut election, now(0), [Input::SessionStarted, Input::Looked(queue)]);
    assert_eq!(actions, [Action::StepBack]);
    assert_eq!(feed(&mut election, now(0), [Input::Joined]), [Action::Look]);
}

#[test]
fn whoever_may_have_been_elected_gives_that_back_before_it_steps_back() {
    let mut election = electing();
    feed(&mut election, now(0), [Input::Failed]);
    let queue = Queue { ahead: Some(0), predecessor: None, appointed: true, record: record(1, true) };
    let actions = feed(&mut election, now(1_000), [Input::Timer, Input::Looked(queue)]);
    assert_eq!(actions, [Action::Release { term: None }]);
}
