//! What one types and reads: flags, environment, files, errors, and the tables of the documents.

mod circles;
mod documents;
mod input;
mod inspect;
mod precedence;
mod reference;
mod rooms;
mod trial;
