//! The same work as a procedure of PostgreSQL: accounts, balances, the duplicate check by identity and content,
//! durable commits, in arrays of many instructions. Its arrays are made before the clock starts, and nobody
//! speaks gRPC to it; of all sizes and numbers of connections tried, the best counts.

use postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use postgres::{Client, NoTls};
use std::error::Error;
use std::time::Instant;
use valuta_tests::cluster::Stack;

/// Each pays the next.
const BANKS: usize = 4;
/// On all accounts, whatever moves between them.
const MONEY: i64 = 16 * 10_000_000_000_000;
const INSTRUCTIONS: u64 = 200_000;
/// Instructions of one call, and calls in flight.
const SHAPES: [(usize, usize); 6] = [
    (1_000, 1),
    (1_000, 2),
    (1_000, 4),
    (10_000, 1),
    (10_000, 2),
    (10_000, 4),
];
const SCHEMA: &str = include_str!("procedure.sql");

/// Prints a row for each shape, and the best beside ours.
pub fn measure(stack: &Stack, name: &str, scale: u64, ours: f64) -> anyhow::Result<()> {
    println!("\n== the same work as a PostgreSQL procedure (aim: ours 30 times as many)");
    let database = stack.database(&format!("{name}procedure"))?;
    let mut best = 0.0_f64;
    for (size, connections) in SHAPES {
        let rate = run(&database, size, connections, INSTRUCTIONS / scale)?;
        println!("{size:>7} a call, {connections} connections {rate:>12.0}/s");
        best = best.max(rate);
    }
    println!(
        "ours, embedded {ours:>24.0}/s: {:.1} times the best",
        ours / best
    );
    Ok(())
}

/// Instructions a second.
fn run(database: &str, size: usize, connections: usize, instructions: u64) -> anyhow::Result<f64> {
    let mut operator = Client::connect(database, NoTls)?;
    operator.batch_execute(SCHEMA)?;
    operator.batch_execute("CHECKPOINT")?;
    let each = (usize::try_from(instructions)? / connections / size).max(1);
    let mut lanes = Vec::new();
    for lane in 0..connections {
        let calls: Vec<Call> = (0..each)
            .map(|call| Call::new((lane << 40) + call * size, size))
            .collect();
        lanes.push((Client::connect(database, NoTls)?, calls));
    }
    let started = Instant::now();
    let threads: Vec<_> = lanes
        .into_iter()
        .map(|(client, calls)| std::thread::spawn(move || submit(client, &calls)))
        .collect();
    for thread in threads {
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let seconds = started.elapsed().as_secs_f64();
    let submitted = each * size * connections;
    let books = "SELECT (SELECT count(*) FROM bench.instruction WHERE settled),
                        (SELECT sum(balance)::BIGINT FROM bench.account)";
    let books = operator.query_one(books, &[])?;
    let (settled, money): (i64, i64) = (books.get(0), books.get(1));
    anyhow::ensure!(
        usize::try_from(settled)? == submitted && money == MONEY,
        "{books:?}"
    );
    Ok(submitted as f64 / seconds)
}

fn submit(mut client: Client, calls: &[Call]) -> anyhow::Result<()> {
    let submit = client.prepare("SELECT bench.submit($1, $2, $3, $4, $5, $6, $7)")?;
    for call in calls {
        let settled: i64 = client
            .query_one(
                &submit,
                &[
                    &call.uetrs,
                    &call.digests,
                    &call.debtors,
                    &call.creditors,
                    &call.amounts,
                    &call.instruction_ids,
                    &call.end_to_end_ids,
                ],
            )?
            .get(0);
        anyhow::ensure!(
            settled == i64::try_from(call.uetrs.len())?,
            "{settled} settled"
        );
    }
    Ok(())
}

/// One call's arrays.
struct Call {
    uetrs: Vec<Uuid>,
    digests: Vec<Vec<u8>>,
    debtors: Vec<i32>,
    creditors: Vec<i32>,
    amounts: Vec<i64>,
    instruction_ids: Vec<String>,
    end_to_end_ids: Vec<String>,
}

impl Call {
    fn new(first: usize, size: usize) -> Self {
        let numbers = || first..first + size;
        let debtor = |number: usize| i32::try_from(number % BANKS).unwrap_or_default();
        Self {
            uetrs: numbers().map(Uuid::numbered).collect(),
            digests: numbers()
                .map(|number| {
                    (number as u128)
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                        .to_be_bytes()
                        .to_vec()
                })
                .collect(),
            debtors: numbers().map(debtor).collect(),
            creditors: numbers().map(|number| debtor(number + 1)).collect(),
            amounts: numbers().map(|_| 12_550).collect(),
            instruction_ids: numbers().map(|number| format!("I{number}")).collect(),
            end_to_end_ids: numbers().map(|number| format!("E{number}")).collect(),
        }
    }
}

/// As PostgreSQL has it: 16 bytes.
#[derive(Debug)]
struct Uuid(u128);

impl Uuid {
    /// Rising, as those of our own load: easy for an index.
    fn numbered(number: usize) -> Self {
        let number = number as u128;
        Self((number >> 30) << 96 | 0x4000_8000_0000_0000_0000 | (number & 0x3fff_ffff))
    }
}

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::UUID
    }

    to_sql_checked!();
}
