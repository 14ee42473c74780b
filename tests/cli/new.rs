//! `soloist new`: a project is there as a whole, or nothing of it.

use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use soloist_tests::build;
use soloist_tests::project::{Project, cargo, soloist};
use soloist_tests::tools::run;
use tempfile::TempDir;

/// Expects exit code 2, all of `words` in the message, and nothing new in the folder.
fn refused(place: &Path, args: &[&str], words: &[&str]) -> Result<()> {
    let entries = || Ok::<_, anyhow::Error>(fs::read_dir(place)?.count());
    let before = entries()?;
    let output = soloist(place, &[&["new"], args].concat())?;
    told(&output, 2, words)?;
    ensure!(entries()? == before, "{args:?} left something");
    Ok(())
}

fn told(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code),
        "{}: {message}",
        output.status
    );
    for word in words {
        ensure!(message.contains(word), "{word:?} is not in: {message}");
    }
    ensure!(!message.contains("panicked"), "{message}");
    Ok(())
}

// Each combination is made, built, and tested as its README says, and a host takes its configuration. `tests/sandbox` has each of
// them lead a term. Those of one language share what they are built of.

#[test]
fn every_project_in_rust_builds_and_passes_its_test() -> Result<()> {
    every_project("rust", &["hello", "cron", "worker"])
}

#[test]
fn every_project_in_python_builds_and_passes_its_test() -> Result<()> {
    every_project("python", &["hello", "worker"])
}

#[test]
fn every_project_in_c_builds_and_passes_its_test() -> Result<()> {
    every_project("c", &["hello", "worker"])
}

#[test]
fn every_project_in_javascript_or_text_builds_and_passes_its_test() -> Result<()> {
    every_project("js", &["hello"])?;
    every_project("wat", &["hello"])
}

fn every_project(lang: &str, templates: &[&str]) -> Result<()> {
    for template in templates {
        let project = Project::new(
            &format!("new-{template}"),
            &["--lang", lang, "--template", template],
        )?;
        if lang == "python" {
            run("python3", project.folder(), &["-m", "unittest", "--quiet"])?;
        }
        if !project.find_tools(lang)? {
            continue;
        }
        if lang == "js" {
            run("npm", project.folder(), &["test"])?;
        }
        let said = project.build()?;
        ensure!(said.contains("size") && said.contains("sha256"), "{said}");
        ensure!(project.plugin()?.is_file(), "{said}");
        if lang == "rust" {
            let said = cargo(project.folder(), &["test", "--quiet"])?;
            ensure!(said.contains("1 passed"), "{said}");
            let said = cargo(project.folder(), &["fmt", "--check"])?;
            ensure!(said.is_empty(), "{said}");
        }
        let checked = soloist(project.folder(), &["check", "soloist.toml"])?;
        told(&checked, 0, &[])?;
        let remarks = String::from_utf8_lossy(&checked.stderr);
        ensure!(!remarks.contains("WARN"), "{lang}: {remarks}");
        lives(&project, lang, template)?;
        let readme = fs::read_to_string(project.folder().join("README.md"))?;
        ensure!(readme.starts_with("# new-"), "{readme}");
    }
    Ok(())
}

/// What breaks the plugin of a project: a text in a file, and what stands there instead.
fn broken(lang: &str, template: &str) -> (&'static str, &'static str, &'static str) {
    match (lang, template) {
        ("rust", "hello") => ("src/lib.rs", "hello from", "goodbye from"),
        ("rust", "cron") => ("src/lib.rs", "*/10", "*/20"),
        ("rust", _) => ("src/lib.rs", "done.advance(item).await?", "drop(item)"),
        ("python", "hello") => ("work.py", "hello from", "goodbye from"),
        ("python", _) => ("app.py", "await state.set(", "print("),
        ("c", "hello") => ("plugin.c", "hello from", "goodbye from"),
        ("c", _) => ("plugin.c", "state_set(\"done\"", "state_set(\"gone\""),
        ("js", _) => ("work.js", "hello from", "goodbye from"),
        _ => ("plugin.wat", "(param $term i64)", "unreachable"),
    }
}

