//! JSON to a form. Every value is first kept as it stands in the text, so each knows its line, and is then
//! read where its path is known.

use super::form::{
    AccountForm, AssetForm, CapForm, Fault, Form, InstructionForm, LegForm, LimitForm,
    ParticipantForm, Style, Text,
};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// How much of a wrong value is shown.
const SHOWN_CHARS_MAX: usize = 40;

/// A value as it was written, if it was: `null` is one too.
#[derive(Clone, Copy, Default)]
struct Raw<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self(Some(raw)))
    }
}

/// An object of any keys, in their order.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// The objects of the format: every field by its name, any of them absent, no other.
macro_rules! object {
    ($name:ident { $($field:ident),* }) => {
        #[derive(Deserialize, Default)]
        #[serde(default, deny_unknown_fields)]
        struct $name<'a> {
            $(#[serde(borrow)] $field: Raw<'a>,)*
        }
    };
}

object!(Top {
    base,
    rates,
    haircuts,
    order,
    goal,
    assets,
    participants,
    accounts,
    bilateral_caps,
    queue
});
object!(Asset { code, decimals });
object!(Participant {
    bic,
    aggregate_short_limit,
    account_value_test
});
object!(Account {
    participant,
    asset,
    amount,
    short_limit
});
object!(Cap {
    from,
    to,
    asset,
    amount
});
object!(Instruction {
    id,
    priority,
    group,
    legs
});
object!(Leg {
    debtor,
    creditor,
    asset,
    amount
});

/// Reads a whole file.
pub fn read(content: &str) -> Result<Form<'_>, Fault> {
    let reader = Reader::new(content);
    let top: Top<'_> = reader.object(content, "")?;
    let here = At {
        path: String::new(),
        line: 1,
    };
    Ok(Form {
        style: Style::Json,
        base: reader.text(&here, "base", top.base)?,
        order: reader.text(&here, "order", top.order)?,
        goal: reader.text(&here, "goal", top.goal)?,
        rates: reader.entries("rates", top.rates)?,
        haircuts: reader.entries("haircuts", top.haircuts)?,
        assets: reader.list("assets", top.assets, Reader::asset)?,
        participants: reader.list("participants", top.participants, Reader::participant)?,
        accounts: reader.list("accounts", top.accounts, Reader::account)?,
        caps: reader.list("bilateral_caps", top.bilateral_caps, Reader::cap)?,
        queue: reader.list("queue", top.queue, Reader::instruction)?,
    })
}

/// Where an object is.
struct At {
    path: String,
    line: usize,
}

impl At {
    fn of(&self, field: &str) -> String {
        match self.path.as_str() {
            "" => field.to_owned(),
            path => format!("{path}.{field}"),
        }
    }
}

