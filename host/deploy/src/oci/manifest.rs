//! The manifest of an image that is a plugin.

use serde::{Deserialize, Serialize};
use serde_json::json;
use soloist_core::digest::Digest;

use crate::error::OciError;

pub(crate) const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
const LAYER_TYPE: &str = "application/wasm";

/// What a manifest says of its plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) plugin: Digest,
    pub(crate) bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    schema_version: Option<u64>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

impl Manifest {
    pub(crate) fn read(text: &[u8]) -> Result<Self, OciError> {
        let wire: Wire = serde_json::from_slice(text)
            .map_err(|_| OciError::Manifest("it is not the JSON that a manifest has to be"))?;
        if wire.manifests.is_some() {
            return Err(OciError::Index);
        }
        if wire.schema_version != Some(2) {
            return Err(OciError::Manifest("it is not of schemaVersion 2"));
        }
        let [layer] = &wire.layers[..] else {
            let found = wire.layers.len();
            return Err(OciError::Layers { found });
        };
        if layer.media_type != LAYER_TYPE {
            let found = layer.media_type.chars().take(80).collect();
            return Err(OciError::LayerType { found });
        }
        let plugin = layer
            .digest
            .strip_prefix("sha256:")
            .and_then(Digest::parse)
            .ok_or(OciError::Manifest("its layer has no SHA-256"))?;
        Ok(Self {
            plugin,
            bytes: layer.size,
        })
    }

    /// The configuration of an image, and its manifest, for a plugin: the same for the same plugin.
    pub(crate) fn write(plugin: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let descriptor = |media_type: &str, bytes: &[u8]| Descriptor {
            media_type: media_type.to_owned(),
            digest: format!("sha256:{}", Digest::of(bytes)),
            size: bytes.len() as u64,
        };
        let layer = descriptor(LAYER_TYPE, plugin);
        let config = json!({
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layer.digest],
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": TYPE,
            "config": descriptor(CONFIG_TYPE, &config),
            "layers": [layer],
        });
        (config, manifest.to_string().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let (config, manifest) = Manifest::write(b"abc");
        let expected = Manifest {
            plugin: Digest::of(b"abc"),
            bytes: 3,
        };
        assert_eq!(Manifest::read(&manifest).unwrap(), expected);
        let text = String::from_utf8(manifest).unwrap();
        assert!(text.contains(CONFIG_TYPE) && text.contains(&Digest::of(&config).to_string()));
    }

    #[test]
    fn what_is_no_plugin_is_told_why() {
        let layer = |media_type: &str, digest: &str| {
            format!(r#"{{"mediaType": "{media_type}", "digest": "{digest}", "size": 3}}"#)
        };
        let digest = format!("sha256:{}", Digest::of(b""));
        let wasm = layer(LAYER_TYPE, &digest);
        let of = |layers: &str| format!(r#"{{"schemaVersion": 2, "layers": [{layers}]}}"#);
        for (text, expected) in [
            ("<html>".to_owned(), "not the JSON"),
            (r#"{"layers": []}"#.to_owned(), "schemaVersion"),
            (
                r#"{"schemaVersion": 2, "manifests": []}"#.to_owned(),
                "index of several",
            ),
            (of(""), "0 layers"),
            (of(&format!("{wasm}, {wasm}")), "2 layers"),
            (
                of(&layer(
                    "application/vnd.oci.image.layer.v1.tar+gzip",
                    &digest,
                )),
                "tar+gzip",
            ),
            (of(&layer(LAYER_TYPE, "sha512:00")), "no SHA-256"),
        ] {
            let error = Manifest::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
