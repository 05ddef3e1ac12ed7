#![allow(clippy::unwrap_used)]
use super::*;
use ed25519_dalek::SigningKey;

fn vkey(kind: KeyKind, name: &str, seed: u8) -> String {
    let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
    let key = VerifierKey::new(name, kind, key.as_bytes()).unwrap();
    key.to_string()
}

/// `LOG` and `W1` to `W9`, as words, stand for keys.
fn fill(text: &str) -> String {
    let word = |word: &str| match word.trim_end_matches('\r') {
        "LOG" => word.replace("LOG", &vkey(KeyKind::Note, "log.example", 100)),
        name if name.len() == 2 && name.starts_with('W') => {
            let seed = name[1..].parse().unwrap();
            vkey(KeyKind::Cosignature, &format!("w{seed}.example"), seed)
        }
        _ => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn policies() {
    let check = |text: &str, error: &str| match Policy::parse(&fill(text)) {
        Ok(_) => assert_eq!(error, "", "{text}"),
        Err(found) => {
            let is_same = !error.is_empty() && found.to_string().contains(error);
            assert!(is_same, "{text}: {found}");
        }
    };
    check("log LOG\nquorum none\n", "");
    check("log LOG\nquorum none", "");
    check("quorum none\nlog LOG https://log.example/\n", "");
    check("# ours\n\n \t # indented\n\tlog\t LOG \nquorum  none\n", "");
    check("log LOG\nwitness a W1\nquorum a\n", "");
    check(
        "log LOG\nwitness a W1 https://w1.example/\nquorum none\n",
        "",
    );
    check("witness a W1\ngroup g any a\nquorum g\nlog LOG\n", "");
    check(
        "log LOG\nwitness a W1\nwitness b W2\ngroup g 2 a b\nquorum g\n",
        "",
    );
    check("log LOG\nwitness é W1\ngroup ☃ all é\nquorum ☃\n", "");

    check("log LOG\n", "no `quorum` line");
    check("quorum none\n", "no `log` line");
    check("", "no `quorum` line");
    check(
        "log LOG\nquorum none\nquorum none\n",
        "line 3: a second `quorum`",
    );
    check(
        "log LOG\nlog LOG\nquorum none\n",
        "line 2: this key is already",
    );
    check(
        "log\nquorum none\n",
        "line 1: `log <vkey> [<url>]` expected",
    );
    check(
        "log LOG a b\nquorum none\n",
        "line 1: `log <vkey> [<url>]` expected",
    );
    check("log LOG\nquorum\n", "line 2: `quorum <name>` expected");
    check("log LOG\nquorum a b\n", "line 2: `quorum <name>` expected");
    check(
        "log LOG\nquorum a\nwitness a W1\n",
        "line 2: a name is not defined above",
    );
    check("log LOG\nLog LOG\nquorum none\n", "line 2: unknown keyword");
    check("log LOG\r\nquorum none\r\n", "line 1: control character");
    check(
        "log LOG\n\u{7f}\nquorum none\n",
        "line 2: control character",
    );
    check("log x\nquorum none\n", "line 1: key is not");
    check(
        "log W1\nquorum none\n",
        "line 1: key type is not Ed25519 (0x01)",
    );
    check(
        "witness a\n",
        "line 1: `witness <name> <vkey> [<url>]` expected",
    );
    check(
        "witness a W1 b c\n",
        "line 1: `witness <name> <vkey> [<url>]` expected",
    );
    check(
        "witness a LOG\n",
        "line 1: key type is not Ed25519 cosignature (0x04)",
    );
    check("witness none W1\n", "line 1: the name `none` is predefined");
    check(
        "witness a W1\nwitness a W2\n",
        "line 2: this name is already defined",
    );
    check(
        "witness a W1\nwitness b W1\n",
        "line 2: this key is already",
    );
    check(
        "group g any\n",
        "line 1: `group <name> <k>|any|all <name>...` expected",
    );
    check(
        "group g any a\nwitness a W1\n",
        "line 1: a name is not defined above",
    );
    check("group g any g\n", "line 1: a name is not defined above");
    check(
        "witness a W1\ngroup g any none\n",
        "line 2: a name is not defined above",
    );
    check(
        "witness a W1\ngroup a any a\n",
        "line 2: this name is already defined",
    );
    check(
        "witness a W1\ngroup none any a\n",
        "line 2: the name `none` is predefined",
    );
    check(
        "witness a W1\ngroup g all a a\n",
        "line 2: a name is a member of a group already",
    );
    check(
        "witness a W1\nwitness b W2\ngroup g any a\ngroup h all a b\n",
        "line 4: a name is a member of a group already",
    );
    for threshold in ["0", "2", "01", "-1", "+1", "some", "18446744073709551616"] {
        let text = format!("witness a W1\ngroup g {threshold} a\n");
        check(&text, "line 2: `any`, `all` or a number from 1");
    }
    check(&"#".repeat(POLICY_BYTES_MAX + 1), "too long");
}

#[test]
fn a_policy_has_limits_that_the_format_allows() {
    let check = |count_max: usize, line: &dyn Fn(u8) -> String| {
        let text = |count: usize| -> String {
            let lines: String = (1..=count as u8).map(line).collect();
            fill(&format!("log LOG\n{lines}quorum none\n"))
        };
        assert!(count_max >= 32);
        assert_eq!(Policy::parse(&text(count_max)).err(), None);
        let error = Policy::parse(&text(count_max + 1)).unwrap_err().to_string();
        assert!(error.contains("too many"), "{error}");
    };
    let log = |seed| format!("log {}\n", vkey(KeyKind::Note, "log", seed));
    // One log is there anyway.
    check(LOGS_MAX - 1, &log);
    let witness = |seed| {
        let vkey = vkey(KeyKind::Cosignature, "w", seed);
        format!("witness w{seed} {vkey}\n")
    };
    check(WITNESSES_MAX, &witness);
    let group = |seed: u8| match seed {
        1 => "witness g0 W1\ngroup g1 any g0\n".to_owned(),
        _ => format!("group g{seed} any g{}\n", seed - 1),
    };
    check(GROUPS_MAX, &group);
}

#[test]
fn what_a_policy_offers() {
    let text = fill("log LOG https://log\nwitness a W1 https://a\nwitness b W2\nquorum b\n");
    let policy = Policy::parse(&text).unwrap();
    let found: Vec<_> = policy.logs().iter().map(|log| log.url.as_deref()).collect();
    assert_eq!(found, [Some("https://log")]);
    let witnesses = policy.witnesses().iter();
    let found: Vec<_> = witnesses
        .map(|w| (w.name.as_str(), w.key.to_string(), w.url.as_deref()))
        .collect();
    let wanted = [
        ("a", fill("W1"), Some("https://a")),
        ("b", fill("W2"), None),
    ];
    assert_eq!(found, wanted);
    assert_eq!(policy.quorum(), "b");
}

#[test]
fn a_log_that_is_known_from_elsewhere() {
    let log = fill("LOG");
    let check = |text: &str, logs| {
        let policy = Policy::parse_with_log(&fill(text), &log).unwrap();
        assert_eq!(policy.logs().len(), logs, "{text}");
    };
    check("witness a W1\nquorum a\n", 1);
    check("log LOG https://log\nquorum none\n", 1);
    let other = format!(
        "log {}\nquorum none\n",
        vkey(KeyKind::Note, "log.example", 101)
    );
    check(&other, 2);
    assert!(Policy::parse_with_log("quorum none\n", "x").is_err());
}

/// Who cosigned, as a string of witness names of one letter; against each quorum.
#[test]
fn quorums() {
    let check = |lines: &str, holds: &[&str], not: &[&str]| {
        let witnesses: String = (1..=6)
            .zip('a'..)
            .map(|(seed, name)| format!("witness {name} W{seed}\n"))
            .collect();
        let policy = Policy::parse(&fill(&format!("log LOG\n{witnesses}{lines}"))).unwrap();
        for (cosigned, wanted) in holds
            .iter()
            .map(|by| (by, true))
            .chain(not.iter().map(|by| (by, false)))
        {
            let names: Vec<String> = cosigned.chars().map(String::from).collect();
            let found = policy.is_quorum(names.iter().map(String::as_str));
            assert_eq!(found, wanted, "{lines}: {cosigned}");
        }
    };
    check("quorum none\n", &["", "a"], &[]);
    check("quorum a\n", &["a", "ab"], &["", "b", "bcdef"]);
    check(
        "group g any a b\nquorum g\n",
        &["a", "b", "bc"],
        &["", "cdef"],
    );
    check(
        "group g all a b\nquorum g\n",
        &["ab", "abf"],
        &["a", "b", "aaa"],
    );
    check(
        "group g 2 a b c\nquorum g\n",
        &["ab", "bc", "ac", "abc"],
        &["a", "aa", "ad", ""],
    );
    // The example of the specification.
    check(
        "group x 2 a b c\ngroup y any d e f\ngroup z all x y\nquorum z\n",
        &["abd", "bcf", "abcdef"],
        &["abc", "def", "ad", "adef", ""],
    );
    // A group that is not the quorum asks for nothing.
    check("group x all a b c\nquorum d\n", &["d"], &["abc"]);
}
