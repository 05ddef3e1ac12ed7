//! Who and what there is: assets, participants and accounts, by name and by dense number.

use crate::chunks::Chunks;
use crate::command::{AccountLine, AccountState, AssetLine, ParticipantLine, ParticipantState};
use crate::event::Event;
use crate::ids::{AccountId, AssetId, Bic, ParticipantId};
use crate::shared::Freeze;
use crate::table::Table;
use fx::AssetCode;
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::sync::Arc;

/// An account as the directory knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct AccountEntry {
    /// Whose.
    #[n(0)]
    pub participant: ParticipantId,
    /// In which asset.
    #[n(1)]
    pub asset: AssetId,
    /// Open, blocked or closed.
    #[n(2)]
    pub state: AccountState,
}

/// Assets, participants and accounts, each numbered densely in the order of its first event.
#[derive(Clone, Default)]
pub struct Directory {
    assets: Arc<Vec<AssetLine>>,
    participants: Arc<Vec<ParticipantLine>>,
    accounts: Chunks<AccountEntry>,
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
            Some(id) => Arc::make_mut(&mut self.assets)[usize::from(id.0)] = line,
            None => {
                let id = self.asset_ids.insert(line.code.packed());
                assert!(u16::try_from(id).is_ok(), "decided: ids are 16 bits");
                Arc::make_mut(&mut self.assets).push(line);
            }
        }
    }

    fn set_participant(&mut self, line: ParticipantLine) {
        match self.participant_id(line.bic) {
            Some(id) => Arc::make_mut(&mut self.participants)[usize::from(id.0)] = line,
            None => {
                let id = self.participant_ids.insert(line.bic.packed());
                assert!(u16::try_from(id).is_ok(), "decided: ids are 16 bits");
                Arc::make_mut(&mut self.participants).push(line);
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
                self.account_ids.insert(account_key(participant, asset));
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
    pub fn accounts(&self) -> impl Iterator<Item = &AccountEntry> {
        self.accounts.iter()
    }

    /// How many accounts there are.
    pub fn account_count(&self) -> usize {
        self.accounts.len()
    }
}

impl Freeze for Directory {
    fn freeze(&mut self) {
        let Self {
            assets: _,
            participants: _,
            accounts,
            asset_ids: _,
            participant_ids: _,
            account_ids: _,
        } = self;
        accounts.freeze();
    }
}

impl<C> Encode<C> for Directory {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let Self {
            assets,
            participants,
            accounts,
            asset_ids: _,
            participant_ids: _,
            account_ids: _,
        } = self;
        e.array(3)?;
        assets.as_slice().encode(e, ctx)?;
        participants.as_slice().encode(e, ctx)?;
        accounts.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Directory {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.array()? != Some(3) {
            return Err(minicbor::decode::Error::message("a directory has 3 parts"));
        }
        let mut directory = Self::default();
        for line in d.array_iter_with(ctx)? {
            directory.set_asset(line?);
        }
        for line in d.array_iter_with(ctx)? {
            directory.set_participant(line?);
        }
        for entry in d.array_iter_with(ctx)? {
            let entry: AccountEntry = entry?;
            let key = account_key(entry.participant, entry.asset);
            directory.account_ids.insert(key);
            directory.accounts.push(entry);
        }
        Ok(directory)
    }
}