struct Reader<'a> {
    content: &'a str,
    /// Where each line starts.
    starts: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn new(content: &'a str) -> Self {
        let ends = content
            .bytes()
            .enumerate()
            .filter(|&(_, byte)| byte == b'\n');
        let starts = ends.map(|(end, _)| end + 1);
        Self {
            content,
            starts: std::iter::once(0).chain(starts).collect(),
        }
    }

    /// The line of a part of the content.
    fn line(&self, part: &str) -> usize {
        let offset = part.as_ptr().addr() - self.content.as_ptr().addr();
        self.starts.partition_point(|&start| start <= offset)
    }

    fn parse<T: Deserialize<'a>>(&self, part: &'a str, path: &str) -> Result<T, Fault> {
        serde_json::from_str(part).map_err(|error| {
            // Lines are counted from the part's own start.
            let line = self.line(part) + error.line().saturating_sub(1);
            let text = error.to_string();
            let reason = text.split(" at line ").next().unwrap_or(&text);
            Fault::new(line, path, reason)
        })
    }

    /// One of the format's objects: a list in its place would be read by position.
    fn object<T: Deserialize<'a>>(&self, part: &'a str, path: &str) -> Result<T, Fault> {
        let part = part.trim_start();
        if part.starts_with('{') {
            return self.parse(part, path);
        }
        Err(Fault::new(self.line(part), path, "must be an object"))
    }

    /// A text, if the field is there and not `null`.
    fn text(&self, at: &At, field: &str, raw: Raw<'a>) -> Result<Option<Text<'a>>, Fault> {
        match raw.0 {
            Some(raw) if raw.get() != "null" => self.text_of(raw, || at.of(field)).map(Some),
            _ => Ok(None),
        }
    }

    fn needed(&self, at: &At, field: &str, raw: Raw<'a>) -> Result<Text<'a>, Fault> {
        let text = self.text(at, field, raw)?;
        text.ok_or_else(|| Fault::new(at.line, at.of(field), "missing"))
    }

    fn text_of(&self, raw: &'a RawValue, path: impl Fn() -> String) -> Result<Text<'a>, Fault> {
        let (written, line) = (raw.get(), self.line(raw.get()));
        if !written.starts_with('"') {
            let shown: String = written.chars().take(SHOWN_CHARS_MAX).collect();
            let reason = format!("must be text in quotes, not {shown}");
            return Err(Fault::new(line, path(), reason));
        }
        // Only a text without escapes can be borrowed.
        let text = match written[1..written.len() - 1].contains('\\') {
            false => Cow::Borrowed(&written[1..written.len() - 1]),
            true => Cow::Owned(self.parse::<String>(written, &path())?),
        };
        Ok(Text { text, line })
    }

    fn flag(&self, at: &At, field: &str, raw: Raw<'a>) -> Result<bool, Fault> {
        match raw.0 {
            Some(raw) => self.parse(raw.get(), &at.of(field)),
            None => Ok(false),
        }
    }

    /// An object of texts by any key.
    fn entries(&self, path: &str, raw: Raw<'a>) -> Result<Vec<(Text<'a>, Text<'a>)>, Fault> {
        let Some(raw) = raw.0 else {
            return Ok(Vec::new());
        };
        let entries: Entries<'a> = self.parse(raw.get(), path)?;
        let entry = |(key, value): (String, &'a RawValue)| {
            let value = self.text_of(value, || format!("{path}.{key}"))?;
            let (text, line) = (Cow::Owned(key), value.line);
            Ok((Text { text, line }, value))
        };
        entries.0.into_iter().map(entry).collect()
    }

    /// A list of objects.
    fn list<T>(
        &self,
        path: &str,
        raw: Raw<'a>,
        read: impl Fn(&Self, &'a str, At) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let Some(raw) = raw.0 else {
            return Ok(Vec::new());
        };
        let items: Vec<&'a RawValue> = self.parse(raw.get(), path)?;
        let item = |(place, item): (usize, &'a RawValue)| {
            let (path, line) = (format!("{path}[{place}]"), self.line(item.get()));
            read(self, item.get(), At { path, line })
        };
        items.into_iter().enumerate().map(item).collect()
    }

    fn asset(&self, part: &'a str, at: At) -> Result<AssetForm<'a>, Fault> {
        let asset: Asset<'a> = self.object(part, &at.path)?;
        let code = self.needed(&at, "code", asset.code)?;
        // A count is no amount: a number is what it should be.
        let path = at.of("decimals");
        let raw = asset.decimals.0;
        let raw = raw.ok_or_else(|| Fault::new(at.line, &path, "missing"))?;
        self.parse::<u8>(raw.get(), &path)?;
        let decimals = Text {
            text: Cow::Borrowed(raw.get()),
            line: self.line(raw.get()),
        };
        Ok(AssetForm { code, decimals })
    }

    fn participant(&self, part: &'a str, at: At) -> Result<ParticipantForm<'a>, Fault> {
        let item: Participant<'a> = self.object(part, &at.path)?;
        Ok(ParticipantForm {
            bic: self.needed(&at, "bic", item.bic)?,
            aggregate_short_limit: self.text(
                &at,
                "aggregate_short_limit",
                item.aggregate_short_limit,
            )?,
            account_value_test: self.flag(&at, "account_value_test", item.account_value_test)?,
        })
    }

    fn account(&self, part: &'a str, at: At) -> Result<AccountForm<'a>, Fault> {
        let item: Account<'a> = self.object(part, &at.path)?;
        let short_limit = match item.short_limit.0 {
            None => LimitForm::Zero,
            Some(_) => self
                .text(&at, "short_limit", item.short_limit)?
                .map_or(LimitForm::None, LimitForm::Of),
        };
        Ok(AccountForm {
            participant: self.needed(&at, "participant", item.participant)?,
            asset: self.needed(&at, "asset", item.asset)?,
            amount: self.text(&at, "amount", item.amount)?,
            short_limit,
        })
    }

    fn cap(&self, part: &'a str, at: At) -> Result<CapForm<'a>, Fault> {
        let item: Cap<'a> = self.object(part, &at.path)?;
        Ok(CapForm {
            from: self.needed(&at, "from", item.from)?,
            to: self.needed(&at, "to", item.to)?,
            asset: self.needed(&at, "asset", item.asset)?,
            amount: self.needed(&at, "amount", item.amount)?,
        })
    }

    fn instruction(&self, part: &'a str, at: At) -> Result<InstructionForm<'a>, Fault> {
        let item: Instruction<'a> = self.object(part, &at.path)?;
        Ok(InstructionForm {
            id: self.needed(&at, "id", item.id)?,
            priority: self.text(&at, "priority", item.priority)?,
            group: self.text(&at, "group", item.group)?,
            legs: self.list(&at.of("legs"), item.legs, Self::leg)?,
        })
    }

    fn leg(&self, part: &'a str, at: At) -> Result<LegForm<'a>, Fault> {
        let item: Leg<'a> = self.object(part, &at.path)?;
        Ok(LegForm {
            debtor: self.needed(&at, "debtor", item.debtor)?,
            creditor: self.needed(&at, "creditor", item.creditor)?,
            asset: self.needed(&at, "asset", item.asset)?,
            amount: self.needed(&at, "amount", item.amount)?,
        })
    }
}
