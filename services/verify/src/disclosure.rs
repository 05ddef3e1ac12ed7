//! `valuta.disclosure/v1`: chosen members of a batch, for an auditor; nothing of the others.

use crate::error::VerifyError;
use crate::member::{Member, MemberOpening, check_count};
use crate::proof::Entry;
use crate::step::Step;
use crate::text::{self, Lines};

/// What a disclosure proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosed {
    /// The batch, in its log.
    pub entry: Entry,
    /// The disclosed members, ascending by index.
    pub members: Vec<Member>,
}

/// The lines after the opening, not yet believed.
pub(crate) struct Disclosure {
    count: u64,
    members: Vec<MemberOpening>,
}

impl Disclosure {
    pub(crate) fn parse(lines: &mut Lines<'_>) -> Result<Self, VerifyError> {
        let count = lines.take("count ", text::number, "`count` and a number expected")?;
        let mut members: Vec<MemberOpening> = Vec::new();
        while members.is_empty() || lines.peek("member ") {
            let index = lines.take("member ", text::number, "`member` and its index expected")?;
            if members.last().is_some_and(|last| last.index() >= index) {
                return Err(lines.wrong("members must ascend by index"));
            }
            members.push(MemberOpening::parse(lines, index)?);
        }
        Ok(Self { count, members })
    }

    pub(crate) fn check(
        self,
        entry: Entry,
        step: &mut dyn FnMut(Step),
    ) -> Result<Disclosed, VerifyError> {
        check_count(self.count, &entry.header.members)?;
        let mut members = Vec::with_capacity(self.members.len());
        for opening in self.members {
            let index = opening.index();
            let member = opening.check(&entry.header.members, step);
            let reason = |reason| VerifyError::Member {
                index,
                reason: Box::new(reason),
            };
            members.push(member.map_err(reason)?);
        }
        Ok(Disclosed { entry, members })
    }
}
