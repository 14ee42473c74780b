use super::*;

fn redactor(secrets: &[&str]) -> Redactor {
    let secrets: Vec<_> = secrets
        .iter()
        .map(|text| Secret::new((*text).to_owned()))
        .collect();
    Redactor::new(&secrets)
}

#[test]
fn secrets_are_taken_out_wherever_they_stand() {
    let redactor = redactor(&["hunter2", "hunter2-long", ""]);
    assert_eq!(
        redactor.redact("hunter2 and xhunter2-longx"),
        "*** and x***x"
    );
    assert!(matches!(
        redactor.redact("nothing here"),
        Cow::Borrowed("nothing here")
    ));
}

#[test]
fn a_secret_of_several_lines_is_hidden_in_each_of_them() {
    let redactor = redactor(&["-----BEGIN KEY-----\r\n  MIIEvQIBADANBg\n}\n"]);
    assert_eq!(redactor.redact("a MIIEvQIBADANBg b }"), "a *** b }");
}

#[test]
fn short_lines_of_a_secret_are_hidden_as_words_and_the_shortest_alone() {
    let redactor = redactor(&["admin\nhunter2\nab\n"]);
    assert_eq!(
        redactor.redact("admin:hunter2, user=Admin, administrator"),
        "***:***, user=***, administrator"
    );
    assert_eq!(
        redactor.redact("badmin hunter22 admin"),
        "badmin hunter22 ***"
    );
    assert_eq!(redactor.redact("cab ab\n ab \nab"), "cab ab\n *** \n***");
    assert_eq!(redactor.redact("ab"), "***");
}

#[test]
fn a_secret_is_hidden_in_capitals_or_small_letters_and_where_it_is_quoted() {
    let redactor = redactor(&["Hunter-TWO\t\"é"]);
    assert_eq!(redactor.redact("a hunter-two\t\"é b"), "a *** b");
    assert_eq!(redactor.redact(r#"a "Hunter-TWO\t\"é""#), r#"a "***""#);
}

#[test]
fn a_secret_is_hidden_as_json_has_it() {
    let redactor = redactor(&["pässword\u{1b}\u{7f}🎉"]);
    for quoted in [
        "pässword\\u001b\u{7f}🎉",
        r"p\u00e4ssword\u001b\u007f\ud83c\udf89",
        r"p\u00E4ssword\u001B\u007F\uD83C\uDF89",
    ] {
        assert_eq!(redactor.redact(&format!("a \"{quoted}\" b")), "a \"***\" b");
    }
}

#[test]
fn a_secret_is_hidden_as_the_json_of_every_language_has_it() {
    let redactor = redactor(&["pä/<word>&\u{2028}"]);
    for quoted in [
        // Rust, then Go, with and without its escapes for HTML.
        "pä/<word>&\u{2028}",
        r"pä/\u003cword\u003e\u0026\u2028",
        // PHP: as it is by default, and with JSON_UNESCAPED_UNICODE, JSON_UNESCAPED_SLASHES and JSON_HEX_TAG.
        r"p\u00e4\/<word>&\u2028",
        "pä\\/<word>&\u{2028}",
        r"p\u00e4/<word>&\u2028",
        r"p\u00e4\/\u003Cword\u003E\u0026\u2028",
    ] {
        assert_eq!(redactor.redact(&format!("a \"{quoted}\" b")), "a \"***\" b");
    }
}

#[test]
fn letters_of_every_language_may_be_capitals() {
    let redactor = redactor(&["Łódź-ПАРОЛЬ"]);
    assert_eq!(redactor.redact("ß İ ŁÓDŹ-пароль é"), "ß İ *** é");
    // These have another length as small letters: they stay what they are.
    assert_eq!(lowered("İẞ\u{212a}Ä"), "İẞ\u{212a}ä");
}

#[test]
fn secrets_that_overlap_leave_nothing_of_each_other() {
    let redactor = redactor(&["abcdef", "efghij", "bcde"]);
    assert_eq!(redactor.redact("xabcdefghijx"), "x***x");
    assert_eq!(redactor.redact("abcdefefghij"), "******");
}

#[test]
fn what_libraries_say_of_a_secret_is_hidden() {
    let redactor = Redactor::of_bytes(&[Secret::new("hunter2".into())]);
    assert_eq!(
        redactor.redact("write [32, 104, 117, 110, 116, 101, 114, 50]"),
        "write [32, ***]"
    );
    assert_eq!(
        redactor.redact(r#"header ("key", "hunter2")"#),
        r#"header ("key", "***")"#
    );
}

#[test]
fn no_part_of_a_secret_is_left_where_a_text_is_cut() {
    let redactor = redactor(&["hunter2-long"]);
    let whole = format!("{}hunter2-long and more", "x".repeat(20));
    for max_bytes in 0..whole.len() {
        // As it is, and cut off where it must not be missed.
        for seen in [
            &whole[..],
            &whole[..whole.len().min(max_bytes + redactor.longest())],
        ] {
            let (told, missing) = redactor.redact_within(seen, whole.len() - seen.len(), max_bytes);
            assert!(!told.contains('h') && told.len() <= max_bytes, "{told}");
            assert!(
                told.len() + missing >= whole.len() - "hunter2-long".len(),
                "{told} {missing}"
            );
        }
    }
    assert_eq!(
        redactor.redact_within("short", 0, 8),
        ("short".to_owned(), 0)
    );
    assert_eq!(
        redactor.redact_within("a hunter2-long", 0, 8),
        ("a ***".to_owned(), 0)
    );
}
