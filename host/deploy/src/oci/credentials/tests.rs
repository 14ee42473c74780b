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
