//! The import `wasi:config/store`: the task's configuration, read-only.

use crate::imports::bindings::config::{Error, Host as Store};
use crate::run::store::InstanceData;

impl Store for InstanceData {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        Ok(Ok(self.settings.config.get(&key).cloned()))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        Ok(Ok(self
            .settings
            .config
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()))
    }
}
