//! The parts of a URL.

use super::Error;

/// What a URL is made of. The host judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
}

impl<'a> Url<'a> {
    pub(super) fn parse(url: &'a str) -> Result<Self, Error> {
        let missing = || Error::Invalid {
            url: url.to_owned(),
            reason: "it does not begin with http:// or https://",
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(missing)?;
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        Ok(Self {
            scheme,
            authority,
            path,
        })
    }

    pub(super) fn origin(&self) -> (String, String) {
        let scheme = self.scheme.to_ascii_lowercase();
        let default = if scheme == "https" { ":443" } else { ":80" };
        let authority = self.authority.to_ascii_lowercase();
        let authority = authority
            .strip_suffix(default)
            .unwrap_or(&authority)
            .to_owned();
        (scheme, authority)
    }

    /// Where a `Location` that came from here points.
    pub(super) fn join(&self, target: &str) -> String {
        let Self {
            scheme,
            authority,
            path,
        } = self;
        let absolute = target.split_once("://").is_some_and(|(scheme, _)| {
            scheme
                .chars()
                .all(|character| character.is_ascii_alphanumeric())
                && !scheme.is_empty()
        });
        if absolute {
            return target.into();
        }
        if target.starts_with("//") {
            return format!("{scheme}:{target}");
        }
        if target.starts_with('/') {
            return format!("{scheme}://{authority}{target}");
        }
        let path = path.split('?').next().unwrap_or(path);
        let directory = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
        let directory = if directory.is_empty() { "/" } else { directory };
        match target.strip_prefix('?') {
            Some(query) => format!("{scheme}://{authority}{path}?{query}"),
            None => format!("{scheme}://{authority}{directory}{target}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_read_from_where_it_came() {
        let base = Url::parse("https://a.example:8443/x/y?q=1#f").unwrap();
        assert_eq!(
            (base.scheme, base.authority, base.path),
            ("https", "a.example:8443", "/x/y?q=1")
        );
        for (target, joined) in [
            ("https://b.example/z", "https://b.example/z"),
            ("//b.example/z", "https://b.example/z"),
            ("/z", "https://a.example:8443/z"),
            ("z", "https://a.example:8443/x/z"),
            ("?p=2", "https://a.example:8443/x/y?p=2"),
            (
                "z?u=http://b.example",
                "https://a.example:8443/x/z?u=http://b.example",
            ),
        ] {
            assert_eq!(base.join(target), joined, "{target}");
        }
        assert_eq!(
            Url::parse("http://a.example").unwrap().join("z"),
            "http://a.example/z"
        );
        assert!(matches!(
            Url::parse("a.example/z"),
            Err(Error::Invalid { .. })
        ));
    }
}
