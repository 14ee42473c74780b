//! Tests that need a process of their own.

use std::any::type_name;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Tells a process that it was started for one test.
const MARK: &str = "SOLOIST_TEST_APART";

/// Whether this process was started for one test.
pub(crate) fn is_apart() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs the closure in a process of its own, which the shell has prepared: that process is this program again, and runs
/// the test that calls this, and no other. One such process runs at a time, since some need much memory.
pub(crate) fn apart<T: FnOnce()>(preparation: &str, test: T) {
    static TURN: Mutex<()> = Mutex::new(());
    if is_apart() {
        return test();
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // Rust names a closure after the function around it: `program::module::test::{{closure}}`.
    let name = type_name::<T>().trim_end_matches("::{{closure}}");
    let (_program, name) = name.split_once("::").expect("a test lies in a program");
    let output = Command::new("sh")
        .args(["-c", &format!(r#"{preparation} && exec "$0" "$@""#)])
        .arg(std::env::current_exe().expect("a test has an executable"))
        .args(["--exact", name])
        .env(MARK, "1")
        .output()
        .expect("a test can be run");
    let told = String::from_utf8_lossy(&output.stdout);
    let ran = output.status.success() && told.contains("test result: ok. 1 passed;");
    assert!(
        ran,
        "{name}: {}\n{told}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
