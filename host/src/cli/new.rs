//! `soloist new`: a project that builds as it stands.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use soloist_core::text::quoted;
use soloist_dev::scaffold::{Language, Project, ProjectName, Sdk, Template};

use super::Failure;
use super::output::print;

/// Where the SDK lay when this program was built. It still lies there for whoever has built it.
const BUILT_BESIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk");

/// Make a new project: a plugin that builds as it stands, with a test and a configuration to run it by
///
/// All of it is made, or nothing. A folder that is there already has to be empty.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// Folder to make; its last part names the project, its plugin and its task
    #[arg(value_name = "NAME")]
    folder: PathBuf,

    /// Language to write it in
    #[arg(long, value_name = "LANGUAGE", default_value = Language::ALL[0].name(), value_parser = language())]
    lang: Language,

    /// What it begins with: hello says so once, cron does something at times, worker notes in its state how far it is
    #[arg(long, default_value = Template::ALL[0].name(), value_parser = template())]
    template: Template,

    /// Where a project in Rust has the crate soloist-sdk from, which is not on crates.io: a checkout of Soloist, or the URL
    /// of a repository [default: the checkout that this program was built from]
    #[arg(long, value_name = "PATH|GIT-URL")]
    sdk: Option<String>,
}

fn language() -> impl clap::builder::TypedValueParser<Value = Language> {
    PossibleValuesParser::new(Language::ALL.map(Language::name)).map(|name| {
        let named = Language::ALL.into_iter().find(|it| it.name() == name);
        named.expect("it is one of the names")
    })
}

fn template() -> impl clap::builder::TypedValueParser<Value = Template> {
    PossibleValuesParser::new(Template::ALL.map(Template::name)).map(|name| {
        let named = Template::ALL.into_iter().find(|it| it.name() == name);
        named.expect("it is one of the names")
    })
}

impl New {
    pub(super) fn execute(self, _: &ArgMatches) -> Result<(), Failure> {
        let folder = self.folder.display().to_string();
        let name = self.folder.file_name().ok_or_else(|| {
            Failure::Invalid(anyhow!(
                "{} is not the name of a new folder",
                quoted(&folder)
            ))
        })?;
        let name = ProjectName::new(&name.to_string_lossy()).map_err(invalid)?;
        let project = Project {
            name,
            language: self.lang,
            template: self.template,
            sdk: sdk(self.lang, self.sdk.as_deref())?,
        };
        project.create(&self.folder).map_err(|error| {
            if error.is_of_request() {
                invalid(error)
            } else {
                Failure::RunTime(error.into())
            }
        })?;
        let once = self.lang.once().map(|once| format!("    {once}\n"));
        print(&format!(
            "{folder} is a project now: its README.md says more. Next:\n    cd {folder}\n{}    soloist dev\n",
            once.unwrap_or_default()
        ))
        .map(drop)
    }
}

/// Where the project has the SDK from, if its language has one.
fn sdk(language: Language, typed: Option<&str>) -> Result<Option<Sdk>, Failure> {
    match (language, typed) {
        (Language::Rust, Some(typed)) => Sdk::find(typed).context("--sdk"),
        (Language::Rust, None) => Sdk::find(BUILT_BESIDE).context(
            "the SDK is not on crates.io, and not where it was when this program was built: add --sdk with a checkout of \
             Soloist or the URL of its repository",
        ),
        (_, Some(_)) => Err(anyhow!("--sdk: only Rust has an SDK")),
        (_, None) => return Ok(None),
    }
    .map(Some)
    .map_err(Failure::Invalid)
}

fn invalid(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Invalid(error.into())
}
