//! An instruction as one line of JSON: the wire's field names in lower camel case or as in the `.proto`, enums
//! by short or full name, times as RFC 3339, bytes as base64, amounts as text (a JSON number is refused).

use super::text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use valuta_proto::v1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    uetr: String,
    kind: String,
    lane: String,
    #[serde(default)]
    priority: String,
    instructing: String,
    created: String,
    #[serde(alias = "value_date")]
    value_date: String,
    legs: Vec<Leg>,
    #[serde(default, alias = "instruction_id")]
    instruction_id: String,
    #[serde(default, alias = "end_to_end_id")]
    end_to_end_id: String,
    #[serde(default, alias = "quote_id")]
    quote_id: String,
    #[serde(default, alias = "trade_reference")]
    trade_reference: String,
    #[serde(default)]
    remittance: String,
    #[serde(default)]
    purpose: String,
    #[serde(default, alias = "charge_bearer")]
    charge_bearer: String,
    #[serde(default, alias = "instructed_amount")]
    instructed_amount: String,
    #[serde(default, alias = "instructed_asset")]
    instructed_asset: String,
    #[serde(default, alias = "iso_message")]
    iso_message: String,
    #[serde(default, alias = "return_reason")]
    return_reason: String,
    #[serde(default)]
    conditions: Option<Conditions>,
}

/// Hashes as hexadecimal digits.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Conditions {
    #[serde(alias = "not_before")]
    pub not_before: String,
    #[serde(alias = "expires_at")]
    pub expires_at: String,
    pub approvers: Vec<String>,
    #[serde(alias = "approvals_needed")]
    pub approvals_needed: u32,
    #[serde(alias = "hash_lock")]
    pub hash_lock: String,
    #[serde(alias = "document_hash")]
    pub document_hash: String,
    #[serde(alias = "group_id")]
    pub group_id: String,
    #[serde(alias = "group_members")]
    pub group_members: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Leg {
    debtor: String,
    creditor: String,
    amount: String,
    asset: String,
    #[serde(default)]
    kind: String,
}

/// Reads one line.
///
/// # Errors
/// The field and what is wrong with it; a missing, unknown or wrongly typed one is named too.
pub fn parse(line: &str) -> Result<v1::Instruction, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    line.wire()
}

fn field<T>(name: &str, value: Result<T, String>) -> Result<T, String> {
    value.map_err(|error| format!("field {name}: {error}"))
}

impl Line {
    fn wire(self) -> Result<v1::Instruction, String> {
        let iso_message = STANDARD
            .decode(&self.iso_message)
            .map_err(|error| error.to_string());
        let legs = (0..).zip(self.legs).map(|(at, leg)| leg.wire(at));
        Ok(v1::Instruction {
            kind: field("kind", text::parse_kind(&self.kind))?,
            lane: field("lane", text::parse_lane(&self.lane))?,
            priority: field("priority", text::parse_priority(&self.priority))?,
            created: Some(field("created", text::parse_time(&self.created))?),
            legs: legs.collect::<Result<_, _>>()?,
            charge_bearer: field(
                "chargeBearer",
                text::parse_charge_bearer(&self.charge_bearer),
            )?,
            iso_message: field("isoMessage", iso_message)?,
            uetr: self.uetr,
            instructing: self.instructing,
            value_date: self.value_date,
            instruction_id: self.instruction_id,
            end_to_end_id: self.end_to_end_id,
            quote_id: self.quote_id,
            trade_reference: self.trade_reference,
            remittance: self.remittance,
            purpose: self.purpose,
            instructed_amount: self.instructed_amount,
            instructed_asset: self.instructed_asset,
            return_reason: self.return_reason,
            conditions: self.conditions.map(Conditions::wire).transpose()?,
        })
    }
}

