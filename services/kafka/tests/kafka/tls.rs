//! What passes through to librdkafka: TLS, and a password.

use std::collections::BTreeMap;

use valuta_kafka::{KafkaConfig, KafkaLog, create_journal};

use crate::support::{SOON, append, drain, lead, open, topic};
use valuta_journal::Source;

fn stack(name: &str) -> String {
    std::env::var(name).expect("scripts/stack writes it into its env")
}

/// A topic that is reached through the brokers' listener with TLS and SASL.
fn secured(password: &str, authority: Option<&str>) -> KafkaConfig {
    let mut config = topic();
    config.brokers = stack("VALUTA_TEST_KAFKA_SASL");
    config.properties = BTreeMap::from(
        [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "valuta"),
            ("sasl.password", password),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    if let Some(authority) = authority {
        let name = "ssl.ca.location".to_owned();
        config.properties.insert(name, authority.to_owned());
    }
    config
}

#[test]
fn a_journal_is_written_and_read_over_tls_with_a_password() {
    let config = secured("secret", Some(&stack("VALUTA_TEST_CA")));
    create_journal(&config).unwrap();
    let log = open(&config);
    let mut journal = lead(&log, 1);
    let cursor = append(&mut journal, 3, 500);
    log.wait_caught_up(SOON).unwrap();
    assert_eq!(log.watch().durable(), cursor);
    assert_eq!(drain(&mut *log.reader(None).unwrap()).len(), 1);
    // The same topic, unencrypted: the same records.
    let mut plain = config.clone();
    (plain.brokers, plain.properties) = (topic().brokers, BTreeMap::new());
    let plain = open(&plain);
    plain.wait_caught_up(SOON).unwrap();
    assert_eq!(plain.watch().durable(), cursor);
}

#[test]
fn what_the_broker_or_we_do_not_trust_gets_a_clear_error() {
    let ca = stack("VALUTA_TEST_CA");
    let cases = [
        (secured("wrong", Some(&ca)), "uthentication failed"),
        (secured("secret", None), "certificate"),
        (secured("secret", Some("no-such-file")), "ssl.ca.location"),
    ];
    let check = |config: &KafkaConfig, said: &str| {
        let made = create_journal(config).map(drop);
        let opened = KafkaLog::open(config, None).map(drop);
        for error in [made.unwrap_err(), opened.unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains(said), "{text} lacks {said}");
        }
    };
    // Each waits for time-outs.
    std::thread::scope(|scope| {
        for (config, said) in &cases {
            scope.spawn(move || check(config, said));
        }
    });
}