/// `soloist test` goes through the life that the project comes with, and fails once the plugin is broken.
fn lives(project: &Project, lang: &str, template: &str) -> Result<()> {
    let lived = soloist(project.folder(), &["test"])?;
    let said = String::from_utf8_lossy(&lived.stdout);
    ensure!(
        said.starts_with("ok tests/failover.toml: 2 terms"),
        "{lang} {template}: {said}"
    );
    told(&lived, 0, &[])?;
    let (path, right, wrong) = broken(lang, template);
    let path = project.folder().join(path);
    let text = fs::read_to_string(&path)?;
    ensure!(text.contains(right), "{lang} {template}: {text}");
    fs::write(&path, text.replacen(right, wrong, 1))?;
    let lived = soloist(project.folder(), &["test"])?;
    told(&lived, 1, &[])?;
    let said = String::from_utf8_lossy(&lived.stdout);
    ensure!(
        said.starts_with("FAILED tests/failover.toml"),
        "{lang} {template}: {said}"
    );
    Ok(())
}

#[test]
fn the_javascript_of_the_guide_is_explored_without_a_finding() -> Result<()> {
    guide_is_explored("js", "plugin.js")
}

#[test]
fn the_python_of_the_guide_is_explored_without_a_finding() -> Result<()> {
    guide_is_explored("python", "app.py")
}

/// A reader of `guest-sdk/README.md` who has taken its plugin in that language and its script. (`tests/sandbox` has its Rust.)
fn guide_is_explored(lang: &str, plugin: &str) -> Result<()> {
    let readme = fs::read_to_string(build::workspace().join("guest-sdk/README.md"))?;
    let block = |fence: &str, number: usize| {
        let block = readme
            .split(&format!("```{fence}\n"))
            .nth(number)
            .and_then(|rest| rest.split("```").next());
        block.with_context(|| format!("the README has no {fence}"))
    };
    let project = Project::new("greeter", &["--lang", lang])?;
    if !project.find_tools(lang)? {
        return Ok(());
    }
    fs::write(project.folder().join(plugin), block(lang, 1)?)?;
    let script = project.folder().join("tests/failover.toml");
    fs::write(script, block("toml", 2)?)?;
    let lived = soloist(project.folder(), &["test", "--explore"])?;
    let said = String::from_utf8_lossy(&lived.stdout);
    ensure!(
        said.starts_with("ok ") && said.contains("; 0 findings"),
        "{said}"
    );
    told(&lived, 0, &[])
}

#[test]
fn a_plugin_that_sleeps_as_a_thread_is_told_by_the_linter() -> Result<()> {
    let project = Project::new("sleepy", &[])?;
    let source = project.folder().join("src/lib.rs");
    let text = fs::read_to_string(&source)?;
    cargo(
        project.folder(),
        &["clippy", "--quiet", "--", "--deny", "warnings"],
    )?;
    let sleeps = text.replace(
        "        Ok(())",
        "        std::thread::sleep(std::time::Duration::from_secs(1));\n        Ok(())",
    );
    ensure!(sleeps != text, "{text}");
    fs::write(&source, sleeps)?;
    let error = cargo(
        project.folder(),
        &["clippy", "--quiet", "--", "--deny", "warnings"],
    );
    let error = error
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    ensure!(error.contains("soloist_sdk::sleep"), "{error:?}");
    Ok(())
}

