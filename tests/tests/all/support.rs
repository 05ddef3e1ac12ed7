//! A town of banks on a server of its own, and the words that the tests say answers in.
//!
//! | what | said as |
//! |---|---|
//! | an instruction's status | `ACSC`, `PDNG LIQUIDITY`, `ACTC 2026-11-20/1`, `RJCT AM01 AMOUNT_MUST_NOT_BE_ZERO legs[0].amount` |
//! | an instruction without a readable identity | `ERROR NARR UETR_MISSING uetr` |
//! | a failed call | `NotFound NOT_FOUND cycle -`: gRPC code, reason, field, ISO code |

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tonic::Status;
use tonic_types::StatusExt;
use valuta_proto::v1;
use valuta_tests::Server;
use valuta_tests::scheme::{ASSETS, MORNING_MS, World, timestamp};
use valuta_tests::server::Client;

pub const A: &str = "AAAAUS33";
pub const B: &str = "BBBBDEFF";
pub const C: &str = "CCCCJPJT";
pub const D: &str = "DDDDGB2L";
/// Closes, is paid in and completes at 13:00, 15:00 and 17:00 UTC of its value date, a Friday.
pub const CYCLE: &str = "2026-11-20/1";
pub const HOUR_MS: i64 = 3_600_000;
/// The cycle's instants, as the scheme's cut-offs in Zurich's winter give them.
pub const CUT_OFF_MS: i64 = MORNING_MS + 5 * HOUR_MS;
pub const PAY_IN_MS: i64 = MORNING_MS + 7 * HOUR_MS;
pub const COMPLETION_MS: i64 = MORNING_MS + 9 * HOUR_MS;

/// A [`World`] and its directory.
pub struct Town {
    pub world: World,
    pub dir: TempDir,
    requests: AtomicU64,
}

/// Which step of a cycle.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Close,
    Net,
    Settle,
}

