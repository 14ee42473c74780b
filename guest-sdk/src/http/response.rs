//! What comes back.

use serde::de::DeserializeOwned;

use super::Error;

/// What a server has answered.
///
/// ```
/// use soloist_sdk::http;
/// use soloist_sdk::testing::{Answer, Harness};
///
/// let test = Harness::new().http(|request| match request.url.as_str() {
///     "http://a.example/stock" => Answer::json(&[3, 4]).header("ETag", "v7"),
///     _ => Answer::status(404),
/// });
/// let answer = test.block_on(http::get("http://a.example/stock")).unwrap();
/// assert!(answer.is_success());
/// assert_eq!(answer.header("etag"), Some("v7"));
/// assert_eq!(answer.text(), "[3,4]");
/// assert_eq!(answer.json::<Vec<u32>>().unwrap(), [3, 4]);
///
/// let missing = test.block_on(http::get("http://a.example/other")).unwrap();
/// let error = missing.error_for_status().unwrap_err();
/// assert_eq!(error.to_string(), "http://a.example/other answered with status 404");
/// ```
#[derive(Clone, Debug)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The headers, the names in lower case. Those of one name stand together, in the order in which they came.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// Where it comes from: the last one, if there were redirections.
    pub url: String,
}

impl Response {
    /// Whether the status tells of success: 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The answer, if its status is not one of an error: 400 to 599.
    ///
    /// # Errors
    /// [`Error::Status`]
    pub fn error_for_status(self) -> Result<Self, Error> {
        if (400..600).contains(&self.status) {
            return Err(Error::Status {
                url: self.url,
                status: self.status,
            });
        }
        Ok(self)
    }

    /// The first value of a header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header_text(&self.headers, name)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON of any type that serde can read.
    ///
    /// # Errors
    /// [`Error::Decode`]
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|source| Error::Decode {
            url: self.url.clone(),
            source,
        })
    }
}

/// The first value of a header, if it is there and text.
pub(crate) fn header_text<'a>(headers: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a str> {
    let (_, value) = headers
        .iter()
        .find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}
