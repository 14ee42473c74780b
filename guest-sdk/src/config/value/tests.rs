use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Fast,
    ToTheEnd,
    Custom { speed: u8 },
}

#[derive(Debug, PartialEq, Deserialize)]
struct Range {
    min: u32,
    max: u32,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Name(String);

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    one("key", text.to_owned()).map_err(|error| error.to_string())
}

#[test]
fn text_becomes_what_the_type_says() {
    assert_eq!(read(" 42 "), Ok(42_u16));
    assert_eq!(read("-1.5"), Ok(-1.5_f64));
    assert_eq!(read("true"), Ok(true));
    assert_eq!(read("x"), Ok('x'));
    assert_eq!(read(" as it is "), Ok(Name(" as it is ".into())));
    assert_eq!(read("3"), Ok(Some(3_u8)));
    assert_eq!(read("2h 37min"), Ok(Duration::from_secs(9420)));
    assert_eq!(read("64KiB"), Ok(ByteSize::kib(64)));
    assert_eq!(read("to-the-end"), Ok(Mode::ToTheEnd));
    assert_eq!(
        read(r#"{"custom": {"speed": 3}}"#),
        Ok(Mode::Custom { speed: 3 })
    );
    assert_eq!(
        read("1s, 2s"),
        Ok(vec![Duration::from_secs(1), Duration::from_secs(2)])
    );
    assert_eq!(
        read(r#"["a,b", "c"]"#),
        Ok(vec![String::from("a,b"), String::from("c")])
    );
    assert_eq!(read(""), Ok(Vec::<u8>::new()));
    assert_eq!(read("1, 2"), Ok((1_u8, 2_u8)));
    assert_eq!(
        read(r#"{"min": 1, "max": 2}"#),
        Ok(Range { min: 1, max: 2 })
    );
    let all = vec![("a".into(), "1".into()), ("b".into(), "2".into())];
    assert_eq!(
        whole(all),
        Ok(BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]))
    );
}

#[test]
fn an_error_names_the_key_and_says_what_is_wrong() {
    let wrong = |error: Result<(), String>| error.unwrap_err();
    assert_eq!(
        wrong(read::<u8>("256").map(drop)),
        "config `key`: \"256\" is not a whole number from 0 to 255"
    );
    assert_eq!(
        wrong(read::<bool>("yes").map(drop)),
        "config `key`: \"yes\" is not true or false"
    );
    assert_eq!(
        wrong(read::<Duration>("5").map(drop)),
        "config `key`: \"5\" is not a duration, such as 250ms or 1h 30m"
    );
    assert_eq!(
        wrong(read::<Mode>("slow").map(drop)),
        "config `key`: \"slow\" is none of `fast`, `to-the-end`, `custom`"
    );
    assert_eq!(
        wrong(read::<Mode>("custom").map(drop)),
        "config `key`: \"custom\" has more to say: write it as JSON, {\"custom\": ...}"
    );
    assert_eq!(
        wrong(read::<Vec<u8>>("1, x").map(drop)),
        "config `key`: \"x\" is not a whole number from 0 to 255"
    );
    let range = wrong(read::<Range>(r#"{"min": 1}"#).map(drop));
    assert!(range.contains("missing field `max`"), "{range}");
    let long = wrong(read::<u8>(&"9".repeat(1000)).map(drop));
    assert!(long.len() < 150 && long.contains("9…\""), "{long}");
}

#[test]
fn a_key_that_is_missing_or_unknown_is_named() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(rename = "url")]
        _url: String,
    }
    let error = whole::<Settings>(Vec::new()).unwrap_err();
    assert_eq!(
        (error.key(), error.to_string().as_str()),
        (Some("url"), "config `url`: it is missing")
    );
    let entries = vec![("uri".into(), String::new())];
    let error = whole::<Settings>(entries).unwrap_err();
    assert_eq!(
        error.to_string(),
        "config `uri`: there is no such key: the plugin knows `url`"
    );
}