impl Conditions {
    /// As the wire has them.
    ///
    /// # Errors
    /// The field and what is wrong with it.
    pub fn wire(self) -> Result<v1::Conditions, String> {
        let instant = |name: &str, text: &str| match text {
            "" => Ok(None),
            text => field(name, text::parse_time(text)).map(Some),
        };
        let hash = |name: &str, text: &str| field(name, text::parse_hex(text));
        Ok(v1::Conditions {
            not_before: instant("conditions.notBefore", &self.not_before)?,
            expires_at: instant("conditions.expiresAt", &self.expires_at)?,
            hash_lock: hash("conditions.hashLock", &self.hash_lock)?,
            document_hash: hash("conditions.documentHash", &self.document_hash)?,
            approvers: self.approvers,
            approvals_needed: self.approvals_needed,
            group_id: self.group_id,
            group_members: self.group_members,
        })
    }
}

impl Leg {
    fn wire(self, at: usize) -> Result<v1::Leg, String> {
        Ok(v1::Leg {
            kind: field(
                &format!("legs[{at}].kind"),
                text::parse_leg_kind(&self.kind),
            )?,
            debtor: self.debtor,
            creditor: self.creditor,
            amount: self.amount,
            asset: self.asset,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = r#"{"uetr":"eb6305c9-1f7f-49de-aed0-16487c27b42d","kind":"payment","lane":"LANE_NET",
        "instructing":"AAAAUS33","created":"2026-04-13T06:00:00Z","valueDate":"2026-04-13",
        "legs":[{"debtor":"AAAAUS33","creditor":"BBBBDEFF","amount":"10.00","asset":"USD"}],
        "endToEndId":"E1","quote_id":"Q1","isoMessage":"aGk="}"#;

    #[test]
    fn names_come_in_both_forms() {
        let instruction = parse(GOOD).unwrap();
        assert_eq!(
            (instruction.kind, instruction.lane, instruction.priority),
            (1, 2, 0)
        );
        assert_eq!(
            (
                instruction.end_to_end_id.as_str(),
                instruction.quote_id.as_str()
            ),
            ("E1", "Q1")
        );
        assert_eq!(
            (&instruction.iso_message[..], instruction.legs.len()),
            (&b"hi"[..], 1)
        );
        let snake = GOOD
            .replace("valueDate", "value_date")
            .replace("endToEndId", "end_to_end_id");
        assert_eq!(parse(&snake).unwrap(), instruction);
    }

    #[test]
    fn conditions_are_read() {
        let conditions = r#","conditions":{"notBefore":"2026-04-13T07:00:00Z","approvers":["CCCCJPJT"],
            "approvals_needed":1,"hashLock":"00ff","groupId":"G","groupMembers":2}}"#;
        let line = format!("{}{conditions}", GOOD.strip_suffix('}').unwrap());
        let read = parse(&line).unwrap().conditions.unwrap();
        assert_eq!(
            read.not_before.map(|time| time.seconds),
            Some(1_776_063_600)
        );
        assert_eq!((read.approvers.len(), read.approvals_needed), (1, 1));
        assert_eq!(read.hash_lock, [0, 255]);
        assert_eq!((read.group_id.as_str(), read.group_members), ("G", 2));
        for (from, to, part) in [
            ("00ff", "0", "field conditions.hashLock"),
            ("07:00:00Z", "late", "field conditions.notBefore"),
            ("groupId", "group", "group"),
        ] {
            let error = parse(&line.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(part), "{to}: {error}");
        }
    }

    #[test]
    fn errors_name_the_field() {
        for (from, to, part) in [
            ("\"payment\"", "\"gift\"", "field kind"),
            ("LANE_NET", "LANE_FAST", "field lane"),
            ("2026-04-13T06:00:00Z", "now", "field created"),
            ("aGk=", "a", "field isoMessage"),
            ("\"10.00\"", "10.00", "floating point"),
            ("\"uetr\"", "\"ueter\"", "ueter"),
            ("\"instructing\":\"AAAAUS33\",", "", "instructing"),
            (
                "\"asset\":\"USD\"",
                "\"asset\":\"USD\",\"kind\":\"x\"",
                "field legs[0].kind",
            ),
        ] {
            let line = GOOD.replacen(from, to, 1);
            assert_ne!(line, GOOD, "{from}");
            let error = parse(&line).unwrap_err();
            assert!(error.contains(part), "{to}: {error}");
        }
    }
}
