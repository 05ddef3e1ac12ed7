//! `Conditions` as slices of the message that brought them, their canonical form, and their checks.

use super::check::{Checked, malformed, timestamp};
use super::protobuf::{self as pb, BYTES, Broken, Reader, VARINT};
use super::sent::{Form, Stamp, put_stamp, put_text, read_stamp};
use settlement_core::conditions::{
    APPROVERS_MAX, Approvals, Conditions, GROUP_MEMBERS_MAX, Group, Hash,
};
use settlement_core::ids::{Bic, Timestamp};
use settlement_core::instruction::{SHORT_TEXT_CHARS_MAX, ShortText};
use settlement_core::rejection::{Fault, Field};

/// Field numbers of `valuta.v1.Conditions`.
const NOT_BEFORE: u32 = 1;
const EXPIRES_AT: u32 = 2;
const APPROVERS: u32 = 3;
const APPROVALS_NEEDED: u32 = 4;
const HASH_LOCK: u32 = 5;
const DOCUMENT_HASH: u32 = 6;
const GROUP_ID: u32 = 7;
const GROUP_MEMBERS: u32 = 8;

/// The fewest members that make a group.
const GROUP_MEMBERS_MIN: u16 = 2;

/// An instruction's conditions as sent.
#[derive(Default)]
pub(super) struct ConditionsText<'a> {
    not_before: Option<Stamp>,
    expires_at: Option<Stamp>,
    approvers: [&'a [u8]; APPROVERS_MAX],
    /// May be above [`APPROVERS_MAX`]: those above are counted only.
    approvers_count: usize,
    approvals_needed: u32,
    hash_lock: &'a [u8],
    document_hash: &'a [u8],
    group_id: &'a [u8],
    group_members: u32,
}

