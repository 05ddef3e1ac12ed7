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
//! | [`fraction`]   | [`Fraction`], any sign, 250 bits       | exact, or none                               |
//! | [`conversion`] | [`convert`], [`Conversion`]            | rounds once, and keeps the residual          |
//! | [`euro`]       | conversion by regulation (EC) 1103/97  | rounds twice, as the regulation says         |
//! | [`historic`]   | currencies that are no more            | irrevocable rates                            |
//! | [`ecb`]        | [`ReferenceRates`], a file of the ECB  | refuses what it does not know                |
//! | [`pair`]       | [`Pair`], `BASE/QUOTE`                 | -                                            |
//! | [`rate_quote`] | [`RateQuote`], bid and ask             | mid not rounded                              |
//! | [`rate_book`]  | [`RateBook`]                           | direct, inverse or cross                     |
//! | [`provider_book`] | [`ProviderBook`]                    | best of many, direct, inverse or cross       |
//! | [`quote`]      | [`QuoteTerms`], a locked price         | rounds the side that is not fixed, once      |
//! | [`valuation`]  | [`ValuationRate`], 12 decimals         | rounds once, then values exactly in 256 bits |
//! | [`mod@split`]  | shares of a whole                      | sums to the whole                            |
//! | [`calendar`]   | [`Calendars`], spot dates, cut-offs    | a date beyond the figures is an error        |

pub mod amount;
pub mod asset;
pub mod calendar;
pub mod conversion;
pub mod ecb;
pub mod euro;
pub mod fraction;
pub mod historic;
pub mod pair;
pub mod provider_book;
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
pub use calendar::{Calendar, CalendarError, Calendars, CutoffError, Day, LocalCutoff, spot_date};
pub use conversion::{Conversion, ConvertError, convert, residual};
pub use ecb::{EcbError, NoRates, ReferenceDay, ReferenceRates};
pub use ethnum::I256;
pub use euro::{EuroConversion, EuroError, EuroLeg, EuroRate, convert_through_euro};
pub use fraction::Fraction;
pub use historic::{ReplacedByEuro, all_replaced_by_euro, known_minor_units, replaced_by_euro};
pub use pair::{Pair, PairError};
pub use provider_book::{Asked, BestRate, ProviderBook, ProviderBookError, ProviderRate, Side};
pub use quote::{FixedSide, PricedQuote, QuoteError, QuoteTerms, TakerSide};
pub use rate::{Rate, RateError};
pub use rate_book::{Cross, RateBook, RateBookError, shortest_chain};
pub use rate_quote::{Price, RateQuote, RateQuoteError};
pub use rounding::Rounding;
pub use split::{SplitError, split};
pub use valuation::{VALUATION_DECIMALS, VALUE_DECIMALS, ValuationRate, valuation_rate};
