//! Flags, environment and file, as one sees them from outside: `soloist check` tells what they amount to.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

/// A directory with a configuration, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("soloist-precedence-{name}-{}", process::id()));
        fs::create_dir(&path).unwrap();
        let plugin = r#"(module (func (export "on_elected")) (func (export "on_demoted")))"#;
        fs::write(path.join("plugin.wat"), plugin).unwrap();
        let file = r#"
            zookeeper = { root = "/file", auth = "digest:user:file" }
            task = [{ name = "t", plugin = "plugin.wat" }]
        "#;
        fs::write(path.join("soloist.toml"), file).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The test has passed or failed by now.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What `soloist check` prints, and how it ends.
fn check(subject: &Path, flags: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(&soloist_tests::build::artifacts().unwrap().soloist);
    command
        .env("XDG_CACHE_HOME", subject.with_file_name("cache"))
        .current_dir(subject.parent().unwrap());
    for (name, _) in
        env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SOLOIST_"))
    {
        command.env_remove(name);
    }
    let output = command
        .arg("check")
        .arg(subject)
        .args(flags)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
    )
}

fn root(output: &(Option<i32>, String)) -> &str {
    assert_eq!(output.0, Some(0), "{}", output.1);
    let line = output
        .1
        .lines()
        .find_map(|line| line.trim().strip_prefix("root "));
    line.unwrap_or_else(|| panic!("no root in: {}", output.1))
        .trim()
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let directory = Directory::new("order");
    let (file, plugin) = (
        directory.0.join("soloist.toml"),
        directory.0.join("plugin.wat"),
    );
    let (flag, variable) = (["--root", "/flag"], [("SOLOIST_ROOT", "/variable")]);
    assert_eq!(root(&check(&file, &flag, &variable)), "/flag");
    assert_eq!(root(&check(&file, &[], &variable)), "/variable");
    assert_eq!(root(&check(&file, &[], &[])), "/file");
    assert_eq!(root(&check(&plugin, &[], &variable)), "/variable");
    assert_eq!(root(&check(&plugin, &[], &[])), "/soloist");
}

#[test]
fn a_bad_value_is_named_by_its_flag_or_its_variable() {
    let directory = Directory::new("names");
    let plugin = directory.0.join("plugin.wat");
    let (code, message) = check(
        &plugin,
        &["--tick-time", "2"],
        &[("SOLOIST_SESSION_TIMEOUT", "ten")],
    );
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("--tick-time: 2 has no unit"), "{message}");
    assert!(
        message.contains("SOLOIST_SESSION_TIMEOUT: \"ten\" is not a duration"),
        "{message}"
    );
}

#[test]
fn a_warning_is_shown_beside_the_summary() {
    let directory = Directory::new("warning");
    let plugin = directory.0.join("plugin.wat");
    let open_to_all = directory.0.join("open");
    fs::create_dir(&open_to_all).unwrap();
    fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o777)).unwrap();
    let (code, quiet) = check(&plugin, &[], &[]);
    assert_eq!(code, Some(0), "{quiet}");
    let (code, warned) = check(
        &plugin,
        &[],
        &[("XDG_CACHE_HOME", open_to_all.to_str().unwrap())],
    );
    assert_eq!(code, Some(0), "{warned}");
    let warning = warned.lines().last().unwrap_or_default();
    assert!(
        warning.contains("WARN") && warning.contains("compiled plugins are not kept"),
        "{warned}"
    );
    // Hosts are named after their process unless told otherwise.
    let after_the_host = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let (quiet, warned) = (after_the_host(&quiet), after_the_host(&warned));
    assert_eq!(quiet, warned[..warned.len() - 1], "stdout is the same");
}

#[test]
fn compiled_plugins_are_kept_where_the_user_has_a_place_for_them_and_nowhere_else() {
    let directory = Directory::new("home");
    let plugin = directory.0.join("plugin.wat");
    let there = || {
        let entries = fs::read_dir(&directory.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.collect::<std::collections::BTreeSet<_>>()
    };
    let before = there();
    let (code, output) = check(&plugin, &[], &[("XDG_CACHE_HOME", ""), ("HOME", "")]);
    assert_eq!(code, Some(0), "{output}");
    assert!(!output.contains("WARN"), "{output}");
    assert_eq!(there(), before);
    let home = directory.0.to_str().unwrap();
    assert_eq!(
        check(&plugin, &[], &[("XDG_CACHE_HOME", ""), ("HOME", home)]).0,
        Some(0)
    );
    assert!(directory.0.join(".cache/soloist").is_dir(), "{:?}", there());
}

#[test]
fn an_identity_comes_from_the_best_place_and_is_never_told() {
    let directory = Directory::new("identity");
    let file = directory.0.join("soloist.toml");
    fs::write(directory.0.join("identity"), "digest:user:secret\n").unwrap();
    let identity = directory.0.join("identity");
    let identity = identity.to_str().unwrap();
    let bad = [("SOLOIST_ZOOKEEPER_AUTH", "secret")];
    let (code, message) = check(&file, &[], &bad);
    assert_eq!(
        code,
        Some(2),
        "the variable counts, not the file: {message}"
    );
    assert!(
        message.contains("SOLOIST_ZOOKEEPER_AUTH: not an identity") && !message.contains("secret"),
        "{message}"
    );
    let (code, message) = check(&file, &["--auth-file", identity], &bad);
    assert_eq!(
        code,
        Some(0),
        "the flag counts, not the variable: {message}"
    );
    assert!(!message.contains("secret"), "{message}");
    let both = [
        ("SOLOIST_ZOOKEEPER_AUTH", "digest:user:secret"),
        ("SOLOIST_AUTH_FILE", identity),
    ];
    let (code, message) = check(&file, &[], &both);
    assert_eq!(code, Some(2), "two variables say the same thing: {message}");
    assert!(
        message.contains("SOLOIST_AUTH_FILE: an identity is given twice"),
        "{message}"
    );
}
