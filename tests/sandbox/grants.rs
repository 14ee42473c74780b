//! What a task grants its plugin, as real guests see it, and what they cannot reach all the same.

mod case;
mod confinement;
mod directories;
mod imports;
mod open_files;
mod secrets;
mod ungranted;
