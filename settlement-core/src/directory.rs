//! Who and what there is: assets, participants and accounts, by name and by dense number.

use crate::command::{AccountLine, AccountState, AssetLine, ParticipantLine, ParticipantState};
use crate::event::Event;
use crate::ids::{AccountId, AssetId, Bic, ParticipantId};
use crate::table::Table;
use fx::AssetCode;

/// An account as the directory knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountEntry {
    /// Whose.
    pub participant: ParticipantId,
    /// In which asset.
    pub asset: AssetId,
    /// Open, blocked or closed.
    pub state: AccountState,
}

/// Assets, participants and accounts, each numbered densely in the order of its first event.
#[derive(Clone, Default)]
pub struct Directory {
    assets: Vec<AssetLine>,
    participants: Vec<ParticipantLine>,
    accounts: Vec<AccountEntry>,
    asset_ids: Table,
    participant_ids: Table,
    account_ids: Table,
}

fn account_key(participant: ParticipantId, asset: AssetId) -> u64 {
    u64::from(participant.0) << 16 | u64::from(asset.0)
}

impl Directory {
    /// Takes in what concerns the directory; ignores all else.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::AssetSet(line) => self.set_asset(*line),
            Event::ParticipantSet { bic, name, state } => self.set_participant(ParticipantLine {
                bic: *bic,
                name: name.clone(),
                state: *state,
            }),
            Event::AccountSet(line) => self.set_account(line),
            _ => {}
        }
    }

    fn set_asset(&mut self, line: AssetLine) {
        match self.asset_id(line.code) {
            Some(id) => self.assets[usize::from(id.0)] = line,
            None => {
                let id = u16::try_from(self.assets.len()).expect("decided: ids are 16 bits");
                self.asset_ids.insert(line.code.packed(), u32::from(id));
                self.assets.push(line);
            }
        }
    }

    fn set_participant(&mut self, line: ParticipantLine) {
        match self.participant_id(line.bic) {
            Some(id) => self.participants[usize::from(id.0)] = line,
            None => {
                let id = u16::try_from(self.participants.len()).expect("decided: ids are 16 bits");
                self.participant_ids
                    .insert(line.bic.packed(), u32::from(id));
                self.participants.push(line);
            }
        }
    }

    fn set_account(&mut self, line: &AccountLine) {
        let participant = self.participant_id(line.participant);
        let participant = participant.expect("decided: an account's participant is known");
        let asset = self.asset_id(line.asset);
        let asset = asset.expect("decided: an account's asset is known");
        let state = line.state;
        match self.account_id(participant, asset) {
            Some(id) => self.accounts[id.0 as usize].state = state,
            None => {
                let id = u32::try_from(self.accounts.len()).expect("below 2^32 pairs of ids");
                self.account_ids.insert(account_key(participant, asset), id);
                self.accounts.push(AccountEntry {
                    participant,
                    asset,
                    state,
                });
            }
        }
    }

    /// The asset of a code.
    #[inline]
    pub fn asset_id(&self, code: AssetCode) -> Option<AssetId> {
        let id = self.asset_ids.get(code.packed())?;
        Some(AssetId(u16::try_from(id).expect("numbered as u16")))
    }

    /// The participant of a BIC.
    #[inline]
    pub fn participant_id(&self, bic: Bic) -> Option<ParticipantId> {
        let id = self.participant_ids.get(bic.packed())?;
        Some(ParticipantId(u16::try_from(id).expect("numbered as u16")))
    }

    /// A participant's account in an asset.
    #[inline]
    pub fn account_id(&self, participant: ParticipantId, asset: AssetId) -> Option<AccountId> {
        let id = self.account_ids.get(account_key(participant, asset))?;
        Some(AccountId(id))
    }

    /// An asset's line. Panics for an id that no event gave.
    pub fn asset(&self, id: AssetId) -> &AssetLine {
        &self.assets[usize::from(id.0)]
    }

    /// A participant's line. Panics for an id that no event gave.
    pub fn participant(&self, id: ParticipantId) -> &ParticipantLine {
        &self.participants[usize::from(id.0)]
    }

    /// Whether a participant is suspended. Panics for an id that no event gave.
    pub fn is_suspended(&self, id: ParticipantId) -> bool {
        self.participant(id).state == ParticipantState::Suspended
    }

    /// An account. Panics for an id that no event gave.
    pub fn account(&self, id: AccountId) -> &AccountEntry {
        &self.accounts[id.0 as usize]
    }

    /// The BIC and the asset code that an account goes by. Panics for an id that no event gave.
    pub fn account_names(&self, id: AccountId) -> (Bic, AssetCode) {
        let entry = self.account(id);
        (
            self.participant(entry.participant).bic,
            self.asset(entry.asset).code,
        )
    }

    /// All assets, by id.
    pub fn assets(&self) -> &[AssetLine] {
        &self.assets
    }

    /// All participants, by id.
    pub fn participants(&self) -> &[ParticipantLine] {
        &self.participants
    }

    /// All accounts, by id.
    pub fn accounts(&self) -> &[AccountEntry] {
        &self.accounts
    }
}
