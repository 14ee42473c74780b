//! The files of a project. Nothing here is written.

use super::{Language, Project, Template};

/// A file of a project: its path in there, and what stands in it.
pub(super) type File = (&'static str, String);

/// A template as it lies in this crate: the path in the project, and the text with placeholders.
type Raw = (&'static str, &'static str);

const RUST: [Raw; 4] = [
    (
        "Cargo.toml",
        include_str!("../../templates/rust/Cargo.toml.in"),
    ),
    (
        "clippy.toml",
        include_str!("../../templates/rust/clippy.toml"),
    ),
    (".gitignore", include_str!("../../templates/rust/gitignore")),
    ("README.md", include_str!("../../templates/rust/README.in")),
];

const RUST_HELLO: [Raw; 4] = [
    (
        "src/lib.rs",
        include_str!("../../templates/rust-hello/lib.rs"),
    ),
    (
        "src/tests.rs",
        include_str!("../../templates/rust-hello/tests.rs"),
    ),
    ("soloist.toml", include_str!("../../templates/soloist.toml")),
    HELLO_TEST,
];

const RUST_WORKER: [Raw; 4] = [
    (
        "src/lib.rs",
        include_str!("../../templates/rust-worker/lib.rs"),
    ),
    (
        "src/tests.rs",
        include_str!("../../templates/rust-worker/tests.rs"),
    ),
    (
        "soloist.toml",
        include_str!("../../templates/with-state.toml"),
    ),
    WORKER_TEST,
];

const RUST_CRON: [Raw; 4] = [
    (
        "src/lib.rs",
        include_str!("../../templates/rust-cron/lib.rs"),
    ),
    (
        "src/tests.rs",
        include_str!("../../templates/rust-cron/tests.rs"),
    ),
    (
        "soloist.toml",
        include_str!("../../templates/with-state.toml"),
    ),
    CRON_TEST,
];

/// What `soloist test` goes through.
const SCRIPT: &str = "tests/failover.toml";

const HELLO_TEST: Raw = (SCRIPT, include_str!("../../templates/tests/hello.toml"));
const SILENT_TEST: Raw = (SCRIPT, include_str!("../../templates/tests/silent.toml"));
const WORKER_TEST: Raw = (SCRIPT, include_str!("../../templates/tests/worker.toml"));
const CRON_TEST: Raw = (SCRIPT, include_str!("../../templates/tests/cron.toml"));

/// The contract, for those tools that read it.
const WIT: [Raw; 6] = [
    (
        "wit/schedule.wit",
        include_str!("../../../../guest-sdk/wit/schedule.wit"),
    ),
    (
        "wit/plugin.wit",
        include_str!("../../../../guest-sdk/wit/plugin.wit"),
    ),
    (
        "wit/minimal.wit",
        include_str!("../../../../guest-sdk/wit/minimal.wit"),
    ),
    (
        "wit/deps/clocks.wit",
        include_str!("../../../../guest-sdk/wit/deps/clocks.wit"),
    ),
    (
        "wit/deps/config.wit",
        include_str!("../../../../guest-sdk/wit/deps/config.wit"),
    ),
    (
        "wit/deps/http.wit",
        include_str!("../../../../guest-sdk/wit/deps/http.wit"),
    ),
];

const PYTHON: [Raw; 4] = [
    (
        "README.md",
        include_str!("../../templates/python/README.in"),
    ),
    (
        ".gitignore",
        include_str!("../../templates/python/gitignore"),
    ),
    (
        "soloist.toml",
        include_str!("../../templates/python/soloist.toml"),
    ),
    (
        "soloist.py",
        include_str!("../../../../guest-sdk/python/soloist.py"),
    ),
];

const PYTHON_HELLO: [Raw; 4] = [
    (
        "app.py",
        include_str!("../../templates/python-hello/app.py"),
    ),
    (
        "work.py",
        include_str!("../../templates/python-hello/work.py"),
    ),
    (
        "test_work.py",
        include_str!("../../templates/python-hello/test_work.py"),
    ),
    HELLO_TEST,
];

const PYTHON_WORKER: [Raw; 4] = [
    (
        "app.py",
        include_str!("../../templates/python-worker/app.py"),
    ),
    (
        "work.py",
        include_str!("../../templates/python-worker/work.py"),
    ),
    (
        "test_work.py",
        include_str!("../../templates/python-worker/test_work.py"),
    ),
    WORKER_TEST,
];

const C: [Raw; 3] = [
    ("README.md", include_str!("../../templates/c/README.in")),
    (".gitignore", include_str!("../../templates/c/gitignore")),
    (
        "soloist.h",
        include_str!("../../../../guest-sdk/c/soloist.h"),
    ),
];

const C_HELLO: [Raw; 3] = [
    ("plugin.c", include_str!("../../templates/c-hello/plugin.c")),
    ("soloist.toml", include_str!("../../templates/soloist.toml")),
    HELLO_TEST,
];

const C_WORKER: [Raw; 3] = [
    (
        "plugin.c",
        include_str!("../../templates/c-worker/plugin.c"),
    ),
    (
        "soloist.toml",
        include_str!("../../templates/with-state.toml"),
    ),
    WORKER_TEST,
];

const JS_HELLO: [Raw; 8] = [
    ("README.md", include_str!("../../templates/js/README.in")),
    (".gitignore", include_str!("../../templates/js/gitignore")),
    (
        "package.json",
        include_str!("../../templates/js/package.json"),
    ),
    ("plugin.js", include_str!("../../templates/js/plugin.js")),
    ("work.js", include_str!("../../templates/js/work.js")),
    (
        "work.test.js",
        include_str!("../../templates/js/work.test.js"),
    ),
    // The tool imports all of its world, with the state.
    (
        "soloist.toml",
        include_str!("../../templates/with-state.toml"),
    ),
    HELLO_TEST,
];

const WAT_HELLO: [Raw; 5] = [
    ("plugin.wat", include_str!("../../templates/wat/plugin.wat")),
    (".gitignore", include_str!("../../templates/wat/gitignore")),
    ("README.md", include_str!("../../templates/wat/README.in")),
    ("soloist.toml", include_str!("../../templates/soloist.toml")),
    SILENT_TEST,
];

/// There is no such project, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no template {template} for {language}: {reason}", template = .template.name(), language = .language.name())]
pub struct NoTemplate {
    language: Language,
    template: Template,
    reason: &'static str,
}

/// Every file of a project, with its placeholders filled in.
pub(super) fn files(project: &Project) -> Result<Vec<File>, NoTemplate> {
    let (language, template) = (project.language, project.template);
    let refused = |reason| {
        Err(NoTemplate {
            language,
            template,
            reason,
        })
    };
    let raw = match (language, template) {
        (Language::Rust, Template::Hello) => [&RUST[..], &RUST_HELLO].concat(),
        (Language::Rust, Template::Worker) => [&RUST[..], &RUST_WORKER].concat(),
        (Language::Rust, Template::Cron) => [&RUST[..], &RUST_CRON].concat(),
        (_, Template::Cron) => {
            return refused("only the SDK of Rust makes it short; take --lang rust");
        }
        (Language::Python, Template::Hello) => [&PYTHON[..], &WIT, &PYTHON_HELLO].concat(),
        (Language::Python, Template::Worker) => [&PYTHON[..], &WIT, &PYTHON_WORKER].concat(),
        (Language::C, Template::Hello) => [&C[..], &C_HELLO].concat(),
        (Language::C, Template::Worker) => [&C[..], &C_WORKER].concat(),
        (Language::Js, Template::Hello) => [&JS_HELLO[..], &WIT].concat(),
        (Language::Js, Template::Worker) => {
            return refused("a plugin in JavaScript has nothing to wait by; take --lang rust");
        }
        (Language::Wat, Template::Hello) => WAT_HELLO.to_vec(),
        (Language::Wat, Template::Worker) => {
            return refused(
                "text has no library, and this is too much to write by hand; take --lang rust",
            );
        }
    };
    let wasm = match language {
        Language::Rust => format!(
            "target/wasm32-wasip2/release/{}.wasm",
            project.name.of_crate()
        ),
        Language::Python | Language::C | Language::Js => "plugin.wasm".to_owned(),
        Language::Wat => "plugin.wat".to_owned(),
    };
    let sdk = project.sdk.as_ref().map(ToString::to_string);
    let fill = |text: &str| {
        text.replace("{{name}}", project.name.as_ref())
            .replace("{{wasm}}", &wasm)
            .replace("{{sdk}}", sdk.as_deref().unwrap_or_default())
    };
    Ok(raw
        .into_iter()
        .map(|(path, text)| (path, fill(text)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::super::{ProjectName, Sdk};
    use super::*;

    /// All that there are.
    fn projects() -> Vec<(Project, Vec<File>)> {
        let mut all = Vec::new();
        for language in Language::ALL {
            for template in Template::ALL {
                let project = Project {
                    name: ProjectName::new("my-task").unwrap(),
                    language,
                    template,
                    sdk: Some(Sdk::Git("https://example.com/soloist.git".to_owned())),
                };
                if let Ok(files) = files(&project) {
                    all.push((project, files));
                }
            }
        }
        all
    }

    #[test]
    fn no_placeholder_is_left_and_no_path_leads_out() {
        assert!(projects().len() >= 3);
        for (project, files) in projects() {
            for (path, text) in files {
                assert!(
                    !text.contains("{{") && !text.contains("}}"),
                    "{path}: {text}"
                );
                assert!(!path.starts_with('/') && !path.contains(".."), "{path}");
                assert!(text.ends_with('\n'), "{project:?} {path}");
            }
        }
    }

    #[test]
    fn every_project_has_a_readme_a_configuration_a_test_and_what_git_leaves_out() {
        for (project, files) in projects() {
            for name in ["README.md", "soloist.toml", SCRIPT, ".gitignore"] {
                assert!(
                    files.iter().any(|(path, _)| *path == name),
                    "{project:?} {name}"
                );
            }
            let readme = files.iter().find(|(path, _)| *path == "README.md").unwrap();
            let mut blocks = readme.1.split("```");
            let commands = blocks.nth(1).unwrap().lines().skip(1);
            let commands: Vec<_> = commands
                .map(|line| line.split("  ").next().unwrap())
                .collect();
            assert_eq!(
                commands,
                ["soloist build", "soloist test", "soloist dev"],
                "{project:?}"
            );
            if let Some(once) = project.language.once() {
                assert!(readme.1.contains(once), "{project:?}");
            }
        }
    }

    /// What a toolchain reads of the contract is all of it.
    #[test]
    fn a_project_with_the_contract_has_all_of_it() {
        let contract = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk/wit");
        let mut there = 0;
        for folder in [contract.clone(), contract.join("deps")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let below = path.strip_prefix(&contract).unwrap();
                    let name = format!("wit/{}", below.display());
                    assert!(WIT.iter().any(|(path, _)| *path == name), "{name}");
                    there += 1;
                }
            }
        }
        assert!(there > 3);
    }

    #[test]
    fn the_first_plugin_has_at_most_fifteen_lines() {
        let (_, text) = RUST_HELLO[0];
        assert!(text.lines().count() <= 15, "{text}");
    }
}
