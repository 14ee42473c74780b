use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

// Made with minisign 0.11: two keys, a signature of each, and one of the legacy kind.
const TEXT: &str = "{\"manifest\":1}\n";
const KEYS: [&str; 2] = [
    "RWTUd9qENU85J8INv7FT0GbKGZtTGmOGJrnU+I1flbha8m9MJGApBX8j",
    "RWRiR5hu9U+DrheGNpXejIsbF1Zx8yrQwkJFDq/2koP0Y3Xj0KpScdw8",
];
const BY_A: &str = "untrusted comment: made by a\n\
RUTUd9qENU85J6rHm+CxB1w9HW0MVLuco6yoUq2+kIzwUZKPymnjAwCUgkJPkdIYhGvL1CoItEoM1PcPoXmcKuprYYaw1vuw+gQ=\n\
trusted comment: manifest of report\n\
uuWpgAEY/T2ItX3mNVIL1fH+/4G2lPsB8ADxzux0JwlH0wvj6mJD1u6IJiVQt+FUUF/jBwMluBxmizYsfxf7AA==\n\
";
const BY_B: &str = "untrusted comment: made by b\n\
RURiR5hu9U+Drma/RQ7LdOsVLBX47RhhCzSbW2kNfEUX3PbpbK3Pj/YtlL2rS9u5knpyfUaW2/s1QVUPthzPcJoyQfQyp+gKmAo=\n\
trusted comment: manifest of report\n\
5nb8cxoOiTH1ddZCYYIuxI41E5f2iBcZ81VlYbeG6H5cszBVsjNGiBBJGZe+RGQ5ePQowuNOhTv2bj9fAHYyCw==\n\
";
const LEGACY: &str = "untrusted comment: signature from minisign secret key\n\
RWTUd9qENU85J/eZT87mLZD9eRxPa7Tx9mQMj1eNNYtVwqan123jlj/We6j8ataLdY45dgfsBy2PpgvQerfsyuPoCWzySc2h3Aw=\n\
trusted comment: manifest of report\n\
HTAOSKVs7AI+sdu9NuP8Wsgzm4DnsCtDwX71G30FjNM8w8w+7OQYt+saTc5PLXIxaO2wu/zueTmIN6iZVJeWCA==\n\
";

fn trust(keys: &[&str], require: usize) -> Trust {
    Trust::new(keys.iter().copied(), require).unwrap()
}

fn check(require: usize, text: &str, signatures: &[&str]) -> Result<(), Untrusted> {
    let signatures: Vec<_> = signatures.iter().map(|it| (*it).to_owned()).collect();
    trust(&KEYS, require).check(text, &signatures)
}

fn told(checked: Result<(), Untrusted>) -> String {
    checked.unwrap_err().to_string()
}

#[test]
fn enough_different_keys_have_to_have_signed() {
    assert_eq!(check(1, TEXT, &[BY_A]), Ok(()));
    assert_eq!(check(1, TEXT, &[BY_B]), Ok(()));
    assert_eq!(check(2, TEXT, &[BY_B, BY_A]), Ok(()));
    assert_eq!(
        told(check(2, TEXT, &[BY_A])),
        "1 of the 2 keys that this host requires have signed the manifest"
    );
    assert!(told(check(1, TEXT, &[])).starts_with("0 of the 1 keys"));
    assert_eq!(
        told(check(2, TEXT, &[BY_A, BY_A])),
        "1 of the 2 keys that this host requires have signed the manifest; signature 2 is of the key 27394F3584DA77D4 like \
         signature 1, and a key counts once"
    );
    // Whatever else is there does no harm.
    assert_eq!(check(1, TEXT, &["", LEGACY, BY_A, BY_A]), Ok(()));
}

