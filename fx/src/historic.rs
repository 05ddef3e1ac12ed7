//! Currencies that are no more: their decimals, and what the euro's own are worth in euro for good.
//!
//! ISO 4217's list of historic codes has no minor units; the decimals here are those of the class
//! `java.util.Currency` of JDK 17. The conversion rates are those of Council Regulation (EC) No 2866/98 and
//! its amendments: one euro in the national currency, six significant figures, irrevocable.
//!
//! | from       | regulation           | currencies                                          |
//! |------------|----------------------|-----------------------------------------------------|
//! | 1999-01-01 | (EC) No 2866/98      | ATS BEF DEM ESP FIM FRF IEP ITL LUF NLG PTE         |
//! | 2001-01-01 | (EC) No 1478/2000    | GRD                                                 |
//! | 2007-01-01 | (EC) No 1086/2006    | SIT                                                 |
//! | 2008-01-01 | (EC) No 1135/2007, 1134/2007 | CYP MTL                                     |
//! | 2009-01-01 | (EC) No 694/2008     | SKK                                                 |
//! | 2011-01-01 | (EU) No 671/2010     | EEK                                                 |
//! | 2014-01-01 | (EU) No 870/2013     | LVL                                                 |
//! | 2015-01-01 | (EU) No 851/2014     | LTL                                                 |
//! | 2023-01-01 | (EU) 2022/1208       | HRK                                                 |
//! | 2026-01-01 | (EU) 2025/1409       | BGN                                                 |

use chrono::NaiveDate;

use crate::asset::{AssetCode, iso_minor_units};
use crate::euro::EuroRate;

/// A currency that the euro replaced: code, decimals, one euro in it, and the year of the change, which
/// was on 1 January.
const REPLACED: [(&str, u8, &str, i32); 21] = [
    ("ATS", 2, "13.7603", 1999),
    ("BEF", 0, "40.3399", 1999),
    ("BGN", 2, "1.95583", 2026),
    ("CYP", 2, "0.585274", 2008),
    ("DEM", 2, "1.95583", 1999),
    ("EEK", 2, "15.6466", 2011),
    ("ESP", 0, "166.386", 1999),
    ("FIM", 2, "5.94573", 1999),
    ("FRF", 2, "6.55957", 1999),
    ("GRD", 0, "340.750", 2001),
    ("HRK", 2, "7.53450", 2023),
    ("IEP", 2, "0.787564", 1999),
    ("ITL", 0, "1936.27", 1999),
    ("LTL", 2, "3.45280", 2015),
    ("LUF", 0, "40.3399", 1999),
    ("LVL", 2, "0.702804", 2014),
    ("MTL", 2, "0.429300", 2008),
    ("NLG", 2, "2.20371", 1999),
    ("PTE", 0, "200.482", 1999),
    ("SIT", 2, "239.640", 2007),
    ("SKK", 2, "30.1260", 2009),
];

/// Currencies that were revalued, and have another code since: code and decimals. No rate holds for good.
const REVALUED: [(&str, u8); 2] = [("ROL", 0), ("TRL", 0)];

/// What the euro replaced a currency at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplacedByEuro {
    /// The currency.
    pub currency: AssetCode,
    /// One euro in it, irrevocably.
    pub rate: EuroRate,
    /// The first day on which the rate holds.
    pub from: NaiveDate,
}

/// The decimals of a currency of ISO 4217, or of one that the euro's reference rates ever had or the euro
/// replaced. `None` for every other code.
#[must_use]
pub fn known_minor_units(code: AssetCode) -> Option<u8> {
    let named = code.as_str();
    let replaced = REPLACED.iter().find(|line| named == line.0);
    let replaced = replaced.map(|line| line.1);
    let revalued = || REVALUED.iter().find(|line| named == line.0);
    replaced
        .or_else(|| Some(revalued()?.1))
        .or_else(|| iso_minor_units(code))
}

/// At what rate, and since when, the euro has replaced a currency; `None` if it has not.
#[must_use]
pub fn replaced_by_euro(code: AssetCode) -> Option<ReplacedByEuro> {
    let named = code.as_str();
    let (_, _, rate, year) = REPLACED.iter().find(|line| named == line.0)?;
    Some(ReplacedByEuro {
        currency: code,
        rate: EuroRate::parse(rate).expect("an irrevocable rate has six figures"),
        from: NaiveDate::from_ymd_opt(*year, 1, 1).expect("every year has a first day"),
    })
}

/// Every currency that the euro has replaced, by code.
pub fn all_replaced_by_euro() -> impl Iterator<Item = ReplacedByEuro> {
    REPLACED.iter().map(|(code, ..)| {
        let code = code.parse().expect("the table's codes are codes");
        replaced_by_euro(code).expect("the table has it")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// JDK 17, `Currency.getInstance(code).getDefaultFractionDigits()`, of the ECB's file and the euro's.
    const JDK_17: [(u8, &str); 2] = [
        (0, "JPY ROL ISK TRL KRW BEF ESP GRD ITL LUF PTE"),
        (
            2,
            "USD BGN CYP CZK DKK EEK GBP HUF LTL LVL MTL PLN RON SEK SIT SKK CHF NOK HRK RUB TRY AUD BRL CAD \
             CNY HKD IDR ILS INR MXN MYR NZD PHP SGD THB ZAR EUR ATS DEM FIM FRF IEP NLG",
        ),
    ];

    #[test]
    fn decimals_are_those_of_the_jdk() {
        for (decimals, codes) in JDK_17 {
            for code in codes.split_whitespace() {
                assert_eq!(
                    known_minor_units(code.parse().unwrap()),
                    Some(decimals),
                    "{code}"
                );
            }
        }
        for code in ["XEU", "XAU", "ZZZ", "USDC", "KWDX"] {
            assert_eq!(known_minor_units(code.parse().unwrap()), None, "{code}");
        }
        assert_eq!(known_minor_units("KWD".parse().unwrap()), Some(3));
    }

    #[test]
    fn irrevocable_rates_are_known_from_their_first_day() {
        for (code, rate, from) in [
            ("DEM", "195583/100000", "1999-01-01"),
            ("GRD", "1363/4", "2001-01-01"),
            ("SIT", "5991/25", "2007-01-01"),
            ("BGN", "195583/100000", "2026-01-01"),
        ] {
            let found = replaced_by_euro(code.parse().unwrap()).unwrap();
            let text = (found.rate.rate().to_string(), found.from.to_string());
            assert_eq!(text, (rate.to_owned(), from.to_owned()), "{code}");
        }
        for code in ["EUR", "TRL", "ROL", "USD"] {
            assert_eq!(replaced_by_euro(code.parse().unwrap()), None, "{code}");
        }
        assert_eq!(all_replaced_by_euro().count(), REPLACED.len());
        assert!(REPLACED.is_sorted());
    }
}
