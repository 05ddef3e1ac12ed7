//! Scene 5: per currency, opening + in - out = closing = the settlement agent's mirror account.

use super::stage::count;
use super::*;
use valuta_proto::v1::ControlTotal;

impl Demo {
    /// Plays the scene.
    pub async fn control(&mut self) -> Result<(), CliError> {
        self.stage.scene("Control");
        let totals = self.session.control_totals().await?;
        self.show_totals(&totals);
        for total in &totals {
            let asset = self.world.asset(&total.asset);
            let minor = |text: &str| self.world.minor(asset, text);
            let closing = self
                .books
                .balance
                .iter()
                .map(|bank| bank[asset])
                .sum::<i128>();
            let found =
                [&total.r#in, &total.out, &total.closing, &total.mirror].map(|text| minor(text));
            let expected = [
                self.books.total_in[asset],
                self.books.total_out[asset],
                closing,
                closing,
            ];
            let holds = total.balanced && found == expected.map(Some);
            self.stage.check_quietly(
                "in - out = closing = mirror, as in the demo's own books",
                holds,
                || format!("{total:?} instead of {expected:?}"),
            )?;
            let is_sum = expected[0] - expected[1] == expected[2];
            self.stage
                .check_quietly("the demo's own books add up", is_sum, || {
                    format!("{expected:?}")
                })?;
        }
        let name = "in - out = closing = mirror, to the minor unit, in every currency";
        self.stage.check(name, totals.len() == ASSETS, || {
            format!("{} currencies", totals.len())
        })
    }

    /// One line for each currency; the day began with nothing.
    pub fn show_totals(&self, totals: &[ControlTotal]) {
        let widths = [-8, 9, 22, 22, 22, 22, -8];
        self.stage.row(
            &widths,
            &[
                "currency",
                "opening",
                "+ in",
                "- out",
                "= closing",
                "= mirror",
                "",
            ],
        );
        for total in totals {
            let amounts = [&total.r#in, &total.out, &total.closing, &total.mirror].map(count);
            let verdict = if total.balanced { "balanced" } else { "BROKEN" };
            let cells = [
                &total.asset,
                "0",
                &amounts[0],
                &amounts[1],
                &amounts[2],
                &amounts[3],
                verdict,
            ];
            self.stage.row(&widths, &cells);
        }
    }
}