#[test]
fn a_signature_that_does_not_count_is_told_why() {
    let unknown = trust(&KEYS[1..], 1).check(TEXT, &[BY_A.to_owned()]);
    assert!(
        told(unknown)
            .contains("signature 1 is of the key 27394F3584DA77D4, which this host does not trust")
    );
    let comment = BY_A.replace("manifest of report", "manifest of cleanup");
    let untrusted = BY_A.replace("made by a", "made by b");
    let lines: Vec<_> = BY_A.lines().collect();
    let global = BY_A.replace(lines[3], BY_B.lines().nth(3).unwrap());
    for (text, signature, part) in [
        (
            "{\"manifest\":2}\n",
            BY_A,
            "does not fit the text: it is of another text",
        ),
        (TEXT.trim_end(), BY_A, "does not fit the text"),
        ("", BY_A, "does not fit the text"),
        (TEXT, &comment, "does not fit the text"),
        (TEXT, &global, "does not fit the text"),
        (
            TEXT,
            LEGACY,
            "of minisign's legacy kind, which is not taken",
        ),
        (TEXT, &lines[..3].join("\n"), "not a whole signature"),
        (TEXT, &BY_A[..BY_A.len() - 6], "not a whole signature"),
        (TEXT, lines[1], "not a whole signature"),
        (
            TEXT,
            &BY_A.replace("trusted comment: manifest", "manifest"),
            "not a whole signature",
        ),
        (
            TEXT,
            &BY_A.replace("made by a", &"a".repeat(5000)),
            "not a whole signature",
        ),
        (TEXT, KEYS[0], "not a whole signature"),
        (TEXT, "", "not a whole signature"),
    ] {
        let told = told(check(1, text, &[signature]));
        assert!(
            told.contains(&format!("signature 1 is {part}"))
                || told.contains(&format!("signature 1 {part}")),
            "{part}: {told}"
        );
    }
    // That comment is not signed, as its name says.
    assert_eq!(check(1, TEXT, &[&untrusted]), Ok(()));
    let many = vec![""; SIGNATURES_MAX]
        .into_iter()
        .chain([BY_A, BY_B])
        .collect::<Vec<_>>();
    let told = told(check(1, TEXT, &many));
    assert!(
        told.ends_with("signature 17 is one too many: 16 are read"),
        "{told}"
    );
}

#[test]
fn no_byte_of_a_signature_or_of_its_text_can_be_changed() {
    for place in 0..TEXT.len() {
        let mut text = TEXT.as_bytes().to_vec();
        text[place] ^= 1;
        let text = String::from_utf8(text).unwrap();
        assert!(check(1, &text, &[BY_A]).is_err(), "{text:?}");
    }
    let signed = BY_A.find('\n').unwrap() + 1;
    for place in signed..BY_A.trim_end().len() {
        let mut signature = BY_A.as_bytes().to_vec();
        signature[place] ^= 1;
        let signature = String::from_utf8(signature).unwrap();
        assert!(check(1, TEXT, &[&signature]).is_err(), "{signature}");
    }
}

#[test]
fn keys_that_make_no_trust_are_refused() {
    let bad = |keys: &[&str], require| Trust::new(keys.iter().copied(), require).unwrap_err();
    assert_eq!(bad(&[KEYS[0], "RW"], 1), BadTrust::Key(2));
    assert_eq!(
        bad(&KEYS, 3),
        BadTrust::Require {
            keys: 2,
            require: 3
        }
    );
    assert_eq!(
        bad(&KEYS, 0),
        BadTrust::Require {
            keys: 2,
            require: 0
        }
    );
    assert_eq!(
        bad(&[], 0),
        BadTrust::Require {
            keys: 0,
            require: 0
        }
    );
    // The same key under another id would sign twice.
    let renamed = format!("RWQAAAAAAAAAA{}", &KEYS[0][13..]);
    assert_eq!(bad(&[KEYS[0], &renamed], 2), BadTrust::KeyTwice(2));
}

/// Runs `minisign`, without a question.
fn minisign(directory: &Path, arguments: &[&str]) {
    let output = Command::new("minisign")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_minisign_signs_now_is_trusted() {
    if let Err(error) = Command::new("minisign").arg("-v").output() {
        assert!(
            std::env::var_os("CI").is_none(),
            "minisign: {error}: install the package minisign"
        );
        println!("skipped: no minisign on this machine (package minisign)");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let text = "{\n  \"manifest\": 1,\n  \"by\": \"é\"\n}\n";
    fs::write(place.join("manifest"), text).unwrap();
    let read = |name: &str| fs::read_to_string(place.join(name)).unwrap();
    let mut keys = Vec::new();
    let mut signatures = Vec::new();
    for who in ["one", "two"] {
        let file = |end: &str| format!("{who}.{end}");
        minisign(place, &["-G", "-W", "-p", &file("pub"), "-s", &file("key")]);
        minisign(
            place,
            &[
                "-S",
                "-s",
                &file("key"),
                "-m",
                "manifest",
                "-x",
                &file("sig"),
                "-t",
                "of report",
            ],
        );
        keys.push(read(&file("pub")).lines().nth(1).unwrap().to_owned());
        signatures.push(read(&file("sig")));
    }
    minisign(
        place,
        &[
            "-S",
            "-l",
            "-s",
            "one.key",
            "-m",
            "manifest",
            "-x",
            "legacy.sig",
        ],
    );
    let both = Trust::new(keys.iter().map(String::as_str), 2).unwrap();
    assert_eq!(both.check(text, &signatures), Ok(()));
    assert!(both.check(&text.replace('é', "e"), &signatures).is_err());
    let legacy = both
        .check(text, &[read("legacy.sig"), signatures[1].clone()])
        .unwrap_err();
    assert_eq!(legacy.problems, [(1, SignatureProblem::Legacy)]);
    assert_eq!(both.check(text, &[LEGACY.to_owned()]).unwrap_err().found, 0);
}
