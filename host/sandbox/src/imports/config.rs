//! The import `wasi:config/store`: the task's configuration, read-only.

use std::collections::BTreeMap;

use wasmtime::component::{HasData, Linker};

use crate::contract::bindings::config::{self, Error, Host};

/// What the import works on: the task's configuration.
pub(crate) struct ConfigView<'a>(pub(crate) &'a BTreeMap<String, String>);

struct Config;

impl HasData for Config {
    type Data<'a> = ConfigView<'a>;
}

pub(crate) fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> ConfigView<'_>,
) -> wasmtime::Result<()> {
    config::add_to_linker::<_, Config>(linker, view)
}

impl Host for ConfigView<'_> {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        Ok(Ok(self.0.get(&key).cloned()))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        let all = self.0.iter();
        Ok(Ok(all
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()))
    }
}
