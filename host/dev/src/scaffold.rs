//! A new project: a plugin that builds as it stands, with a test and a configuration to run it by.
//!
//! | item | what |
//! |---|---|
//! | [`Project`] | what a project shall be; [`Project::create`] writes it |
//! | [`Language`], [`Template`] | what can be chosen |
//! | [`Sdk`] | where the project has the SDK from |
//!
//! `templates/` of this crate has the files, with placeholders in double braces.

mod choice;
mod create;
mod files;
mod name;
mod sdk;

pub use self::choice::{Language, Template};
pub use self::create::CreateError;
pub use self::files::NoTemplate;
pub use self::name::{NameError, ProjectName};
pub use self::sdk::{Sdk, SdkError};

/// What a project shall be.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name, and that of its task.
    pub name: ProjectName,
    /// The language that it is written in.
    pub language: Language,
    /// What it begins with.
    pub template: Template,
    /// Where it has the SDK from; only Rust needs one.
    pub sdk: Option<Sdk>,
}
