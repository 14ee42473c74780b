//! `soloist build`: what is no project, or makes no plugin, is told with the line to write.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Result, ensure};
use soloist_tests::project::soloist;
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> Result<TempDir> {
    let place = TempDir::new()?;
    for (path, text) in files {
        let path = place.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(place.path()))?;
        fs::write(path, text)?;
    }
    Ok(place)
}

/// Expects this exit code, and all of `words` in what is said.
fn ends(place: &Path, args: &[&str], code: i32, words: &[&str]) -> Result<()> {
    let output = soloist(place, &[&["build"], args].concat())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code),
        "{}: {said}",
        output.status
    );
    for word in words {
        ensure!(said.contains(word), "{word:?} is not in: {said}");
    }
    ensure!(!said.contains("panicked"), "{said}");
    Ok(())
}

const PACKAGE: &str =
    "[package]\nname = \"it\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";

const CDYLIB: &str = "[lib]\ncrate-type = [\"cdylib\"]\n";

#[test]
fn what_is_no_project_is_told() -> Result<()> {
    let place = folder(&[("notes.txt", ""), ("two/a.wat", ""), ("two/b.wat", "")])?;
    let place = place.path();
    ends(place, &[], 2, &[". is no project", "soloist new"])?;
    ends(
        place,
        &["nowhere"],
        2,
        &["cannot look into the folder nowhere"],
    )?;
    ends(
        place,
        &["notes.txt"],
        2,
        &["notes.txt is a file", "soloist inspect"],
    )?;
    ends(place, &["two"], 2, &["two has more than one .wat"])?;
    ends(place, &["two", "three"], 2, &["'three'"])?;
    ends(place, &["--realease"], 2, &["--realease"])
}

#[test]
fn a_crate_that_makes_no_plugin_is_told_what_to_write() -> Result<()> {
    let program = folder(&[("Cargo.toml", PACKAGE), ("src/main.rs", "fn main() {}")])?;
    let line = "crate-type = [\"cdylib\"]";
    ends(
        program.path(),
        &[],
        2,
        &["rename src/main.rs", "[lib]", line],
    )?;
    let library = folder(&[("Cargo.toml", PACKAGE), ("src/lib.rs", "")])?;
    ends(
        library.path(),
        &[],
        2,
        &["no file that a host can load", "[lib]", line],
    )?;
    let workspace = folder(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"a\"]\n"),
        ("a/Cargo.toml", &PACKAGE.replace("[workspace]\n", "")),
        ("a/src/lib.rs", ""),
    ])?;
    ends(workspace.path(), &[], 2, &["is a workspace", "/a"])?;
    let manifest = [PACKAGE, CDYLIB].concat();
    let nothing = folder(&[("Cargo.toml", &manifest), ("src/lib.rs", "")])?;
    ends(
        nothing.path(),
        &[],
        2,
        &["it.wasm", "does not export `on-elected`"],
    )
}