impl Town {
    /// Banks A to D with accounts in USD, EUR, JPY and KWD, and empty books.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = World::start(&dir.path().join("data")).await.unwrap();
        Self {
            world,
            dir,
            requests: AtomicU64::new(0),
        }
    }

    /// The same, with a cycle open and 1,000,000 of everything on every account.
    pub async fn funded() -> Self {
        let town = Self::start().await;
        for bic in valuta_tests::scheme::BANKS {
            for (asset, ..) in ASSETS {
                town.world.deposit(bic, asset, "1000000").await.unwrap();
            }
        }
        town.open_cycle(CYCLE).await;
        town
    }

    /// Ends the process with SIGTERM and starts it again on the same data.
    pub async fn restart(&mut self) {
        let server = &mut self.world.server;
        Command::new("kill")
            .arg(server.id().to_string())
            .status()
            .unwrap();
        // Asleep, not blocked: the clients must go on to hear that their streams end.
        while server.is_running() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(server.wait().unwrap().code(), Some(0), "a graceful stop");
        self.start_again().await;
    }

    /// Starts the process again, after it has ended.
    pub async fn start_again(&mut self) {
        self.world.server = Server::start(&self.world.server.data.clone()).unwrap();
        let token = self.world.server.operator_token().unwrap();
        self.world.operator = self.world.server.client(&token).await.unwrap();
    }

    pub async fn client(&self, name: &str) -> Client {
        self.world.client(name).await.unwrap()
    }

    pub fn operator(&self) -> Client {
        self.world.operator.clone()
    }

    /// A request id that no other call has.
    pub fn request_id(&self) -> String {
        format!("r-{}", self.requests.fetch_add(1, Ordering::Relaxed))
    }

    pub async fn set_time(&self, ms: i64) {
        self.operator().set_time(ms).await.unwrap();
    }

    pub async fn open_cycle(&self, name: &str) -> v1::Cycle {
        let request = v1::OpenCycleRequest {
            cycle: name.to_owned(),
            request_id: self.request_id(),
            ..Default::default()
        };
        let answer = self.operator().settlement.open_cycle(request).await;
        answer.unwrap().into_inner().cycle.unwrap()
    }

    pub async fn try_step(&self, step: Step, name: &str) -> Result<v1::Cycle, Status> {
        let request = v1::CycleRequest {
            cycle: name.to_owned(),
            request_id: self.request_id(),
            created: None,
        };
        let mut settlement = self.operator().settlement;
        let answer = match step {
            Step::Close => settlement.close_cycle(request).await,
            Step::Net => settlement.net_cycle(request).await,
            Step::Settle => settlement.settle_cycle(request).await,
        };
        Ok(answer?.into_inner().cycle.unwrap())
    }

    pub async fn step(&self, step: Step, name: &str) -> v1::Cycle {
        let answer = self.try_step(step, name).await;
        answer.unwrap_or_else(|status| panic!("{step:?} {name}: {}", failure(&status)))
    }

    pub async fn cycle(&self, name: &str) -> v1::Cycle {
        let request = v1::GetCycleRequest {
            cycle: name.to_owned(),
            min_sequence: 0,
        };
        let answer = self.operator().settlement.get_cycle(request).await;
        answer.unwrap().into_inner().cycle.unwrap()
    }

    /// Confirmed by the asset's agent; a transfer is the participant's own.
    pub async fn movement(
        &self,
        kind: v1::MovementKind,
        bic: &str,
        amount: &str,
        asset: &str,
        cycle: &str,
    ) -> String {
        let caller = match kind {
            v1::MovementKind::Transfer => bic,
            _ => agent_of(asset),
        };
        let request = v1::RecordMovementRequest {
            request_id: self.request_id(),
            cycle: cycle.to_owned(),
            ..movement_request(kind, bic, amount, asset)
        };
        let answer = self
            .client(caller)
            .await
            .settlement
            .record_movement(request)
            .await;
        match answer.map(tonic::Response::into_inner) {
            Ok(answer) => status_and_rejection(answer.status, answer.rejection.as_ref()),
            Err(status) => failure(&status),
        }
    }

    pub async fn deposit(&self, bic: &str, amount: &str, asset: &str) {
        let deposit = v1::MovementKind::Deposit;
        assert_eq!(self.movement(deposit, bic, amount, asset, "").await, "ACSC");
    }

    pub async fn pay_in(&self, bic: &str, amount: &str, asset: &str, cycle: &str) {
        let pay_in = v1::MovementKind::PayIn;
        assert_eq!(
            self.movement(pay_in, bic, amount, asset, cycle).await,
            "ACSC"
        );
    }

    /// Locks B's offer to A: 100.00 EUR for 110.00 USD, until noon.
    pub async fn lock_quote(&self, quote_id: &str) -> v1::Quote {
        let request = quote_request(quote_id, &self.request_id());
        let answer = self.client(B).await.fx.lock_quote(request).await;
        answer.unwrap().into_inner().quote.unwrap()
    }

    /// Everything that money is, right now.
    pub async fn books(&self) -> Books {
        let mut treasury = self.client("TREASURY").await.treasury;
        let totals = treasury
            .get_control_totals(v1::GetControlTotalsRequest { min_sequence: 0 })
            .await
            .unwrap()
            .into_inner()
            .totals;
        let positions = treasury
            .get_positions(v1::GetPositionsRequest::default())
            .await
            .unwrap()
            .into_inner()
            .positions;
        let books = Books { totals, positions };
        books.check();
        books
    }
}

pub fn agent_of(asset: &str) -> &'static str {
    let found = ASSETS.iter().find(|(code, ..)| *code == asset);
    found.map_or(ASSETS[0].2, |(_, _, agent)| agent)
}

/// Without request id, creation time and cycle.
pub fn movement_request(
    kind: v1::MovementKind,
    bic: &str,
    amount: &str,
    asset: &str,
) -> v1::RecordMovementRequest {
    v1::RecordMovementRequest {
        kind: kind.into(),
        participant: bic.to_owned(),
        asset: asset.to_owned(),
        amount: amount.to_owned(),
        ..Default::default()
    }
}

/// What a hash lock of these tests waits for.
pub const SECRET: &[u8] = b"secret";
/// Its SHA-256.
pub const SECRET_HASH: [u8; 32] = [
    0x2b, 0xb8, 0x0d, 0x53, 0x7b, 0x1d, 0xa3, 0xe3, 0x8b, 0xd3, 0x03, 0x61, 0xaa, 0x85, 0x56, 0x86,
    0xbd, 0xe0, 0xea, 0xcd, 0x71, 0x62, 0xfe, 0xf6, 0xa2, 0x5f, 0xe9, 0x7b, 0xf5, 0x27, 0xa2, 0x5b,
];

