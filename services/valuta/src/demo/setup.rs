//! Scene 1: the scheme, its callers, one day's rates, and the money that the day begins with.

use super::plan::{TIGHT_ASSET, TIGHT_BANK};
use super::stage::count;
use super::world::{self, ASSETS, BANKS, DAY, ECB_DAY, clock};
use super::*;
use crate::cli::request_id::derived;
use crate::client::Connection;
use valuta_proto::v1::{self, MovementKind};

/// What every account has before anything moves, in euro cents: small change that stays.
const FLOAT_CENTS: i64 = 100_000_000;

async fn start(args: &DemoArgs, home: &Home) -> Result<Server, CliError> {
    #[cfg(feature = "cluster")]
    if let Some(stack) = &args.cluster {
        let cluster = Cluster::start(home, stack).await?;
        return Ok(Server::Cluster(Box::new(cluster)));
    }
    let _ = args;
    Server::start(home).await
}

impl Demo {
    /// Plays the scene.
    pub async fn set_up(args: &DemoArgs) -> Result<Self, CliError> {
        let world = Arc::new(World::sample()?);
        let plan = Arc::new(Plan::new(&world, args.seed, args.instructions as usize));
        let home = Home::new(args.keep.as_deref())?;
        let mut stage = Stage::new();
        stage.heading(&format!(
            "Valuta demo: a settlement day, {} instructions, seed {}",
            count(args.instructions),
            args.seed
        ));
        stage.scene("Setting up");
        let server = start(args, &home).await?;
        stage.fact(
            "server",
            &format!(
                "{} (a rehearsal: its clock is set by hand)",
                server.urls().join(", ")
            ),
        );
        let operator = session::operator(server.urls()[0], &home).await?;
        session::set_time(&operator, world::at(clock::SETUP)).await?;
        apply_scheme(&mut stage, &operator, &world).await?;
        set_rates(&operator, world::ecb_rates()).await?;
        let tokens = session::create_tokens(&operator, &world).await?;
        let session = Session::open(&server.urls(), &home, &world, &tokens).await?;
        show(&stage, &world, &tokens);
        let mut demo = Self {
            stage,
            home,
            world,
            plan,
            tokens,
            server,
            session,
            books: Books {
                total_in: [0; ASSETS],
                total_out: [0; ASSETS],
                balance: [[0; ASSETS]; BANKS],
            },
            figures: Figures::default(),
            answers: Answers::default(),
        };
        demo.fund().await?;
        Ok(demo)
    }

    /// Every account gets what its gross payments will take, and a float; one of them only the float.
    async fn fund(&mut self) -> Result<(), CliError> {
        let (outflow, _) = self.plan.gross_flows();
        let tight = (self.world.bank(TIGHT_BANK), self.world.asset(TIGHT_ASSET));
        for (bank, outflow) in outflow.iter().enumerate() {
            for (asset, &outflow) in outflow.iter().enumerate() {
                let needed = if (bank, asset) == tight { 0 } else { outflow };
                self.deposit((bank, asset), needed + self.float(asset), "opening")
                    .await?;
            }
        }
        self.stage.fact(
            "opening deposits",
            &format!("{} confirmed by 10 settlement agents", BANKS * ASSETS),
        );
        Ok(())
    }

    fn float(&self, asset: usize) -> i128 {
        let asset = &self.world.assets[asset];
        let rounding = fx::Rounding::HalfEven;
        fx::convert(FLOAT_CENTS, 2, &asset.per_euro, asset.decimals, rounding)
            .map_or(0, |float| float.target.into())
    }

    /// An agent confirms money that has come in; the books keep it too.
    pub async fn deposit(
        &mut self,
        account: (usize, usize),
        minor: i128,
        what: &str,
    ) -> Result<(), CliError> {
        self.session
            .confirm(
                &self.world,
                MovementKind::Deposit,
                account,
                minor,
                ("", what),
            )
            .await?;
        let (bank, asset) = account;
        self.books.balance[bank][asset] += minor;
        self.books.total_in[asset] += minor;
        Ok(())
    }
}

async fn apply_scheme(
    stage: &mut Stage,
    operator: &Connection,
    world: &World,
) -> Result<(), CliError> {
    let mut changes = Vec::new();
    for request_id in ["scheme", "scheme again"] {
        let request = v1::ApplySchemeRequest {
            request_id: request_id.into(),
            created: None,
            scheme: Some(world.scheme.clone()),
        };
        changes.push(
            operator
                .admin()
                .apply_scheme(request)
                .await?
                .into_inner()
                .changes,
        );
    }
    stage.check(
        "the sample scheme applies, and again changes nothing",
        changes[0] > 0 && changes[1] == 0,
        || format!("{changes:?} changes"),
    )
}

/// Replaces the rate set.
pub async fn set_rates(operator: &Connection, rates: Vec<v1::Rate>) -> Result<(), CliError> {
    let mut request = v1::SetRatesRequest {
        rates,
        ..Default::default()
    };
    // The day's rates come back after the example's: a request of its own each time.
    let status = operator
        .admin()
        .get_status(v1::GetStatusRequest {})
        .await?
        .into_inner();
    request.request_id = format!("{}-{}", derived(&request), status.sequence);
    request.request_id.truncate(35);
    operator.fx().set_rates(request).await?;
    Ok(())
}

fn show(stage: &Stage, world: &World, tokens: &Tokens) {
    let cut_offs = world.scheme.cut_offs.clone().unwrap_or_default();
    stage.fact(
        "scheme",
        &format!("{} (valuta scheme sample)", world.scheme.name),
    );
    stage.fact("business day", DAY);
    let times = format!(
        "close {}, pay-in {}, completion {} ({})",
        cut_offs.close, cut_offs.pay_in, cut_offs.completion, cut_offs.zone
    );
    stage.fact("cut-offs", &times);
    stage.fact("callers with a token", &count(tokens.len() + 1));
    stage.fact("banks", &world.banks[..BANKS / 2].join(" "));
    stage.fact("", &world.banks[BANKS / 2..].join(" "));
    stage.fact(
        "limits",
        &format!(
            "{} per instruction and one bilateral cap",
            world.scheme.limits.len() - 1
        ),
    );
    stage.fact("rates", &format!("ECB euro reference rates of {ECB_DAY}"));
    let widths = [-8, 8, -10, 12];
    stage.row(&widths, &["currency", "decimals", "agent", "1 EUR ="]);
    for asset in &world.assets {
        let rate = if asset.code == "EUR" {
            ""
        } else {
            asset.per_euro_text
        };
        stage.row(
            &widths,
            &[&asset.code, &asset.decimals.to_string(), &asset.agent, rate],
        );
    }
}