#[test]
fn the_sdk_can_be_a_checkout_its_crate_or_a_repository() -> Result<()> {
    let checkout = build::workspace().display().to_string();
    let folder = format!("{checkout}/guest-sdk");
    let path = format!("soloist-sdk = {{ path = \"{folder}\" }}");
    for (sdk, line) in [
        (&*checkout, &*path),
        (&*folder, &*path),
        (
            "https://example.com/soloist.git",
            "soloist-sdk = { git = \"https://example.com/soloist.git\" }",
        ),
    ] {
        let project = Project::new("task", &["--sdk", sdk])?;
        let text = fs::read_to_string(project.folder().join("Cargo.toml"))?;
        ensure!(text.contains(line), "{text}");
    }
    Ok(())
}

/// What would be published builds a plugin, far from this repository: the contract lies within the crate.
#[test]
fn the_sdk_builds_plugins_outside_of_this_repository() -> Result<()> {
    let target = build::target()?.join("package");
    let args = [
        "package",
        "--package",
        "soloist-sdk",
        "--allow-dirty",
        "--no-verify",
        "--quiet",
    ];
    let directory = target.display().to_string();
    cargo(
        build::workspace(),
        &[&args[..], &["--target-dir", &directory]].concat(),
    )?;
    let name = format!("soloist-sdk-{}", env!("CARGO_PKG_VERSION"));
    let archive = target
        .join("package")
        .join(&name)
        .with_added_extension("crate");
    let place = TempDir::new()?;
    run(
        "tar",
        place.path(),
        &["-xzf", &archive.display().to_string()],
    )?;
    let sdk = place.path().join(name);
    ensure!(sdk.join("wit/plugin.wit").is_file());
    let project = Project::new("far", &["--sdk", &sdk.display().to_string()])?;
    let said = project.build()?;
    ensure!(said.contains("soloist:plugin/leadership"), "{said}");
    Ok(())
}

#[test]
fn the_usual_mistakes() -> Result<()> {
    let place = TempDir::new()?;
    let place = place.path();
    fs::create_dir_all(place.join("full/src"))?;
    fs::write(place.join("file"), "")?;
    refused(place, &[], &["NAME", "Usage"])?;
    refused(place, &["full"], &["full is there already", "empty folder"])?;
    refused(place, &["file"], &["file is there already"])?;
    refused(
        place,
        &["no/such/task"],
        &["no folder no/such", "make that first"],
    )?;
    refused(place, &["file/task"], &["no folder file"])?;
    refused(
        place,
        &["Hello World"],
        &["\"Hello World\"", "small letters"],
    )?;
    refused(place, &["test"], &["something else to Rust"])?;
    refused(place, &["."], &["\".\" is not the name"])?;
    refused(place, &[""], &["NAME"])?;
    refused(place, &["a\u{202e}b"], &["\\u{202e}"])?;
    refused(
        place,
        &["task", "--lang", "cobol"],
        &["cobol", "rust", "wat"],
    )?;
    refused(place, &["task", "--template", "helo"], &["helo", "hello"])?;
    refused(
        place,
        &["task", "--lang=wat", "--template=worker"],
        &["no template worker for wat"],
    )?;
    for lang in ["python", "c", "js", "wat"] {
        let lang = format!("--lang={lang}");
        let words = ["no template cron for", "--lang rust"];
        refused(place, &["task", &lang, "--template=cron"], &words)?;
    }
    refused(
        place,
        &["task", "--lang=js", "--template=worker"],
        &["no template worker for js", "--lang rust"],
    )?;
    refused(
        place,
        &["task", "--lang=wat", "--sdk=/"],
        &["--sdk", "only Rust"],
    )?;
    refused(
        place,
        &["task", "--sdk", "/nowhere"],
        &["--sdk", "/nowhere", "checkout"],
    )?;
    refused(place, &["task", "--sdk", "full"], &["full holds neither"])?;
    refused(place, &["task", "--sdk", "git@host:a/b"], &["ssh://"])?;
    refused(place, &["task", "more"], &["'more'"])
}

/// Even the superuser writes nothing there.
#[test]
fn a_place_that_cannot_be_written_to() -> Result<()> {
    let output = soloist(Path::new("/proc"), &["new", "task"])?;
    told(&output, 1, &["cannot write"])
}