/// What `soloist new` makes needs a build, and says so wherever somebody forgets it.
#[test]
fn a_plugin_that_is_not_built_is_told_with_the_command_that_builds_it() -> Result<()> {
    let place = TempDir::new()?;
    for (lang, name) in [
        ("rust", "rusty"),
        ("c", "plain"),
        ("python", "snake"),
        ("js", "web"),
    ] {
        let made = soloist(place.path(), &["new", name, "--lang", lang])?;
        ensure!(made.status.success(), "{made:?}");
        let folder = place.path().join(name);
        let configuration = format!("{name}/soloist.toml");
        let remedy = format!("{name} is a project: `soloist build {name}` makes its plugin");
        for (at, args, words) in [
            (place.path(), ["check", &configuration], &*remedy),
            (place.path(), ["run", &configuration], &*remedy),
            (&*folder, ["check", "soloist.toml"], "`soloist build .`"),
        ] {
            let output = soloist(at, &args)?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(
                output.status.code() == Some(2) && said.contains(words),
                "{lang} {args:?}: {said}"
            );
        }
    }
    let output = soloist(place.path(), &["inspect", "plain/plugin.wasm"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains("`soloist build plain`"), "{said}");
    let output = soloist(
        place.path(),
        &["deploy", "plain/plugin.wasm", "--task", "plain"],
    )?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains("`soloist build plain`"), "{said}");
    // Elsewhere there is nothing to build.
    let output = soloist(place.path(), &["inspect", "plugin.wasm"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!said.contains("soloist build"), "{said}");
    Ok(())
}

/// The compiler's own words are shown.
#[test]
fn a_build_that_fails_ends_with_code_1() -> Result<()> {
    let manifest = [PACKAGE, CDYLIB].concat();
    let broken = folder(&[
        ("Cargo.toml", &manifest),
        ("src/lib.rs", "fn f() -> u8 { \"a\" }"),
    ])?;
    let words = ["mismatched types", "error: `cargo build --release"];
    ends(broken.path(), &[], 1, &words)?;
    let broken = folder(&[("Cargo.toml", "[package"), ("src/lib.rs", "")])?;
    ends(broken.path(), &[], 1, &["Cargo.toml", "`cargo metadata"])
}

#[test]
fn native_code_among_the_dependencies_is_named() -> Result<()> {
    let manifest = [
        PACKAGE,
        CDYLIB,
        "[dependencies]\nnative-sys = { path = \"native-sys\" }\n",
    ]
    .concat();
    let native = "[package]\nname = \"native-sys\"\nversion = \"0.1.0\"\nedition = \"2024\"\nlinks = \"native\"\n";
    let place = folder(&[
        ("Cargo.toml", &manifest),
        ("src/lib.rs", ""),
        ("native-sys/Cargo.toml", native),
        ("native-sys/src/lib.rs", ""),
        (
            "native-sys/build.rs",
            "fn main() { panic!(\"there is no libnative for wasm\") }",
        ),
    ])?;
    let words = [
        "there is no libnative for wasm",
        "native-sys is native code (native)",
        "cargo tree --target wasm32-wasip2 --invert native-sys",
    ];
    // The compiler quotes the panic of the build script.
    let output = soloist(place.path(), &["build"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{said}");
    for word in words {
        ensure!(said.contains(word), "{word:?} is not in: {said}");
    }
    Ok(())
}

#[test]
fn text_is_checked() -> Result<()> {
    let good = r#"(module (func (export "on_elected")) (func (export "on_demoted")))"#;
    let place = folder(&[("a.wat", good), ("bad/b.wat", "(module")])?;
    let output = soloist(place.path(), &["build"])?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(
        output.status.success() && said.starts_with("./a.wat\n"),
        "{said}"
    );
    ends(place.path(), &["bad"], 2, &["bad/b.wat", "mistake"])
}

/// Tools are looked for where the user has them: here there are none.
#[test]
fn a_tool_that_is_not_installed_is_told_with_what_to_install() -> Result<()> {
    let manifest = [PACKAGE, CDYLIB].concat();
    let place = folder(&[
        ("Cargo.toml", &manifest),
        ("src/lib.rs", ""),
        ("none/x", ""),
    ])?;
    let mut command = std::process::Command::new(&soloist_tests::build::artifacts()?.soloist);
    soloist_tests::host::clear_settings(&mut command);
    let output = command
        .args(["build"])
        .env("PATH", place.path().join("none"))
        .current_dir(place.path())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "{said}");
    ensure!(
        said.contains("no `cargo` here") && said.contains("https://rustup.rs"),
        "{said}"
    );
    Ok(())
}

/// npm has installed nothing, and Python's project has lost its contract.
#[test]
fn a_project_that_lacks_what_it_is_made_with_is_told_what_to_do() -> Result<()> {
    let js = folder(&[("plugin.js", ""), ("wit/minimal.wit", "")])?;
    ends(
        js.path(),
        &[],
        2,
        &["no `componentize-qjs` here", "npm install"],
    )?;
    let python = folder(&[("app.py", "")])?;
    ends(
        python.path(),
        &[],
        2,
        &["app.py or a plugin.js with the contract in wit/"],
    )
}

#[test]
fn componentize_py_is_looked_for_in_the_project_and_on_the_path() -> Result<()> {
    let place = folder(&[("app.py", ""), ("wit/plugin.wit", ""), ("none/x", "")])?;
    let run = |folder: &Path| {
        let mut command = std::process::Command::new(&soloist_tests::build::artifacts()?.soloist);
        soloist_tests::host::clear_settings(&mut command);
        let none = place.path().join("none");
        let output = command
            .arg("build")
            .env("PATH", none)
            .current_dir(folder)
            .output()?;
        Ok::<_, anyhow::Error>((output.status.code(), String::from_utf8(output.stderr)?))
    };
    let (code, said) = run(place.path())?;
    ensure!(
        code == Some(2) && said.contains("pip install componentize-py=="),
        "{said}"
    );
    let tool = place.path().join("venv/bin/componentize-py");
    fs::create_dir_all(place.path().join("venv/bin"))?;
    fs::write(&tool, "#!/bin/sh\necho 'app.py: a mistake' >&2\nexit 1\n")?;
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755))?;
    let (code, said) = run(place.path())?;
    ensure!(
        code == Some(1) && said.contains("app.py: a mistake"),
        "{said}"
    );
    ensure!(said.contains("error: `componentize-py -d wit"), "{said}");
    Ok(())
}

