//! Pages (AIP-158): a size with a default and a maximum, and a token that says where the next begins.

use crate::errors::invalid;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::fmt::Display;
use tonic::Status;

/// Of a request that names no size.
pub const PAGE_SIZE_DEFAULT: usize = 100;
/// A larger one is taken as this.
pub const PAGE_SIZE_MAX: usize = 1_000;

/// Rows of one page.
pub(crate) fn size(page_size: i32) -> Result<usize, Status> {
    match usize::try_from(page_size) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => Err(invalid("page_size", "not below zero")),
    }
}

/// Opaque to callers: `name:place`, so that one list's token is no other's. Most places are numbers.
pub(crate) fn token(list: &str, next: impl Display) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{list}:{next}"))
}

/// `None` for the first page.
pub(crate) fn start(list: &str, token: &str) -> Result<Option<u64>, Status> {
    start_at(list, token, |place| place.parse().ok())
}

/// The same of a list whose places are no numbers; `read` knows their form.
pub(crate) fn start_at<P>(
    list: &str,
    token: &str,
    read: impl FnOnce(&str) -> Option<P>,
) -> Result<Option<P>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let next = BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| read(text.strip_prefix(list)?.strip_prefix(':')?));
    match next {
        Some(next) => Ok(Some(next)),
        None => Err(invalid("page_token", "not a token of this list")),
    }
}

/// The token of the page after `rows`; empty after the last. Lists read one row more than a page.
pub(crate) fn cut<T, P: Display>(
    rows: &mut Vec<T>,
    size: usize,
    list: &str,
    next: impl Fn(&T) -> P,
) -> String {
    if rows.len() <= size {
        return String::new();
    }
    rows.truncate(size);
    rows.last()
        .map_or_else(String::new, |last| token(list, next(last)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn tokens_belong_to_their_list() {
        let token = token("batches", 17);
        assert_eq!(start("batches", &token).unwrap(), Some(17));
        assert_eq!(start("batches", "").unwrap(), None);
        for (list, token) in [
            ("batch", token.as_str()),
            ("batches", "17"),
            ("batches", "!"),
        ] {
            assert!(start(list, token).is_err(), "{list} {token}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(size(0).unwrap(), PAGE_SIZE_DEFAULT);
        assert_eq!(size(7).unwrap(), 7);
        assert_eq!(size(i32::MAX).unwrap(), PAGE_SIZE_MAX);
        assert!(size(-1).is_err());
    }

    #[test]
    fn a_full_page_has_a_next_only_if_there_is_more() {
        let next = |row: &u64| *row;
        let mut rows = vec![9, 8, 7];
        assert_eq!(cut(&mut rows, 2, "l", next), token("l", 8));
        assert_eq!(rows, [9, 8]);
        assert_eq!(cut(&mut rows, 2, "l", next), "");
    }
}