/// B offers A 100.00 EUR for 110.00 USD: acceptable until noon, to settle within the day.
pub fn quote_request(quote_id: &str, request_id: &str) -> v1::LockQuoteRequest {
    v1::LockQuoteRequest {
        request_id: request_id.to_owned(),
        created: Some(timestamp(MORNING_MS)),
        quote_id: quote_id.to_owned(),
        taker: A.to_owned(),
        source_asset: "USD".to_owned(),
        target_asset: "EUR".to_owned(),
        fixed_side: v1::FixedSide::Target.into(),
        amount: "100.00".to_owned(),
        pair: "EUR/USD".to_owned(),
        rate: "1.10".to_owned(),
        rounding: v1::Rounding::HalfEven.into(),
        value_date: valuta_tests::scheme::TODAY.to_owned(),
        accept_until: Some(timestamp(MORNING_MS + 4 * HOUR_MS)),
        settle_by: Some(timestamp(MORNING_MS + 12 * HOUR_MS)),
        quote_request_id: String::new(),
    }
}

/// Control totals and positions. Equal books mean that no money moved, was promised or was limited.
#[derive(Clone, PartialEq, Debug)]
pub struct Books {
    pub totals: Vec<v1::ControlTotal>,
    pub positions: Vec<v1::Position>,
}

impl Books {
    /// Conservation, recomputed from the texts alone.
    fn check(&self) {
        for total in &self.totals {
            let sum: i128 = self
                .of_asset(&total.asset)
                .map(|position| minor(&position.balance))
                .sum();
            assert!(total.balanced, "{total:?}");
            assert_eq!(minor(&total.closing), sum, "{total:?}");
            assert_eq!(minor(&total.r#in) - minor(&total.out), sum, "{total:?}");
            assert_eq!(minor(&total.mirror), sum, "{total:?}");
        }
        for position in &self.positions {
            let [balance, available, reserved] =
                [&position.balance, &position.available, &position.reserved]
                    .map(|text| minor(text));
            assert_eq!(balance, available + reserved, "{position:?}");
            assert!(available >= 0 && reserved >= 0, "{position:?}");
        }
    }

    fn of_asset(&self, asset: &str) -> impl Iterator<Item = &v1::Position> {
        self.positions
            .iter()
            .filter(move |position| position.asset == asset)
    }

    pub fn position(&self, bic: &str, asset: &str) -> &v1::Position {
        let is_it =
            |position: &&v1::Position| (&*position.participant, &*position.asset) == (bic, asset);
        let found = self.positions.iter().find(is_it);
        found.unwrap_or_else(|| panic!("no account of {bic} in {asset}"))
    }

    /// As text, such as "12.34".
    pub fn balance(&self, bic: &str, asset: &str) -> &str {
        &self.position(bic, asset).balance
    }

    /// Minor units by (participant, asset); empty accounts left out.
    pub fn balances(&self) -> BTreeMap<(String, String), i128> {
        let balances = self.positions.iter().map(|position| {
            let account = (position.participant.clone(), position.asset.clone());
            (account, minor(&position.balance))
        });
        balances.filter(|(_, balance)| *balance != 0).collect()
    }
}

/// Minor units of an amount that is printed with all its decimals.
pub fn minor(text: &str) -> i128 {
    let digits: String = text.chars().filter(|digit| *digit != '.').collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("{text:?} is no amount"))
}

/// An instruction's answer in words.
pub fn shown(status: &v1::InstructionStatus) -> String {
    let waiting = v1::WaitingReason::try_from(status.waiting_reason).unwrap();
    match waiting {
        v1::WaitingReason::Unspecified if !status.cycle.is_empty() => {
            format!("{} {}", status_name(status.status), status.cycle)
        }
        v1::WaitingReason::Unspecified => {
            status_and_rejection(status.status, status.rejection.as_ref())
        }
        reason => format!(
            "{} {}",
            status_name(status.status),
            reason.as_str_name().trim_start_matches("WAITING_REASON_")
        ),
    }
}

/// `ACSC`
pub fn status_name(status: i32) -> &'static str {
    v1::Status::try_from(status)
        .unwrap()
        .as_str_name()
        .trim_start_matches("STATUS_")
}

