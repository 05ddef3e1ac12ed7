//! Scene 6: banks take their receipts home and verify them with nothing but the operator's policy.

use super::example;
use super::instruction::{Payload, Planned, Purpose};
use super::stage::count;
use super::world::DAY_CYCLE;
use super::*;
use prost::Message;
use std::collections::BTreeMap;
use std::fs;
use valuta_proto::v1;
use valuta_verify::Policy;

/// The bank whose receipts are shown.
const BANK: &str = example::PROVING_BANK;
/// Of the verifier's, for a changed receipt.
const REASONS_SHOWN: usize = 5;
/// Receipts taken from the cycle's batch.
const RECEIPTS_MAX: usize = 500;

impl Demo {
    /// Plays the scene.
    pub async fn prove(&mut self) -> Result<(), CliError> {
        self.stage.scene("Proof");
        let bank = self.world.bank(BANK);
        let mut ledger = self.session.banks[bank].unlimited().ledger();
        let answer = ledger
            .get_checkpoint(v1::GetCheckpointRequest {})
            .await?
            .into_inner();
        fs::write(self.home.policy(), &answer.policy)
            .map_err(|error| CliError::file(&self.home.policy(), &error))?;
        let policy = Policy::parse(&answer.policy).map_err(|error| {
            CliError::Refused(format!("check failed: the policy is read: {error}"))
        })?;
        let singles = self.single_receipts(bank).await?;
        for (what, receipt, planned) in &singles {
            self.check_receipt(what, receipt, planned, &policy)?;
        }
        self.check_cycle_receipts(bank, &policy).await?;
        let (_, receipt, _) = &singles[0];
        self.check_tampering(receipt, &policy)?;
        let answer = ledger
            .get_checkpoint(v1::GetCheckpointRequest {})
            .await?
            .into_inner();
        self.figures.checkpoint = answer.checkpoint;
        Ok(())
    }

    /// One settled instruction of each kind, with its receipt.
    async fn single_receipts(
        &self,
        bank: usize,
    ) -> Result<Vec<(&'static str, String, Planned)>, CliError> {
        let of_bank = || self.plan.morning[bank].iter();
        let find = |is_wanted: fn(&&Planned) -> bool| of_bank().find(is_wanted).cloned();
        let wanted = [
            (
                "a gross payment",
                find(|p| p.purpose == Purpose::Settles && p.payload == Payload::Payment),
            ),
            (
                "a payment under a quote",
                find(|p| matches!(p.payload, Payload::UnderQuote(_))),
            ),
            (
                "a net payment",
                find(|p| p.purpose == Purpose::JoinsCycle && p.payload == Payload::Payment),
            ),
            (
                "a side of a trade",
                find(|p| matches!(p.payload, Payload::TradeSide { .. })),
            ),
        ];
        let mut ledger = self.session.banks[bank].ledger();
        let mut receipts = Vec::new();
        for (what, planned) in wanted {
            let Some(planned) = planned else { continue };
            let request = v1::GetReceiptRequest {
                uetr: settlement_core::ids::Uetr(planned.uetr).to_string(),
                wait: true,
                ..Default::default()
            };
            let answer = ledger.get_receipt(request).await?.into_inner();
            self.write_receipt(&answer)?;
            receipts.push((what, answer.receipt, planned));
        }
        Ok(receipts)
    }

    fn write_receipt(&self, receipt: &v1::GetReceiptResponse) -> Result<(), CliError> {
        let path = self
            .home
            .receipts()
            .join(format!("{}.receipt", receipt.uetr));
        fs::write(&path, &receipt.receipt).map_err(|error| CliError::file(&path, &error))
    }

    fn check_receipt(
        &mut self,
        what: &str,
        receipt: &str,
        planned: &Planned,
        policy: &Policy,
    ) -> Result<(), CliError> {
        let verified = valuta_verify::verify(receipt, policy);
        let content = verified.as_ref().ok().map(|verified| &verified.content[..]);
        let is_sent = content == Some(&planned.wire(&self.world).encode_to_vec()[..]);
        self.figures.receipts += 1;
        self.stage.check(
            &format!("{what}: verified offline, with the bytes that {BANK} sent"),
            is_sent,
            || {
                verified
                    .err()
                    .map_or("other content".to_owned(), |error| error.to_string())
            },
        )
    }

    /// The bank's receipts of the cycle's batches, as a stream.
    async fn check_cycle_receipts(&mut self, bank: usize, policy: &Policy) -> Result<(), CliError> {
        let cycle = self.session.cycle(DAY_CYCLE).await?;
        let mut ledger = self.session.banks[bank].unlimited().ledger();
        let (mut verified, mut failed) = (0, None);
        for batch in cycle.batches {
            let request = v1::ListReceiptsRequest { batch, wait: true };
            let mut receipts = ledger.list_receipts(request).await?.into_inner();
            while verified < RECEIPTS_MAX {
                let Some(receipt) = receipts.message().await? else {
                    break;
                };
                if let Err(error) = valuta_verify::verify(&receipt.receipt, policy) {
                    failed = Some(format!("{}: {error}", receipt.uetr));
                }
                if self.home.is_kept() {
                    self.write_receipt(&receipt)?;
                }
                verified += 1;
            }
        }
        self.figures.receipts += verified;
        let name = format!(
            "{} more receipts of the day's cycle, all verified",
            count(verified)
        );
        self.stage
            .check(&name, failed.is_none() && verified > 0, || {
                failed.clone().unwrap_or_default()
            })
    }

    /// Each byte changed in turn: never verified, and the verifier says which part does not match.
    fn check_tampering(&mut self, receipt: &str, policy: &Policy) -> Result<(), CliError> {
        let mut bytes = receipt.as_bytes().to_vec();
        let mut reasons: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            let reason = match valuta_verify::verify(&bytes, policy) {
                Ok(_) => "verified".to_owned(),
                Err(error) => error.to_string(),
            };
            reasons.entry(reason).or_insert((0, at)).0 += 1;
            bytes[at] ^= 1;
        }
        let name = format!(
            "each of its {} bytes changed in turn: never verified",
            count(bytes.len())
        );
        let verified = reasons.get("verified").copied();
        self.stage
            .check(&name, verified.is_none(), || format!("{verified:?}"))?;
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, (number, _))| std::cmp::Reverse(*number));
        for (reason, (_, at)) in reasons.iter().take(REASONS_SHOWN) {
            self.stage.say(&format!("  byte {at}: {reason}"));
        }
        Ok(())
    }
}
