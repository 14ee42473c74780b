//! What one types and reads: flags, environment, files, errors, and the tables of the documents.

mod build;
mod circles;
mod completions;
mod dev;
mod documents;
mod fetching;
mod input;
mod inspect;
mod modules;
mod new;
mod operation;
mod packaging;
mod precedence;
mod reference;
mod registry;
mod rooms;
mod sdk;
mod trial;
