use tempfile::TempDir;

use super::*;

fn config(text: &str) -> (TempDir, DockerConfig) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    std::fs::write(&path, text).unwrap();
    (directory, DockerConfig { path: Some(path) })
}

fn shown(found: Option<Credentials>) -> String {
    match found {
        None => "none".to_owned(),
        Some(Credentials::Password { user, password }) => format!("{user}:{}", password.expose()),
        Some(Credentials::Identity(token)) => format!("token {}", token.expose()),
    }
}

#[test]
fn what_docker_login_has_left_is_found() {
    let auth = BASE64_STANDARD.encode("ada:pass:word");
    let (_directory, config) = config(&format!(
        r#"{{"auths": {{
            "a:5000": {{"auth": "{auth}"}},
            "https://b": {{"username": "bob", "password": "secret"}},
            "https://index.docker.io/v1/": {{"auth": "{auth}"}},
            "c": {{"identitytoken": "very-long", "auth": "{auth}"}},
            "d": {{}}
        }}, "HttpHeaders": {{"x": "y"}}}}"#
    ));
    for (registry, expected) in [
        ("a:5000", "ada:pass:word"),
        ("a", "none"),
        ("b", "bob:secret"),
        ("docker.io", "ada:pass:word"),
        ("c", "token very-long"),
        ("d", "none"),
    ] {
        assert_eq!(
            shown(config.find(registry).unwrap()),
            expected,
            "{registry}"
        );
    }
    let nowhere = DockerConfig {
        path: Some("/no/such/config.json".into()),
    };
    assert!(nowhere.find("a").unwrap().is_none());
}

#[test]
fn a_bad_configuration_is_told_without_its_secrets() {
    for text in [
        r#"{"auths": {"a": {"auth": "c2VjcmV0"}}}"#,
        r#"{"auths": {"a": {"auth": "%secret%"}}}"#,
        r#"{"auths": {"a": {"password": "secret", "username": 7}}}"#,
        r#"{"auths": secret"#,
    ] {
        let (_directory, config) = config(text);
        let error = config.find("a").unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(
            told.contains("config.json") && !told.contains("secret") && !told.contains("c2Vj"),
            "{told}"
        );
    }
}

#[test]
fn a_helper_that_could_be_any_program_is_not_run() {
    for helper in ["../../bin/sh", "", "a b", "a/b"] {
        let error = ask(helper, "a", HELPER_PATIENCE).unwrap_err();
        assert!(matches!(error, OciError::HelperFailed { .. }), "{error}");
    }
}

/// Writes helpers into a directory that a process of its own, which runs this very test, looks for them in. None in the
/// process that starts that one.
fn helpers(test: &str, programs: &[(&str, &str)]) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    const DIRECTORY: &str = "SOLOIST_TEST_DIRECTORY";
    let Some(directory) = env::var_os(DIRECTORY).map(PathBuf::from) else {
        let directory = tempfile::tempdir().unwrap();
        let mut path = vec![directory.path().to_owned()];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let told = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg(format!("oci::credentials::tests::{test}"))
            .env(DIRECTORY, directory.path())
            .env("PATH", env::join_paths(path).unwrap())
            .output()
            .unwrap();
        assert!(told.status.success(), "{told:?}");
        assert!(
            String::from_utf8_lossy(&told.stdout).contains("1 passed"),
            "{told:?}"
        );
        return None;
    };
    for (name, script) in programs {
        let program = directory.join(format!("docker-credential-{name}"));
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    Some(directory)
}

#[test]
fn a_helper_is_asked_in_the_words_of_docker() {
    let answers = r#"read -r server
        test "$1" = get || exit 3
        case $server in
            a:5000) echo '{"ServerURL": "a:5000", "Username": "ada", "Secret": "hush"}' ;;
            https://b) echo '{"Username": "<token>", "Secret": "long"}' ;;
            *) echo 'credentials not found in native keychain'; exit 1 ;;
        esac"#;
    let test = "a_helper_is_asked_in_the_words_of_docker";
    let programs = [
        ("answers", answers),
        ("unread", r#"echo '{"Username": "u", "Secret": "s"}'"#),
    ];
    if helpers(test, &programs).is_none() {
        return;
    }
    let (_directory, config) = config(
        r#"{"credsStore": "answers", "credHelpers": {"d": "unread", "e": "gone"},
            "auths": {"c": {"username": "eve", "password": "secret"}}}"#,
    );
    for (registry, expected) in [
        ("a:5000", "ada:hush"),
        ("b", "token long"),
        // The helper has none, but the file does.
        ("c", "eve:secret"),
        ("d", "u:s"),
        ("other", "none"),
    ] {
        assert_eq!(
            shown(config.find(registry).unwrap()),
            expected,
            "{registry}"
        );
    }
    let error = config.find("e").unwrap_err();
    assert!(matches!(error, OciError::Helper { .. }), "{error}");
}

#[test]
fn a_helper_that_hangs_or_floods_is_ended_with_what_it_has_started() {
    let test = "a_helper_that_hangs_or_floods_is_ended_with_what_it_has_started";
    let hangs =
        r#"sleep 100000 & echo $! > "${0%/*}/pid"; mv "${0%/*}/pid" "${0%/*}/hanging"; wait"#;
    let floods = "echo secret; exec cat /dev/zero";
    let nonsense = "echo secret";
    let programs = [("hangs", hangs), ("floods", floods), ("nonsense", nonsense)];
    let Some(directory) = helpers(test, &programs) else {
        return;
    };
    for helper in ["floods", "nonsense"] {
        let error = ask(helper, "a", Duration::from_secs(100)).unwrap_err();
        assert!(matches!(error, OciError::HelperFailed { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
    let hanging = directory.join("hanging");
    // On a busy machine the helper may take its time to begin.
    let mut patience = Duration::from_millis(100);
    while !hanging.exists() {
        patience *= 2;
        let error = ask("hangs", "a", patience).unwrap_err();
        assert!(matches!(error, OciError::HelperLate { .. }), "{error}");
        assert!(patience < Duration::from_secs(100), "it never began");
    }
    let pid = std::fs::read_to_string(hanging).unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", pid.trim()));
    let begun = std::time::Instant::now();
    // Gone, or killed and waiting for whoever adopts it.
    while std::fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ")) {
        assert!(begun.elapsed() < Duration::from_secs(100), "it goes on");
        thread::yield_now();
    }
}
