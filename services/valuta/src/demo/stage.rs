//! What the audience sees: sections, aligned columns, and every check by its name.
//!
//! Plain lines everywhere; a bar only on a terminal. A check is an assertion: the first that fails ends the
//! demo with exit code 1.

use crate::client::CliError;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Columns of a table line: right-aligned ones have a width above 0, left-aligned ones below.
type Widths<'a> = &'a [i32];

/// A demo goes on and ends its server even if nobody reads any more.
fn line(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The stage.
pub struct Stage {
    scene: u32,
    checks: u32,
    began: Instant,
}

impl Stage {
    /// An empty one; its clock runs from now on.
    pub fn new() -> Self {
        Self {
            scene: 0,
            checks: 0,
            began: Instant::now(),
        }
    }

    /// Since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// How many checks have held.
    pub fn checks(&self) -> u32 {
        self.checks
    }

    /// Begins a scene.
    pub fn scene(&mut self, title: &str) {
        self.scene += 1;
        let head = format!("{}. {title}", self.scene);
        line(format_args!("\n{head}\n{}", "-".repeat(head.len())));
    }

    /// A heading without a number.
    pub fn heading(&self, title: &str) {
        line(format_args!("\n{title}\n{}", "=".repeat(title.len())));
    }

    /// One line.
    pub fn say(&self, text: &str) {
        line(format_args!("{}", format!("  {text}").trim_end()));
    }

    /// A label and its value.
    pub fn fact(&self, label: &str, value: &str) {
        line(format_args!("  {label:<30} {value}"));
    }

    /// One line of a table.
    pub fn row(&self, widths: Widths<'_>, cells: &[&str]) {
        let mut row = String::from("   ");
        for (width, cell) in widths.iter().zip(cells) {
            let size = width.unsigned_abs() as usize;
            let cell = if *width < 0 {
                format!(" {cell:<size$}")
            } else {
                format!(" {cell:>size$}")
            };
            row.push_str(&cell);
        }
        line(format_args!("{}", row.trim_end()));
    }

    /// Something that must hold; said aloud.
    ///
    /// # Errors
    /// [`CliError::Refused`] with the check's name and what was found instead.
    pub fn check(
        &mut self,
        name: &str,
        holds: bool,
        found: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        self.check_quietly(name, holds, found)?;
        line(format_args!("  [ok] {name}"));
        Ok(())
    }

    /// Something that must hold, one of many.
    ///
    /// # Errors
    /// As [`Stage::check`].
    pub fn check_quietly(
        &mut self,
        name: &str,
        holds: bool,
        found: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        if !holds {
            line(format_args!("  [FAILED] {name}"));
            return Err(CliError::Refused(format!(
                "check failed: {name}: {}",
                found()
            )));
        }
        self.checks += 1;
        Ok(())
    }
}

/// How far a stream has come: a bar on a terminal, else a line at each quarter.
pub struct Meter {
    bar: Option<ProgressBar>,
    label: &'static str,
    total: u64,
    quarters: u64,
}

impl Meter {
    /// Of `total` things.
    pub fn new(label: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = "  {msg} {bar:40} {human_pos}/{human_len} {per_sec}";
            let style = ProgressStyle::with_template(template).expect("the template is constant");
            ProgressBar::new(total)
                .with_style(style)
                .with_message(label)
        });
        Self {
            bar,
            label,
            total,
            quarters: 0,
        }
    }

    /// So many are done.
    pub fn set(&mut self, done: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None => {
                let quarters = done * 4 / self.total.max(1);
                if quarters > self.quarters {
                    self.quarters = quarters;
                    line(format_args!(
                        "  {} {} of {}",
                        self.label,
                        count(done),
                        count(self.total)
                    ));
                }
            }
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `1234567` as `1,234,567`.
pub fn count(count: impl ToString) -> String {
    crate::output::group_digits(&count.to_string())
}

/// `1500 ms` as `1.50 s`.
pub fn seconds(duration: Duration) -> String {
    let millis = duration.as_millis();
    format!("{}.{:02} s", millis / 1_000, millis % 1_000 / 10)
}