/// A tool of our own makes a plugin, and writes down that it did. It is run when something has changed, and not otherwise.
#[test]
fn a_plugin_in_python_is_made_again_only_if_what_it_is_made_of_has_changed() -> Result<()> {
    let plugin = soloist_tests::build::artifacts()?.guest("hello");
    let tool = format!(
        "#!/bin/sh\necho run >>venv/runs\nexec /bin/cp {} \"$8\"\n",
        plugin.display()
    );
    let package = "venv/lib/python3/site-packages/tool-1.0/tool.py";
    let place = folder(&[
        ("app.py", "import other"),
        ("other.py", ""),
        ("wit/plugin.wit", ""),
        ("venv/pyvenv.cfg", ""),
        ("venv/bin/componentize-py", &tool),
        (package, "1"),
    ])?;
    let path = |name: &str| place.path().join(name);
    fs::set_permissions(
        path("venv/bin/componentize-py"),
        fs::Permissions::from_mode(0o755),
    )?;
    let mut runs = 0;
    let mut build = |what: &str, is_new: bool| {
        let output = soloist(place.path(), &["build"])?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.success(), "{what}: {said}");
        runs += usize::from(is_new);
        let told = fs::read_to_string(path("venv/runs"))?.lines().count();
        ensure!(told == runs, "{what}: {told} runs instead of {runs}");
        ensure!(
            said.contains("plugin.wasm stays as it is") != is_new,
            "{what}: {said}"
        );
        ensure!(
            fs::read(path("plugin.wasm"))? == fs::read(&plugin)?,
            "{what}"
        );
        Ok::<_, anyhow::Error>(())
    };
    build("at first", true)?;
    build("the same", false)?;
    fs::write(path("soloist.toml"), "# for hosts")?;
    build("what no plugin is made of", false)?;
    fs::write(path("app.py"), "import other, more")?;
    build("a source", true)?;
    fs::remove_file(path("other.py"))?;
    build("a source that is gone", true)?;
    fs::write(path(package), "10")?;
    build("the tool", true)?;
    fs::write(path("plugin.wasm"), "of somebody else")?;
    build("what was made", true)?;
    fs::remove_file(path("plugin.wasm"))?;
    build("what was made is gone", true)?;
    build("the same", false)
}

/// Where clang has no C library for WASI, that is said besides its own errors. What was made before stays.
#[test]
fn a_clang_without_wasi_is_told_with_what_to_install() -> Result<()> {
    let place = folder(&[("a.c", "int x;\n"), ("plugin.wasm", "old"), ("none/x", "")])?;
    let run = || {
        let mut command = std::process::Command::new(&soloist_tests::build::artifacts()?.soloist);
        soloist_tests::host::clear_settings(&mut command);
        let path = place.path().join("none");
        let output = command
            .arg("build")
            .env("PATH", path)
            .current_dir(place.path())
            .output()?;
        Ok::<_, anyhow::Error>((output.status.code(), String::from_utf8(output.stderr)?))
    };
    let (code, said) = run()?;
    ensure!(
        code == Some(2) && said.contains("no `clang` here"),
        "{said}"
    );
    ensure!(said.contains("apt-get install clang"), "{said}");
    let tool = place.path().join("none/clang");
    fs::write(&tool, "#!/bin/sh\necho \"no such header\" >&2\nexit 1\n")?;
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755))?;
    let (code, said) = run()?;
    ensure!(code == Some(1) && said.contains("no such header"), "{said}");
    ensure!(said.contains("this clang lacks what WASI needs"), "{said}");
    ensure!(fs::read_to_string(place.path().join("plugin.wasm"))? == "old");
    ensure!(!place.path().join(".plugin.wasm.new").exists());
    Ok(())
}

/// A toolchain without the target, played by tools of our own: the target is added, and that is said before.
#[test]
fn a_target_that_is_missing_is_added_and_that_is_said() -> Result<()> {
    let manifest = [PACKAGE, CDYLIB].concat();
    let place = folder(&[
        ("Cargo.toml", &manifest),
        ("src/lib.rs", ""),
        ("bin/rustc", "#!/bin/sh\necho /nowhere/lib\n"),
        (
            "bin/rustup",
            "#!/bin/sh\necho \"ran rustup $*\" >&2\nexit 1\n",
        ),
    ])?;
    for tool in ["bin/rustc", "bin/rustup"] {
        let tool = place.path().join(tool);
        fs::set_permissions(tool, fs::Permissions::from_mode(0o755))?;
    }
    let path = std::env::var("PATH")?;
    let mut command = std::process::Command::new(&soloist_tests::build::artifacts()?.soloist);
    soloist_tests::host::clear_settings(&mut command);
    let output = command
        .args(["build"])
        .env(
            "PATH",
            format!("{}:{path}", place.path().join("bin").display()),
        )
        .env("RUSTC", "rustc")
        .current_dir(place.path())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{said}");
    let (told, ran) = (
        said.find("adding it, with `rustup target add wasm32-wasip2`"),
        said.find("ran rustup target add"),
    );
    ensure!(told.is_some() && told < ran, "{said}");
    Ok(())
}
