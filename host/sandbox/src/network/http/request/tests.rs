use super::*;

fn asked(authority: &str) -> Result<String, Error> {
    origin(
        &Uri::builder()
            .scheme("https")
            .authority(authority)
            .path_and_query("/")
            .build()
            .unwrap(),
    )
    .map(|origin| origin.to_string())
}

#[test]
fn what_a_request_is_for_is_read_in_one_way_only() {
    assert_eq!(
        asked("API.example.com.").unwrap(),
        "https://api.example.com"
    );
    assert_eq!(
        asked("api.example.com:443").unwrap(),
        "https://api.example.com"
    );
    assert_eq!(
        asked("[::ffff:10.0.0.1]:8443").unwrap(),
        "https://10.0.0.1:8443"
    );
    for trick in [
        "granted@evil.example",
        "granted:80@evil.example",
        "0x7f.1",
        "127.1",
        "2130706433",
        "*.example",
    ] {
        assert!(
            matches!(asked(trick), Err(Error::HttpRequestUriInvalid)),
            "{trick}"
        );
    }
}

#[test]
fn a_task_of_any_name_fits_into_a_header() {
    assert_eq!(percent_encoded("nightly-report"), "nightly-report");
    assert_eq!(percent_encoded("a b%ü\r\n"), "a%20b%25%C3%BC%0D%0A");
}

#[test]
fn a_request_joins_the_trace_of_its_term_unless_the_plugin_has_set_another() {
    let server = Origin::new("http://a.example").unwrap();
    let ours = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    let sent = |own: Option<&str>, trace: Option<&str>| {
        let mut request = Request::get("http://a.example/");
        if let Some(own) = own {
            request = request.header("Traceparent", own);
        }
        let mut request = request.body(()).unwrap();
        complete(&mut request, &server, None, trace).unwrap();
        let found = request.headers().get_all("traceparent").iter();
        found
            .map(|value| value.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(sent(None, Some(ours)), [ours]);
    assert_eq!(sent(Some("its own"), Some(ours)), ["its own"]);
    assert!(sent(None, None).is_empty());
}
