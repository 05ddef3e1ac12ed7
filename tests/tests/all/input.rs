//! What bad input gets: one clear answer that names field, reason and ISO code, whichever way it is
//! sent; and books that have not moved.

mod fields;
mod identity;
mod reads;
mod rules;
mod streams;
mod writes;

use crate::support::{A, B, D, HOUR_MS, Town, rejection_words, shown, submit};
use valuta_proto::v1;
use valuta_tests::scheme::payment;
use valuta_tests::server::Client;

/// Suspended.
const E: &str = "EEEESESS";
/// Its USD account is closed, its EUR account blocked; it has none in JPY.
const F: &str = "FFFFNOKK";
/// The limit per instruction of A in USD, and A's cap towards D in EUR.
const LIMIT: &str = "500000.00";
const CAP: &str = "1000.00";
const DAY_MS: i64 = 24 * HOUR_MS;

type Mutate = fn(&mut v1::Instruction);

/// A town in which everything can go wrong, and one client for each who sends.
struct Desk {
    town: Town,
    next: u128,
}

impl Desk {
    async fn open() -> Self {
        let mut town = Town::funded().await;
        let request = v1::ApplySchemeRequest {
            request_id: "more".to_owned(),
            created: None,
            scheme: Some(extended_scheme()),
        };
        town.operator().admin.apply_scheme(request).await.unwrap();
        for bic in [E, F] {
            let token = create_token(&town, bic).await;
            town.world.tokens.insert(bic.to_owned(), token);
        }
        Self {
            town,
            next: 1_000_000,
        }
    }

    fn good(&mut self, caller: &str) -> v1::Instruction {
        self.next += 1;
        payment(self.next, caller, B, "10.00", "USD")
    }

    /// The good instruction, changed: the same answer by itself, in a batch and in a stream; books as before.
    async fn check(&mut self, caller: &str, expected: &str, mutate: Mutate) {
        let before = self.town.books().await;
        let mut client = self.town.client(caller).await;
        for door in [Door::Alone, Door::Batch, Door::Stream] {
            let mut bad = self.good(caller);
            mutate(&mut bad);
            let answer = send(&mut client, door, bad.clone()).await;
            assert_eq!(answer, expected, "{door:?} {bad:?}");
        }
        let after = self.town.books().await;
        assert_eq!(after, before, "{expected}: the books have moved");
    }

    async fn check_all(&mut self, table: &[(&str, Mutate)]) {
        for (expected, mutate) in table {
            self.check(A, expected, *mutate).await;
        }
    }
}

fn extended_scheme() -> v1::Scheme {
    let mut scheme = valuta_tests::scheme::scheme();
    scheme.assets.push(v1::Asset {
        code: "GBP".to_owned(),
        decimals: 2,
        agent: "BKENGB2L".to_owned(),
        enabled: false,
    });
    let account = |participant: &str, asset: &str, state: v1::AccountState| v1::Account {
        participant: participant.to_owned(),
        asset: asset.to_owned(),
        state: state.into(),
    };
    for (bic, state) in [
        (E, v1::ParticipantState::Suspended),
        (F, v1::ParticipantState::Active),
    ] {
        scheme.participants.push(v1::Participant {
            bic: bic.to_owned(),
            name: bic.to_owned(),
            state: state.into(),
        });
    }
    use v1::AccountState::{Blocked, Closed, Open};
    scheme.accounts.extend([
        account(E, "USD", Open),
        account(F, "USD", Closed),
        account(F, "EUR", Blocked),
        account(F, "KWD", Open),
        account(A, "GBP", Open),
        account(B, "GBP", Open),
    ]);
    let limit = |asset: &str, counterparty: &str, amount: &str| v1::Limit {
        participant: A.to_owned(),
        asset: asset.to_owned(),
        counterparty: counterparty.to_owned(),
        amount: amount.to_owned(),
    };
    scheme.limits = vec![limit("USD", "", LIMIT), limit("EUR", D, CAP)];
    scheme
}

async fn create_token(town: &Town, bic: &str) -> String {
    let request = v1::CreateTokenRequest {
        request_id: town.request_id(),
        created: None,
        role: v1::Role::Participant.into(),
        bic: bic.to_owned(),
        label: bic.to_owned(),
    };
    town.operator()
        .admin
        .create_token(request)
        .await
        .unwrap()
        .into_inner()
        .token
}

/// The three ways in.
#[derive(Clone, Copy, Debug)]
enum Door {
    Alone,
    Batch,
    Stream,
}

/// Sends one instruction, and says its answer in the same words for every door.
async fn send(client: &mut Client, door: Door, instruction: v1::Instruction) -> String {
    let request = v1::SubmitInstructionsRequest {
        instructions: vec![instruction.clone()],
        full_answers: true,
    };
    match door {
        Door::Alone => {
            let words = submit(client, instruction).await;
            // What has no identity is the call's own failure: its code, and the path within the request.
            match words.split_whitespace().collect::<Vec<_>>()[..] {
                [_, reason, field, iso] if field.starts_with("instruction") => {
                    let field = field
                        .trim_start_matches("instruction")
                        .trim_start_matches('.');
                    format!("ERROR {iso} {reason} {field}")
                        .trim_end()
                        .to_owned()
                }
                _ => words,
            }
        }
        Door::Batch => {
            let answer = client.payments.submit_instructions(request).await;
            words(&answer.unwrap().into_inner())
        }
        Door::Stream => {
            let requests = tokio_stream::once(request);
            let mut answers = client
                .payments
                .stream_instructions(requests)
                .await
                .unwrap()
                .into_inner();
            let answer = answers.message().await.unwrap().unwrap();
            assert_eq!(answers.message().await.unwrap(), None);
            words(&answer)
        }
    }
}

/// The only answer of a batch of one.
fn words(answer: &v1::SubmitInstructionsResponse) -> String {
    assert!(
        answer.accepted.is_empty(),
        "full answers have no ranges: {answer:?}"
    );
    match (&answer.others[..], &answer.errors[..]) {
        ([other], []) => shown(other.status.as_ref().unwrap()),
        ([], [error]) => format!("ERROR {}", rejection_words(error.error.as_ref().unwrap())),
        _ => panic!("not one answer: {answer:?}"),
    }
}

fn add_legs(instruction: &mut v1::Instruction, count: usize) {
    let leg = instruction.legs[0].clone();
    instruction.legs.resize(count, leg);
}

fn instructed(instruction: &mut v1::Instruction, amount: &str, asset: &str) {
    instruction.instructed_amount = amount.to_owned();
    instruction.instructed_asset = asset.to_owned();
}

/// One side of a good trade: the payment, against 9.00 EUR.
fn trade(instruction: &mut v1::Instruction) {
    instruction.kind = v1::Kind::TradeSide.into();
    instruction.trade_reference = "T".to_owned();
    let mut back = instruction.legs[0].clone();
    std::mem::swap(&mut back.debtor, &mut back.creditor);
    back.amount = "9.00".to_owned();
    back.asset = "EUR".to_owned();
    instruction.legs.push(back);
}

fn leg(instruction: &mut v1::Instruction, creditor: &str, amount: &str, asset: &str) {
    let leg = &mut instruction.legs[0];
    leg.creditor = creditor.to_owned();
    leg.amount = amount.to_owned();
    leg.asset = asset.to_owned();
}

fn amount(instruction: &mut v1::Instruction, amount: &str) {
    instruction.legs[0].amount = amount.to_owned();
}

fn net(instruction: &mut v1::Instruction, value_date: &str) {
    instruction.lane = v1::Lane::Net.into();
    instruction.value_date = value_date.to_owned();
}
