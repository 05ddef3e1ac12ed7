//! `valuta.balance/v1` and `valuta.posting/v1`: one line of a batch's balances or postings.

use crate::error::VerifyError;
use crate::header::ListRoot;
use crate::merkle::{Hash, joined, leaf_hash, root_from_path, sha256};
use crate::pedersen::{self, Blinding};
use crate::proof::Entry;
use crate::step::Step;
use crate::text::{self, Lines};

/// What a balance or posting proof proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLine {
    /// The batch, in its log.
    pub entry: Entry,
    /// Zero-based index in the list.
    pub index: u64,
    /// How many the list has.
    pub count: u64,
    /// Whose account: a BIC, or the settlement agent's identifier for its mirror account.
    pub participant: String,
    /// Currency or token.
    pub asset: String,
    /// In minor units: a balance after the batch, or a posting's change.
    pub amount: i128,
}

/// A balance's lines after the opening, not yet believed.
pub(crate) struct Balance {
    index: u64,
    count: u64,
    content: Content,
    digest: Hash,
    salt: Hash,
    commitment: Hash,
    path: Vec<Hash>,
}

/// A posting's lines after the opening, not yet believed.
pub(crate) struct Posting {
    index: u64,
    count: u64,
    content: Content,
    salt: Hash,
    blinding: Blinding,
    path: Vec<Hash>,
}

/// `<participant> <asset> <amount>`
struct Content {
    text: String,
    participant: String,
    asset: String,
    amount: i128,
}

const CONTENT_EXPECTED: &str = "`content` and base64 of participant, asset and amount expected";
const SALT_EXPECTED: &str = "`salt` and 32 bytes of base64 expected";

impl Balance {
    const LIST: &str = "balances";

    pub(crate) fn parse(lines: &mut Lines<'_>) -> Result<Self, VerifyError> {
        let (index, count) = lines.take(
            "balance ",
            text::index_of_count,
            "`balance`, index and count expected",
        )?;
        Ok(Self {
            index,
            count,
            content: lines.take("content ", Content::parse, CONTENT_EXPECTED)?,
            digest: lines.take("digest ", text::hash, "`digest` and a hash expected")?,
            salt: lines.take("salt ", text::hash, SALT_EXPECTED)?,
            commitment: lines.take(
                "commitment ",
                text::hash,
                "`commitment` and a hash expected",
            )?,
            path: lines.path()?,
        })
    }

    pub(crate) fn check(
        self,
        entry: Entry,
        step: &mut dyn FnMut(Step),
    ) -> Result<AccountLine, VerifyError> {
        let (list, index, balances) = (Self::LIST, self.index, entry.header.balances);
        let count = check_count(list, self.count, &balances)?;
        let root = root_from_path(leaf_hash(&self.commitment), index, count, &self.path);
        if root != Some(balances.root) {
            return Err(VerifyError::BalancePath);
        }
        step(Step::Path { list, index, count });
        let content = self.content.text.as_bytes();
        if sha256(content) != self.digest {
            return Err(VerifyError::Content);
        }
        if joined(&[&self.salt, content]) != self.commitment {
            return Err(VerifyError::Salt);
        }
        step(Step::Content { list, index });
        Ok(self.content.line(entry, index, count))
    }
}

impl Posting {
    const LIST: &str = "postings";

    pub(crate) fn parse(lines: &mut Lines<'_>) -> Result<Self, VerifyError> {
        let (index, count) = lines.take(
            "posting ",
            text::index_of_count,
            "`posting`, index and count expected",
        )?;
        Ok(Self {
            index,
            count,
            content: lines.take("content ", Content::parse, CONTENT_EXPECTED)?,
            salt: lines.take("salt ", text::hash, SALT_EXPECTED)?,
            blinding: lines.take(
                "blinding ",
                pedersen::blinding,
                "`blinding` and base64 of a scalar expected",
            )?,
            path: lines.path()?,
        })
    }

    pub(crate) fn check(
        self,
        entry: Entry,
        step: &mut dyn FnMut(Step),
    ) -> Result<AccountLine, VerifyError> {
        let (list, index, postings) = (Self::LIST, self.index, entry.header.postings);
        let count = check_count(list, self.count, &postings)?;
        // The leaf follows from the content, so there is no commitment to find in the tree first.
        let leaf = leaf_hash(self.leaf().as_bytes());
        if root_from_path(leaf, index, count, &self.path) != Some(postings.root) {
            return Err(VerifyError::PostingPath);
        }
        step(Step::Path { list, index, count });
        step(Step::Content { list, index });
        Ok(self.content.line(entry, index, count))
    }

    /// `<asset> <point> <commitment>`
    fn leaf(&self) -> String {
        let commitment = joined(&[&self.salt, self.content.text.as_bytes()]);
        format!(
            "{} {} {}",
            self.content.asset,
            text::encode(&pedersen::point(self.content.amount, &self.blinding)),
            text::encode(&commitment),
        )
    }
}

impl Content {
    fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8(text::base64(text)?).ok()?;
        let (names, number) = text.rsplit_once(' ')?;
        let (participant, asset) = names.split_once(' ')?;
        let amount: i128 = number.parse().ok()?;
        let is_canonical = amount.to_string() == number;
        let names = (text::token(participant)?, text::token(asset)?);
        let (participant, asset) = (names.0.to_owned(), names.1.to_owned());
        is_canonical.then_some(Self {
            text,
            participant,
            asset,
            amount,
        })
    }

    fn line(self, entry: Entry, index: u64, count: u64) -> AccountLine {
        AccountLine {
            entry,
            index,
            count,
            participant: self.participant,
            asset: self.asset,
            amount: self.amount,
        }
    }
}

/// The count, if it is the header's.
fn check_count(list: &'static str, found: u64, root: &ListRoot) -> Result<u64, VerifyError> {
    let header = root.count;
    match found == header {
        true => Ok(header),
        false => Err(VerifyError::Count {
            list,
            found,
            header,
        }),
    }
}