fn status_and_rejection(status: i32, rejection: Option<&v1::Rejection>) -> String {
    let status = status_name(status);
    match rejection {
        Some(rejection) => format!("{status} {}", rejection_words(rejection)),
        None => status.to_owned(),
    }
}

/// Code, reason and field; what people read is there too.
pub fn rejection_words(rejection: &v1::Rejection) -> String {
    let v1::Rejection {
        code,
        reason,
        field,
        detail,
    } = rejection;
    assert!(!detail.is_empty(), "{rejection:?}");
    format!("{code} {reason} {field}").trim_end().to_owned()
}

/// A failed call in words. Every failure of ours has `ErrorInfo`, and its field, if it has one, twice.
pub fn failure(status: &Status) -> String {
    let details = status.get_error_details();
    let Some(info) = details.error_info() else {
        return format!("{:?} without details: {}", status.code(), status.message());
    };
    assert_eq!(info.domain, "valuta", "{status:?}");
    let of = |key: &str| info.metadata.get(key).map_or("-", String::as_str);
    if let Some(request) = details.bad_request() {
        assert_eq!(request.field_violations[0].field, of("field"), "{status:?}");
    }
    format!(
        "{:?} {} {} {}",
        status.code(),
        info.reason,
        of("field"),
        of("iso_code")
    )
}

/// A good request, changed.
pub fn changed<R>(mut request: R, change: impl FnOnce(&mut R)) -> R {
    change(&mut request);
    request
}

/// What came of a call, in words: `ok`, or its failure.
pub fn outcome<T>(answer: &Result<T, Status>) -> String {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(status) => failure(status),
    }
}

/// Submits one instruction by itself.
pub async fn submit(client: &mut Client, instruction: v1::Instruction) -> String {
    let request = v1::SubmitInstructionRequest {
        instruction: Some(instruction),
    };
    match client.payments.submit_instruction(request).await {
        Ok(answer) => shown(&answer.into_inner().status.unwrap()),
        Err(status) => failure(&status),
    }
}

/// The current answer to the caller's only instruction under a UETR.
pub async fn get(client: &mut Client, uetr: &str) -> String {
    let request = v1::GetInstructionRequest {
        uetr: uetr.to_owned(),
        min_sequence: 0,
    };
    match client.payments.get_instruction(request).await {
        Ok(answer) => {
            let views = answer.into_inner().instructions;
            assert_eq!(views.len(), 1, "{views:?}");
            shown(views[0].status.as_ref().unwrap())
        }
        Err(status) => failure(&status),
    }
}

/// Any call, with a message of any bytes, answered with any bytes: `service` is such as "PaymentService".
pub async fn call_raw(
    town: &Town,
    caller: &str,
    service: &str,
    method: &str,
    message: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    let address = format!("http://{}", town.world.server.address);
    let channel = tonic::transport::Endpoint::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap();
    call_raw_on(
        channel,
        &town.world.tokens[caller],
        service,
        method,
        message,
    )
    .await
}

/// The same on a connection that is there.
pub async fn call_raw_on(
    channel: tonic::transport::Channel,
    token: &str,
    service: &str,
    method: &str,
    message: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel)
        .max_encoding_message_size(64 << 20)
        .max_decoding_message_size(64 << 20);
    grpc.ready().await.unwrap();
    let mut request = tonic::Request::new(message);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let path = format!("/valuta.v1.{service}/{method}").parse().unwrap();
    Ok(grpc.unary(request, path, RawCodec).await?.into_inner())
}

/// Messages as the bytes that they are.
#[derive(Clone, Copy, Default)]
pub struct RawCodec;

impl tonic::codec::Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(
        &mut self,
        item: Vec<u8>,
        out: &mut tonic::codec::EncodeBuf<'_>,
    ) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(out, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(
        &mut self,
        from: &mut tonic::codec::DecodeBuf<'_>,
    ) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; prost::bytes::Buf::remaining(from)];
        prost::bytes::Buf::copy_to_slice(from, &mut item);
        Ok(Some(item))
    }
}

/// A plain HTTP request: status and body.
pub fn http(address: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(address).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// The tests' own random numbers: the same for the same seed, for ever.
pub struct SplitMix64(pub u64);

impl SplitMix64 {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
