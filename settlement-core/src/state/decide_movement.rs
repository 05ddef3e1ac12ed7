//! Movements: an agent's confirmation of real money, or a participant's transfer into its fund.

use super::State;
use super::cycles::{ACCOUNT_SUM_MAX, Cycle, at};
use super::decide_command::{invalid, not_permitted};
use crate::command::{AccountState, Caller, Movement, MovementKind, Refusal};
use crate::event::Event;
use crate::ids::{AccountId, AssetId};
use crate::rejection::Rejection;
use crate::risk::Funding;
use crate::view::CycleState;
use fx::{AmountError, DecimalText};

impl State {
    pub(super) fn decide_movement(
        &self,
        caller: Caller,
        movement: &Movement,
    ) -> Result<Vec<Event>, Refusal> {
        let names_cycle = match movement.kind {
            MovementKind::Deposit | MovementKind::Withdrawal => false,
            MovementKind::PayIn | MovementKind::PayOut | MovementKind::Transfer => true,
        };
        match movement.cycle {
            Some(_) if !names_cycle => return Err(invalid("cycle", "is not for this movement")),
            None if names_cycle => return Err(invalid("cycle", "is missing")),
            _ => {}
        }
        self.check_mover(caller, movement)?;
        let (account, amount) = self.resolve_movement(movement).map_err(Refusal::Rejected)?;
        self.check_movement(movement, account, amount)
            .map_err(Refusal::Rejected)?;
        Ok(vec![Event::Moved {
            kind: movement.kind,
            account,
            amount,
            cycle: movement.cycle,
        }])
    }

    fn check_mover(&self, caller: Caller, movement: &Movement) -> Result<(), Refusal> {
        if movement.kind == MovementKind::Transfer {
            return if caller == Caller::Participant(movement.participant) {
                Ok(())
            } else {
                Err(not_permitted(
                    "only the participant transfers into its fund",
                ))
            };
        }
        let Caller::Agent(bic) = caller else {
            return Err(not_permitted(
                "only the asset's settlement agent confirms this",
            ));
        };
        let asset = movement
            .asset
            .and_then(|code| self.directory.asset_id(code));
        match asset {
            Some(id) if self.directory.asset(id).agent != bic => Err(not_permitted(
                "the caller is not the asset's settlement agent",
            )),
            _ => Ok(()),
        }
    }

    /// The account and the minor units, in the order of the rules for legs.
    fn resolve_movement(&self, movement: &Movement) -> Result<(AccountId, i64), Rejection> {
        let leg = 0;
        let asset = movement
            .asset
            .and_then(|code| self.directory.asset_id(code));
        let asset = asset.ok_or(Rejection::AssetUnknown { leg })?;
        let line = self.directory.asset(asset);
        if !line.enabled {
            return Err(Rejection::AssetNotEnabled { leg });
        }
        let text = DecimalText {
            mantissa: movement.mantissa.ok_or(Rejection::AmountInvalid { leg })?,
            scale: movement.scale,
            negative: movement.negative,
        };
        let amount = text
            .to_minor_units(line.decimals)
            .map_err(|error| match error {
                AmountError::TooManyDecimals => Rejection::AmountHasTooManyDecimals { leg },
                AmountError::Negative | AmountError::TooLarge => Rejection::AmountInvalid { leg },
                AmountError::Zero => Rejection::AmountMustNotBeZero { leg },
            })?;
        let credits = matches!(movement.kind, MovementKind::Deposit | MovementKind::PayIn);
        Ok((self.movement_account(movement, asset, credits)?, amount))
    }

    fn movement_account(
        &self,
        movement: &Movement,
        asset: AssetId,
        credits: bool,
    ) -> Result<AccountId, Rejection> {
        let leg = 0;
        let pick = |creditor, debtor| if credits { creditor } else { debtor };
        let participant = self.directory.participant_id(movement.participant);
        let unknown = pick(
            Rejection::CreditorUnknown { leg },
            Rejection::DebtorUnknown { leg },
        );
        let participant = participant.ok_or(unknown)?;
        let account = self.directory.account_id(participant, asset);
        let account = account.ok_or(pick(
            Rejection::CreditorAccountUnknown { leg },
            Rejection::DebtorAccountUnknown { leg },
        ))?;
        match self.directory.account(account).state {
            AccountState::Open => {}
            AccountState::Closed => {
                return Err(pick(
                    Rejection::CreditorAccountClosed { leg },
                    Rejection::DebtorAccountClosed { leg },
                ));
            }
            AccountState::Blocked => return Err(Rejection::AccountBlocked { leg }),
        }
        // A suspended bank may still pay what it owes.
        if !credits && self.directory.is_suspended(participant) {
            return Err(Rejection::DebtorSuspended { leg });
        }
        Ok(account)
    }

    fn check_movement(
        &self,
        movement: &Movement,
        account: AccountId,
        amount: i64,
    ) -> Result<(), Rejection> {
        let cycle = movement.cycle.and_then(|name| self.cycle(name));
        let free = self.free(account);
        match movement.kind {
            MovementKind::Deposit => self.check_total(account, amount),
            MovementKind::Withdrawal => check_available(free, amount),
            MovementKind::PayIn => {
                taking(cycle)?;
                self.check_total(account, amount)
            }
            MovementKind::Transfer => {
                check_available(free, amount)?;
                taking(cycle).map(|_| ())
            }
            MovementKind::PayOut => self.check_pay_out(cycle, account, amount),
        }
    }

    /// What an asset's agent holds bounds every balance in the asset.
    fn check_total(&self, account: AccountId, amount: i64) -> Result<(), Rejection> {
        let asset = self.directory.account(account).asset;
        let total = i128::from(amount) - self.mirror(asset).balance();
        if total > i128::from(ACCOUNT_SUM_MAX) {
            return Err(Rejection::BalanceTooLarge);
        }
        Ok(())
    }

    /// Out of the fund while the cycle settles; then out of what is free.
    fn check_pay_out(
        &self,
        cycle: Option<&Cycle>,
        account: AccountId,
        amount: i64,
    ) -> Result<(), Rejection> {
        let cycle = cycle.filter(|cycle| cycle.state >= CycleState::Settling);
        let cycle = cycle.ok_or(Rejection::CycleNotTaking)?;
        let held = match cycle.state {
            CycleState::Completed => self.free(account),
            _ => at(&cycle.funds, account),
        };
        check_available(held, amount)?;
        if cycle.state == CycleState::Settling && cycle.model.funding == Funding::Continuous {
            self.check_continuous_pay_out(cycle, account, amount)?;
        }
        let due = cycle.line(account).map_or(0, |line| line.pay_out_due);
        if i128::from(at(&cycle.paid_out, account)) + i128::from(amount) > i128::from(due) {
            return Err(Rejection::AbovePayOutDue);
        }
        Ok(())
    }
}

fn check_available(held: i64, amount: i64) -> Result<(), Rejection> {
    if held < amount {
        return Err(Rejection::BalanceInsufficient);
    }
    Ok(())
}

/// A cycle takes money until it has completed.
fn taking(cycle: Option<&Cycle>) -> Result<&Cycle, Rejection> {
    let taking = cycle.filter(|cycle| cycle.state != CycleState::Completed);
    taking.ok_or(Rejection::CycleNotTaking)
}
