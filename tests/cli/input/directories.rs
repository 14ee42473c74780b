//! Granted directories, and files with secrets: some are refused, and of some the user is warned.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, ensure};
use soloist_tests::build;
use soloist_tests::deployment::Signer;
use tempfile::TempDir;

use super::case::{GOOD, Input, refused, soloist};

/// A warning names a secret or an identity that every user can read, and a plugin that could open files and has no
/// directory. Nothing else is warned of.
#[test]
fn what_deserves_a_word_is_said_before_anything_begins() -> Result<()> {
    let directory = TempDir::new()?;
    let path = |name: &str| directory.path().join(name);
    for name in ["identity", "secret"] {
        fs::write(path(name), "digest:a:b")?;
    }
    fs::write(path("good.wat"), GOOD)?;
    let secret = format!("--secret=KEY={}", path("secret").display());
    let identity = format!("--auth-file={}", path("identity").display());
    let told = |plugin: &Path| {
        let output = soloist(&[
            "check",
            &plugin.to_string_lossy(),
            &secret,
            &identity,
            "--acl=creator",
            "--allow-tcp=",
            "--allow-state",
        ])?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stderr)?)
    };
    let opened = |right| -> Result<()> {
        for place in [directory.path(), &path("identity"), &path("secret")] {
            fs::set_permissions(place, Permissions::from_mode(right))?;
        }
        Ok(())
    };
    opened(0o700)?;
    let warnings = told(&path("good.wat"))?;
    ensure!(
        !warnings.contains("every user") && !warnings.contains("open files"),
        "{warnings}"
    );
    opened(0o755)?;
    let warnings = told(&path("good.wat"))?;
    for what in [
        "the identity: every user",
        "task good: the secret KEY: every user",
        "chmod o-r",
    ] {
        ensure!(
            warnings.contains(what),
            "{what:?} is missing in: {warnings}"
        );
    }
    opened(0o700)?;
    let warnings = told(&build::artifacts()?.guest("misbehave"))?;
    ensure!(
        warnings.contains("it can open files") && !warnings.contains("every user"),
        "{warnings}"
    );
    Ok(())
}

/// A directory that the plugin would see at a place that is none.
#[test]
fn a_directory_without_a_slash() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    refused(
        &["check", good.path(), "--allow-dir", "/etc:data"],
        &["--allow-dir", "AS begins with a slash"],
    )
}

