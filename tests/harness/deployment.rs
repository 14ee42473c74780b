//! Deployed tasks: signs manifests with the real tool, and writes what an operator's command writes.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use soloist_core::digest::Digest;
use soloist_core::records::{Changed, Envelope, Generation, RolloutRecord, TaskPaths};
use soloist_core::rollout;
use tempfile::TempDir;
use zookeeper_client::{Acl, Acls, AuthId, Client, CreateMode, Error, Permission};

use crate::client;

/// Where everything lies.
pub const ROOT: &str = "/soloist";

/// Somebody who signs manifests.
#[derive(Debug)]
pub struct Signer {
    directory: TempDir,
    /// The public key.
    pub key: String,
}

impl Signer {
    /// Somebody with a new key.
    pub fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        minisign(directory.path(), &["-G", "-W", "-p", "pub", "-s", "key"])?;
        let public = std::fs::read_to_string(directory.path().join("pub"))?;
        let key = public.lines().nth(1).context("no key")?.to_owned();
        Ok(Self { directory, key })
    }

    /// The signature of a text.
    pub fn sign(&self, text: &str) -> Result<String> {
        let file = |name: &str| self.directory.path().join(name);
        let digest = Digest::of(text.as_bytes()).to_string();
        let (manifest, signature) = (format!("{digest}.json"), format!("{digest}.sig"));
        std::fs::write(file(&manifest), text)?;
        let arguments = ["-S", "-s", "key", "-m", &manifest, "-x", &signature];
        minisign(self.directory.path(), &arguments)?;
        Ok(std::fs::read_to_string(file(&signature))?)
    }
}

fn minisign(directory: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("minisign")
        .args(arguments)
        .current_dir(directory)
        .output()
        .context("minisign: `make setup` installs it")?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}

/// A task that is deployed again and again by an operator.
#[derive(Debug)]
pub struct Deployment {
    client: Client,
    /// Where its nodes are.
    pub paths: TaskPaths,
    root: String,
    task: String,
    signers: Vec<Signer>,
    acl: Vec<Acl>,
}

impl Deployment {
    /// A task of which nothing is deployed yet.
    pub fn new(client: Client, task: &str, signers: Vec<Signer>) -> Self {
        Self::below(ROOT, client, task, signers)
    }

    /// The same below another root.
    pub fn below(root: &str, client: Client, task: &str, signers: Vec<Signer>) -> Self {
        Self {
            client,
            paths: TaskPaths::new(root, task, None),
            root: root.to_owned(),
            task: task.to_owned(),
            signers,
            acl: vec![Acl::new(Permission::ALL, AuthId::anyone())],
        }
    }

    /// The same, with another ACL for what is written from here on.
    #[must_use]
    pub fn writing_as(self, acl: Vec<Acl>) -> Self {
        Self { acl, ..self }
    }

    /// The operator's session.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The `[deploy]` of a host that takes it, and keeps what it keeps in `directory`, which is made.
    pub fn taken_by(&self, directory: &Path, allow: &str) -> Result<String> {
        std::fs::create_dir_all(directory)?;
        let keys: Vec<_> = self.signers.iter().map(|signer| &signer.key).collect();
        let trusted = if keys.is_empty() {
            "unsigned = true".to_owned()
        } else {
            format!("keys = {keys:?}\nrequire = {}", keys.len())
        };
        let (task, directory) = (&self.task, directory.display().to_string());
        Ok(format!(
            "[deploy]\nenabled = true\n{trusted}\ntasks = [{task:?}]\n\
             sources = [\"ensemble:\", \"file:///\"]\ndirectory = {directory:?}\n[deploy.allow]\n{allow}\n"
        ))
    }

