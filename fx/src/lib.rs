//! Currencies, amounts, rates and dates: everything about money that needs no account.
//!
//! Pure: no I/O, clock, randomness, float or map with a random order. Every operation is exact or
//! says by how much it is not; overflow is an error and never a wrap.
//!
//! | module         | noun                                   | exactness                                    |
//! |----------------|----------------------------------------|----------------------------------------------|
//! | [`asset`]      | [`AssetCode`], ISO 4217 minor units    | -                                            |
//! | [`amount`]     | [`DecimalText`], minor units           | refuses what does not fit, never rounds      |
//! | [`rate`]       | [`Rate`], a positive fraction          | inverse and cross are exact                  |
//! | [`rounding`]   | [`Rounding`], the named rules          | -                                            |
//! | [`conversion`] | [`convert`], [`Conversion`]            | rounds once, and keeps the residual          |
//! | [`euro`]       | conversion by regulation (EC) 1103/97  | rounds twice, as the regulation says         |
//! | [`pair`]       | [`Pair`], `BASE/QUOTE`                 | -                                            |
//! | [`rate_quote`] | [`RateQuote`], bid and ask             | mid not rounded                              |
//! | [`rate_book`]  | [`RateBook`]                           | direct, inverse or cross                     |
//! | [`quote`]      | [`QuoteTerms`], a locked price         | rounds the side that is not fixed, once      |
//! | [`valuation`]  | [`ValuationRate`], 12 decimals         | rounds once, then values exactly in 256 bits |
//! | [`mod@split`]  | shares of a whole                      | sums to the whole                            |
//! | [`calendar`]   | business days, spot, cut-offs          | -                                            |

pub mod amount;
pub mod asset;
pub mod calendar;
pub mod conversion;
pub mod euro;
pub mod pair;
pub mod quote;
pub mod rate;
pub mod rate_book;
pub mod rate_quote;
pub mod rounding;
pub mod split;
pub mod valuation;

pub use amount::{
    AmountError, AmountTextError, DECIMALS_MAX, DecimalText, MINOR_UNITS_MAX, format_minor_units,
};
pub use asset::{AssetCode, AssetText, iso_minor_units};
pub use calendar::{CutoffError, LocalCutoff, add_business_days, is_business_day, spot_date};
pub use conversion::{Conversion, ConvertError, convert};
pub use ethnum::I256;
pub use pair::{Pair, PairError};
pub use quote::{FixedSide, PricedQuote, QuoteError, QuoteTerms, TakerSide};
pub use rate::{Rate, RateError};
pub use rate_book::{RateBook, RateBookError};
pub use rate_quote::{Price, RateQuote, RateQuoteError};
pub use rounding::Rounding;
pub use split::{SplitError, split};
pub use valuation::{VALUATION_DECIMALS, VALUE_DECIMALS, ValuationRate, valuation_rate};