impl<'a> ConditionsText<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<(Self, Form), Broken> {
        let (mut text, mut form) = (Self::default(), Form::CLEAN);
        let mut reader = Reader::new(bytes);
        let mut previous = 0;
        while let Some(key) = reader.key()? {
            match (key.number, key.wire) {
                (NOT_BEFORE, BYTES) => {
                    let stamp = text.not_before.get_or_insert_default();
                    form.join(read_stamp(reader.bytes()?, stamp)?);
                }
                (EXPIRES_AT, BYTES) => {
                    let stamp = text.expires_at.get_or_insert_default();
                    form.join(read_stamp(reader.bytes()?, stamp)?);
                }
                (APPROVERS, BYTES) => text.push_approver(reader.bytes()?),
                (APPROVALS_NEEDED, VARINT) => {
                    text.approvals_needed = read_number(&mut reader, &mut form)?;
                }
                (GROUP_MEMBERS, VARINT) => {
                    text.group_members = read_number(&mut reader, &mut form)?;
                }
                (HASH_LOCK, BYTES) => text.hash_lock = read_text(&mut reader, &mut form)?,
                (DOCUMENT_HASH, BYTES) => text.document_hash = read_text(&mut reader, &mut form)?,
                (GROUP_ID, BYTES) => text.group_id = read_text(&mut reader, &mut form)?,
                _ => {
                    form.join(Form::FOREIGN);
                    reader.skip(key)?;
                }
            }
            let again = (key.number, previous) == (APPROVERS, APPROVERS);
            form.canonical &= key.number > previous || again;
            previous = key.number;
        }
        form.canonical &= reader.minimal;
        Ok((text, form))
    }

    fn push_approver(&mut self, bic: &'a [u8]) {
        if let Some(slot) = self.approvers.get_mut(self.approvers_count) {
            *slot = bic;
        }
        self.approvers_count += 1;
    }

    /// The first [`APPROVERS_MAX`].
    pub(super) fn approvers(&self) -> &[&'a [u8]] {
        &self.approvers[..self.approvers_count.min(APPROVERS_MAX)]
    }

    /// Whether the canonical form can hold all of it.
    pub(super) fn fits(&self) -> bool {
        self.approvers_count <= APPROVERS_MAX
    }

    pub(super) fn put_canonical(&self, out: &mut Vec<u8>) {
        put_stamp(out, NOT_BEFORE, self.not_before);
        put_stamp(out, EXPIRES_AT, self.expires_at);
        for bic in self.approvers() {
            pb::put_bytes(out, APPROVERS, bic);
        }
        pb::put_number(out, APPROVALS_NEEDED, self.approvals_needed.into());
        put_text(out, HASH_LOCK, self.hash_lock);
        put_text(out, DOCUMENT_HASH, self.document_hash);
        put_text(out, GROUP_ID, self.group_id);
        pb::put_number(out, GROUP_MEMBERS, self.group_members.into());
    }

    /// Every field in its form. Conditions that ask for nothing are none.
    pub(super) fn check(&self) -> Checked<Option<Conditions>> {
        let conditions = Conditions {
            not_before: instant(self.not_before, Field::NotBefore)?,
            expires_at: instant(self.expires_at, Field::ExpiresAt)?,
            approvals: self.approvals()?,
            hash_lock: hash(self.hash_lock, Field::HashLock)?,
            document: hash(self.document_hash, Field::DocumentHash)?,
            group: self.group()?,
        };
        Ok((conditions != Conditions::default()).then_some(conditions))
    }

    fn approvals(&self) -> Checked<Option<Approvals>> {
        let (count, needed) = (self.approvers_count, self.approvals_needed);
        match (count, needed) {
            (0, 0) => return Ok(None),
            (0, _) => return malformed(Field::Approvers, Fault::Missing),
            _ if !self.fits() => return malformed(Field::Approvers, Fault::TooLong),
            _ => {}
        }
        let mut of: Vec<Bic> = Vec::with_capacity(count);
        for text in self.approvers() {
            match Bic::parse(text).filter(|bic| !of.contains(bic)) {
                Some(bic) => of.push(bic),
                None => return malformed(Field::Approvers, Fault::Malformed),
            }
        }
        match u8::try_from(needed) {
            Ok(0) => malformed(Field::ApprovalsNeeded, Fault::Missing),
            Ok(needed) if usize::from(needed) <= count => Ok(Some(Approvals { needed, of })),
            _ => malformed(Field::ApprovalsNeeded, Fault::Malformed),
        }
    }

    fn group(&self) -> Checked<Option<Group>> {
        let (text, members) = (self.group_id, self.group_members);
        if text.is_empty() {
            return match members {
                0 => Ok(None),
                _ => malformed(Field::GroupId, Fault::Missing),
            };
        }
        if text.len() > SHORT_TEXT_CHARS_MAX {
            return malformed(Field::GroupId, Fault::TooLong);
        }
        let Some(id) = ShortText::parse(text) else {
            return malformed(Field::GroupId, Fault::Malformed);
        };
        let wanted = GROUP_MEMBERS_MIN..=GROUP_MEMBERS_MAX;
        match u16::try_from(members) {
            Ok(0) => malformed(Field::GroupMembers, Fault::Missing),
            Ok(members) if wanted.contains(&members) => Ok(Some(Group { id, members })),
            _ => malformed(Field::GroupMembers, Fault::Malformed),
        }
    }
}

fn read_number(reader: &mut Reader<'_>, form: &mut Form) -> Result<u32, Broken> {
    let wide = reader.varint()?;
    // As protobuf has it: higher bits are dropped.
    let value = wide as u32;
    form.canonical &= value != 0 && u64::from(value) == wide;
    Ok(value)
}

fn read_text<'a>(reader: &mut Reader<'a>, form: &mut Form) -> Result<&'a [u8], Broken> {
    let text = reader.bytes()?;
    form.canonical &= !text.is_empty();
    Ok(text)
}

fn instant(stamp: Option<Stamp>, field: Field) -> Checked<Option<Timestamp>> {
    let Some(stamp) = stamp else {
        return Ok(None);
    };
    match timestamp(stamp.seconds, stamp.nanos) {
        Some(instant) => Ok(Some(instant)),
        None => malformed(field, Fault::Malformed),
    }
}

fn hash(bytes: &[u8], field: Field) -> Checked<Option<Hash>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match bytes.try_into() {
        Ok(bytes) => Ok(Some(Hash(bytes))),
        Err(_) => malformed(field, Fault::Malformed),
    }
}
