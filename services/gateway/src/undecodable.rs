//! A message that is not of its type is its sender's fault: tonic answers `INTERNAL`, callers get
//! `INVALID_ARGUMENT` with the field. Instructions have their own decoder and never come here.

use crate::errors::Failure;
use axum::response::Response;
use tonic::{Code, Status};

/// How tonic's codec begins what it says of such a message.
const DECODE_FAILED: &str = "failed to decode Protobuf message: ";

/// The answer to a call whose message was not decoded; every other answer as it is.
pub(crate) async fn blame_the_caller(response: Response) -> Response {
    match Status::from_header_map(response.headers()) {
        Some(status) if is_undecodable(&status) => to_sender(status).into_http(),
        _ => response,
    }
}

/// The same for what ended a stream of requests.
pub(crate) fn to_sender(status: Status) -> Status {
    if !is_undecodable(&status) {
        return status;
    }
    let failure = Failure::new(
        Code::InvalidArgument,
        "MESSAGE_UNDECODABLE",
        status.message(),
    );
    match field(status.message()).as_str() {
        "" => failure.into(),
        path => failure.field(path).into(),
    }
}

fn is_undecodable(status: &Status) -> bool {
    status.code() == Code::Internal && status.message().starts_with(DECODE_FAILED)
}

/// Innermost first: `Asset.code: Scheme.assets: invalid string value` names `assets.code`.
fn field(message: &str) -> String {
    let described = message.strip_prefix(DECODE_FAILED).unwrap_or_default();
    let steps = described.split(": ").map_while(|step| {
        let (message, field) = step.split_once('.')?;
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_name_byte);
        (is_name(message) && is_name(field)).then_some(field)
    });
    let mut path: Vec<_> = steps.collect();
    path.reverse();
    path.join(".")
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use prost::Message;
    use tonic_types::StatusExt;
    use valuta_proto::v1;

    fn check<M: Message + Default + std::fmt::Debug>(bytes: &[u8], expected: &str) {
        let error = M::decode(bytes).unwrap_err();
        let status = to_sender(Status::internal(error.to_string()));
        assert_eq!(status.code(), Code::InvalidArgument, "{error}");
        let details = status.get_error_details();
        let field = details
            .bad_request()
            .map(|request| request.field_violations[0].field.clone());
        assert_eq!(field.unwrap_or_default(), expected, "{error}");
    }

    #[test]
    fn the_field_is_named() {
        let text = [0x0a, 2, 0xc3, 0x28];
        check::<v1::GetInstructionRequest>(&text, "uetr");
        // The scheme's first asset's code.
        let nested = [&[0x1a, 8, 0x1a, 6, 0x0a, 4][..], &[0xff; 4]].concat();
        check::<v1::ApplySchemeRequest>(&nested, "scheme.assets.code");
        check::<v1::GetInstructionRequest>(&[0xff; 20], "");
    }

    #[test]
    fn other_failures_stay_what_they_are() {
        for status in [Status::internal("ours"), Status::not_found(DECODE_FAILED)] {
            assert_eq!(to_sender(status.clone()).code(), status.code());
        }
    }
}
