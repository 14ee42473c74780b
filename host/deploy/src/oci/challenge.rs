//! What a registry asks of those who want something: `WWW-Authenticate`.

/// How a registry wants to be shown who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads the value of the header. None if it is of another kind.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameters = parameters(rest)?;
        let parameter = |wanted: &str| {
            let mut found = parameters.iter();
            found
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.clone())
        };
        Some(Self::Bearer {
            realm: parameter("realm")?,
            service: parameter("service"),
        })
    }
}

/// `name="value",name=value`. A value in quotes may have commas in it.
fn parameters(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([' ', ',']);
        if text.is_empty() {
            return Some(found);
        }
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(rest) => rest.split_once('"')?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        found.push((name.trim().to_owned(), value.to_owned()));
        text = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_ask_is_read() {
        assert_eq!(Challenge::read("Basic realm=\"x\""), Some(Challenge::Basic));
        let asked = "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a:pull,push\"";
        let expected = Challenge::Bearer {
            realm: "https://auth.docker.io/token".into(),
            service: Some("registry.docker.io".into()),
        };
        assert_eq!(Challenge::read(asked), Some(expected));
        for other in [
            "",
            "Negotiate",
            "Bearer",
            "Bearer realm",
            "Bearer realm=\"x",
            "Bearer a=b",
        ] {
            assert_eq!(Challenge::read(other), None, "{other}");
        }
    }
}
