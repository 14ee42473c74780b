//! What Cargo says in JSON, read without any IO.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A package as `cargo metadata` tells of it.
pub(super) struct Package {
    /// Cargo's own name of it.
    pub(super) id: String,
    pub(super) shape: Shape,
}

/// What a package makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A file that a host can load.
    Cdylib,
    /// A library for Rust.
    Library,
    /// Programs, if anything.
    Program,
}

/// The package of a manifest, or else the folders of those that there are.
pub(super) fn package(metadata: &Value, manifest: &Path) -> Result<Package, Vec<String>> {
    let packages = list(&metadata["packages"]);
    let is_ours =
        |package: &&Value| package["manifest_path"].as_str().map(Path::new) == Some(manifest);
    let Some(package) = packages.iter().find(is_ours) else {
        let folders = packages.iter().filter_map(|package| {
            let folder = Path::new(package["manifest_path"].as_str()?).parent()?;
            Some(folder.display().to_string())
        });
        return Err(folders.collect());
    };
    let targets = list(&package["targets"]);
    let makes = |what: &str| {
        let types = targets
            .iter()
            .flat_map(|target| list(&target["crate_types"]));
        types.into_iter().any(|it| it == what)
    };
    let shape = if makes("cdylib") {
        Shape::Cdylib
    } else if makes("lib") || makes("rlib") || makes("dylib") || makes("staticlib") {
        Shape::Library
    } else {
        Shape::Program
    };
    Ok(Package {
        id: package["id"].as_str().unwrap_or_default().to_owned(),
        shape,
    })
}

/// The WebAssembly file of a package, if that is what this message of `cargo build` is about.
pub(super) fn made(message: &Value, package: &str) -> Option<PathBuf> {
    let is_ours = message["reason"] == "compiler-artifact" && message["package_id"] == package;
    if !is_ours || !list(&message["target"]["crate_types"]).contains(&"cdylib".into()) {
        return None;
    }
    let files = list(&message["filenames"]).iter();
    files
        .filter_map(Value::as_str)
        .map(PathBuf::from)
        .find(|file| file.extension().is_some_and(|it| it == "wasm"))
}

/// The packages among all dependencies that link code that is native to a machine, each with what can be done.
pub(super) fn native(metadata: &Value) -> Vec<String> {
    let nodes = list(&metadata["resolve"]["nodes"]);
    let is_needed = |id: &Value| nodes.iter().any(|node| node["id"] == *id);
    let packages = list(&metadata["packages"]).iter();
    packages
        .filter(|package| is_needed(&package["id"]))
        .filter_map(|package| {
            let (name, links) = (package["name"].as_str()?, package["links"].as_str()?);
            // Others claim a name there to keep a second version of themselves out.
            (name.ends_with("-sys") || name == "ring").then(|| advice(name, links))
        })
        .collect()
}

fn advice(name: &str, links: &str) -> String {
    let instead = match name {
        "openssl-sys" | "ring" | "aws-lc-sys" => {
            "; a plugin needs no TLS of its own, since soloist_sdk::http makes the host's requests"
        }
        "libsqlite3-sys" | "librocksdb-sys" => "; soloist_sdk::state keeps what is small",
        _ => "",
    };
    format!(
        "{name} is native code ({links}), which WebAssembly cannot have: `cargo tree --target wasm32-wasip2 --invert {name}` \
         shows who needs it. Write default-features = false there, or do without{instead}"
    )
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(types: &[&str]) -> Shape {
        let targets: Vec<_> = types
            .iter()
            .map(|ty| json!({ "crate_types": [ty] }))
            .collect();
        let metadata = json!({ "packages": [
            { "id": "other", "manifest_path": "/p/sub/Cargo.toml" },
            { "id": "it", "manifest_path": "/p/Cargo.toml", "targets": targets },
        ] });
        let found = package(&metadata, Path::new("/p/Cargo.toml"));
        let found = found.unwrap_or_else(|folders| panic!("{folders:?}"));
        assert_eq!(found.id, "it");
        found.shape
    }

    #[test]
    fn a_package_makes_what_the_best_of_its_targets_is() {
        assert_eq!(of(&["cdylib"]), Shape::Cdylib);
        assert_eq!(of(&["bin", "cdylib"]), Shape::Cdylib);
        assert_eq!(of(&["lib", "bin"]), Shape::Library);
        assert_eq!(of(&["bin", "bin"]), Shape::Program);
        assert_eq!(of(&[]), Shape::Program);
    }

    #[test]
    fn a_workspace_without_a_package_of_its_own_names_its_members() {
        let metadata = json!({ "packages": [{ "manifest_path": "/w/a/Cargo.toml" }] });
        let members = package(&metadata, Path::new("/w/Cargo.toml")).err();
        assert_eq!(members, Some(vec!["/w/a".to_owned()]));
    }

    #[test]
    fn the_file_that_was_made_is_that_of_the_package() {
        let message = |id: &str, ty: &str| {
            json!({ "reason": "compiler-artifact", "package_id": id, "target": { "crate_types": [ty] },
                    "filenames": ["/t/a.d", "/t/a.wasm"] })
        };
        assert_eq!(
            made(&message("it", "cdylib"), "it"),
            Some("/t/a.wasm".into())
        );
        assert_eq!(made(&message("other", "cdylib"), "it"), None);
        assert_eq!(made(&message("it", "lib"), "it"), None);
        assert_eq!(made(&json!({ "reason": "build-finished" }), "it"), None);
    }

    #[test]
    fn native_code_is_named_if_it_is_needed_there() {
        let package =
            |name: &str, links: Option<&str>| json!({ "id": name, "name": name, "links": links });
        let metadata = json!({
            "packages": [package("openssl-sys", Some("openssl")), package("windows-sys", Some("windows")),
                         package("rayon-core", Some("rayon-core")), package("serde", None)],
            "resolve": { "nodes": [{ "id": "openssl-sys" }, { "id": "rayon-core" }, { "id": "serde" }] },
        });
        let told = native(&metadata);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("openssl-sys is native code (openssl)"),
            "{told:?}"
        );
        assert!(told[0].contains("soloist_sdk::http"), "{told:?}");
    }
}