/// A directory in one that another task may write to, or that a link there leads to; two tasks can share one.
#[test]
fn a_directory_that_another_task_decides_about() -> Result<()> {
    let place = TempDir::new()?;
    let path = |name: &str| place.path().join(name).display().to_string();
    for name in ["n/sub", "target"] {
        fs::create_dir_all(path(name))?;
    }
    std::os::unix::fs::symlink("../target", path("n/link"))?;
    let tasks = |inner: &str| {
        let task = |name, more: &str| {
            format!(
                "[[task]]\nname = {name:?}\nplugin = \"good.wat\"\nallow.dirs = [{{ {more} }}]\n"
            )
        };
        let (inner, outer) = (
            format!("host = {:?}, guest = \"/s\"", path(inner)),
            format!("host = {:?}, guest = \"/n\"", path("n")),
        );
        [
            task("inner", &inner),
            task("outer", &format!("{outer}, mode = \"write\"")),
        ]
        .concat()
    };
    for inner in ["n/sub", "n/link"] {
        let named = format!("{} leads through {},", path(inner), path("n"));
        Input::new("soloist.toml", tasks(inner))?.refused(&["task inner", &named])?;
    }
    let shared = Input::new("soloist.toml", tasks("n"))?;
    let output = soloist(&["check", shared.path()])?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// A directory to write that holds what the host reads: a secret, the identity, a plugin, also by way of a link.
#[test]
fn a_directory_with_what_the_host_reads() -> Result<()> {
    let place = TempDir::new()?;
    let path = |name: &str| place.path().join(name).display().to_string();
    for name in ["secret", "identity", "plugin", "link", "data"] {
        fs::create_dir(path(name))?;
        fs::write(path(&format!("{name}/file.wat")), GOOD)?;
    }
    fs::write(path("identity/file.wat"), "digest:a:b")?;
    std::os::unix::fs::symlink("../secret/file.wat", path("link/file"))?;
    let secret = format!("--secret=KEY={}", path("link/file"));
    let identity = format!("--auth-file={}", path("identity/file.wat"));
    let plugin = path("plugin/file.wat");
    let args = |directory: &str| {
        let allow = format!("--allow-dir={}:/data:write", path(directory));
        [secret.clone(), identity.clone(), allow]
    };
    for directory in ["secret", "identity", "plugin", "link"] {
        let args = args(directory);
        let [secret, identity, allow] = args.each_ref().map(String::as_str);
        let words = [&*path(directory), "this host reads"];
        refused(
            &["check", &plugin, "--acl=creator", secret, identity, allow],
            &words,
        )?;
    }
    let [secret, identity, allow] = args("data");
    let output = soloist(&[
        "check",
        &plugin,
        "--acl=creator",
        &secret,
        &identity,
        &allow,
    ])?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{message}");
    Ok(())
}

/// A directory to write that holds the key of those who may deploy: whoever writes there could deploy.
#[test]
fn a_directory_with_the_key_of_who_may_deploy() -> Result<()> {
    let place = TempDir::new()?;
    let path = |name: &str| place.path().join(name).display().to_string();
    for name in ["keys", "data", "configuration", "kept"] {
        fs::create_dir(path(name))?;
    }
    fs::write(path("keys/ops.pub"), Signer::new()?.key)?;
    fs::write(path("good.wat"), GOOD)?;
    let config = path("configuration/soloist.toml");
    let configured = |directory: &str| -> Result<()> {
        let (plugin, granted) = (path("good.wat"), path(directory));
        let text = format!(
            "[deploy]\nenabled = true\nkeys = [{{ file = \"../keys/ops.pub\" }}]\ntasks = [\"*\"]\ndirectory = {:?}\n\
             [[task]]\nname = \"a\"\nplugin = {plugin:?}\n[task.allow]\n\
             dirs = [{{ host = {granted:?}, guest = \"/data\", mode = \"write\" }}]\n",
            path("kept")
        );
        Ok(fs::write(&config, text)?)
    };
    configured("keys")?;
    refused(
        &["check", &config],
        &[&*path("keys"), "this host reads", "ops.pub"],
    )?;
    configured("data")?;
    let output = soloist(&["check", &config])?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{message}");
    Ok(())
}

/// A directory to write that holds the tokens of the listener: whoever writes there could give orders.
#[test]
fn a_directory_with_the_tokens_of_the_listener() -> Result<()> {
    let place = TempDir::new()?;
    let path = |name: &str| place.path().join(name).display().to_string();
    for name in ["read", "orders", "data"] {
        fs::create_dir(path(name))?;
        fs::write(
            path(&format!("{name}/token")),
            format!("a-token-for-{name}-of-the-host"),
        )?;
    }
    fs::write(path("good.wat"), GOOD)?;
    let config = path("soloist.toml");
    let configured = |directory: &str| -> Result<()> {
        let granted = path(directory);
        let text = format!(
            "listen = \"127.0.0.1:9464\"\nlisten_token_file = \"read/token\"\nlisten_admin_token_file = \"orders/token\"\n\
             [[task]]\nname = \"a\"\nplugin = \"good.wat\"\n[task.allow]\n\
             dirs = [{{ host = {granted:?}, guest = \"/data\", mode = \"write\" }}]\n"
        );
        Ok(fs::write(&config, text)?)
    };
    for directory in ["read", "orders"] {
        configured(directory)?;
        let words = [&*path(directory), "this host reads", "token"];
        refused(&["check", &config], &words)?;
    }
    configured("data")?;
    let output = soloist(&["check", &config])?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{message}");
    Ok(())
}

/// A directory whose path leads elsewhere: `check` says where, and warns if other users decide that.
#[test]
fn a_directory_by_way_of_a_link() -> Result<()> {
    let place = TempDir::new()?;
    let place = fs::canonicalize(place.path())?;
    let path = |name: &str| place.join(name).display().to_string();
    fs::create_dir_all(path("real/data"))?;
    std::os::unix::fs::symlink("real", path("link"))?;
    let good = Input::new("good.wat", GOOD)?;
    let check = |name: &str| -> Result<(String, String)> {
        let allow = format!("--allow-dir={}:/data", path(name));
        let output = soloist(&["check", good.path(), &allow])?;
        let [said, warned] = [output.stdout, output.stderr].map(String::from_utf8);
        Ok((said?, warned?))
    };
    let (said, warned) = check("link/data")?;
    ensure!(
        said.contains(&format!("(leads to {})", path("real/data"))),
        "{said}"
    );
    ensure!(!warned.contains("other users"), "{warned}");
    let (said, _) = check("real/data")?;
    ensure!(!said.contains("leads to"), "{said}");
    fs::set_permissions(path("real"), Permissions::from_mode(0o777))?;
    let (_, warned) = check("link/data")?;
    let expected = format!(
        "other users of this machine decide where the path of the granted directory {}",
        path("link/data")
    );
    ensure!(warned.contains(&expected), "{warned}");
    Ok(())
}

/// A host whose disk is not mounted must not begin anew, and accept old generations again; nor where others can put them back.
#[test]
fn a_host_that_takes_deployed_tasks_does_not_start_without_what_it_has_accepted() -> Result<()> {
    let directory = TempDir::new()?;
    let kept = directory.path().join("kept");
    let config = format!(
        "[zookeeper]\nauth = \"digest:a:b\"\nacl = \"creator\"\n[deploy]\nenabled = true\nunsigned = true\n\
         tasks = [\"*\"]\nsources = [\"ensemble:\"]\ndirectory = \"{}\"\n",
        kept.display()
    );
    let config = Input::new("soloist.toml", config)?;
    let run = ["run", config.path(), "--on-death=restart"];
    refused(&run, &["cannot take deployed tasks", "kept/accepted"])?;
    fs::create_dir_all(kept.join("accepted"))?;
    fs::set_permissions(kept.join("accepted"), Permissions::from_mode(0o777))?;
    refused(&run, &["others can write to", "chmod go-w"])
}