    /// The record, with the version of its node.
    pub async fn record(&self) -> Result<Option<(RolloutRecord, i32)>> {
        // The server at hand may not have heard of what a host has just said.
        self.client.sync("/").await?;
        match self.client.get_data(&self.paths.manifest).await {
            Ok((data, stat)) => Ok(Some((RolloutRecord::decode(&data)?, stat.version))),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The text of the next manifest: that of this plugin, with these keys of the task and of the manifest in the place of
    /// the usual ones.
    pub async fn text(&self, plugin: &Path, task: Value, manifest: Value) -> Result<String> {
        let record = self.record().await?;
        let draft = rollout::draft(record.as_ref().map(|(record, _)| record));
        let plugin = plugin.canonicalize()?;
        let mut text = json!({
            "manifest": 1,
            "generation": draft.number,
            "artefact": {
                "sha256": Digest::of(&std::fs::read(&plugin)?).to_string(),
                "source": format!("file://{}", plugin.display()),
            },
            "task": { "name": self.task },
            "healthy_after": "1s",
            "at": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            "by": "ann@ops",
        });
        if let Some(replaces) = draft.replaces {
            text["replaces"] = serde_json::to_value(replaces)?;
        }
        let put = |into: &mut Value, keys: Value| {
            for (key, value) in keys.as_object().cloned().unwrap_or_default() {
                into[key] = value;
            }
        };
        put(&mut text["task"], task);
        put(&mut text, manifest);
        Ok(serde_json::to_string_pretty(&text)?)
    }

    /// Those who sign.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// The signature of the first who signs.
    pub fn sign(&self, text: &str) -> Result<String> {
        self.signers.first().context("nobody signs")?.sign(text)
    }

    /// Signs a text with all keys, and deploys it.
    pub async fn deploy(&self, text: &str) -> Result<Generation> {
        let signers = self.signers.iter();
        let signatures = signers
            .map(|signer| signer.sign(text))
            .collect::<Result<_>>()?;
        self.deploy_signed(text, signatures).await
    }

    /// Deploys a text with these signatures, whatever they are.
    pub async fn deploy_signed(&self, text: &str, signatures: Vec<String>) -> Result<Generation> {
        let manifest: Value = serde_json::from_str(text)?;
        let envelope = Envelope::new(text.to_owned(), signatures)?;
        let generation = Generation {
            number: manifest["generation"].as_u64().context("no number")?,
            sha256: envelope.sha256(),
        };
        let replaces = serde_json::from_value(manifest["replaces"].clone())?;
        let before = self.record().await?;
        let changed = changed();
        let now = rollout::deploy(
            before.as_ref().map(|it| &it.0),
            generation,
            replaces,
            changed,
        )?;
        client::make_path(&self.client, &self.paths.generations).await?;
        let options = CreateMode::Persistent.with_acls(Acls::new(&self.acl));
        let path = self.paths.generation(generation.number);
        self.client
            .create(&path, &envelope.encode(), &options)
            .await?;
        self.write(before.map(|it| it.1), &now).await?;
        Ok(generation)
    }

    /// Writes a record over the one of that version, or creates it.
    pub async fn write(&self, over: Option<i32>, record: &RolloutRecord) -> Result<()> {
        let data = record.encode()?;
        if let Some(version) = over {
            self.client
                .set_data(&self.paths.manifest, &data, Some(version))
                .await?;
        } else {
            let options = CreateMode::Persistent.with_acls(Acls::new(&self.acl));
            let parent = soloist_core::records::manifests_path(&self.root);
            client::make_path(&self.client, &parent).await?;
            self.client
                .create(&self.paths.manifest, &data, &options)
                .await?;
        }
        Ok(())
    }

    /// Changes the record as an operator does: once more if a leader was faster.
    pub async fn change(
        &self,
        change: impl Fn(&RolloutRecord, Changed) -> Result<RolloutRecord, rollout::Refused>,
    ) -> Result<()> {
        loop {
            let (record, version) = self.record().await?.context("nothing is deployed")?;
            let changed = change(&record, changed())?;
            match self.write(Some(version), &changed).await {
                Err(error) if matches!(error.downcast_ref(), Some(Error::BadVersion)) => {}
                written => return written,
            }
        }
    }

    /// Closes the operator's session.
    pub async fn close(self) {
        client::close(self.client).await;
    }
}

fn changed() -> Changed {
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    Changed::new("ann@ops", &now)
}
