//! `AdminService`: the operator's.

use crate::auth;
use crate::convert;
use crate::errors::{self, Failure};
use crate::fields;
use crate::gateway::{Call, Gateway, Write, view};
use crate::ports::{Engine, Reads};
use crate::risk;
use crate::scheme;
use prost_types::Timestamp as WireTime;
use settlement_core::command::{Action, Caller, Reservation, Token};
use settlement_core::view::Query;
use tonic::{Code, Request, Response, Status};
use valuta_proto::v1;
use valuta_proto::v1::admin_service_server::AdminService;

type Answer<T> = Result<Response<T>, Status>;

/// Of a suspension's reason.
const REASON_CHARS_MAX: usize = 140;

#[tonic::async_trait]
impl<E: Engine, R: Reads> AdminService for Gateway<E, R> {
    async fn get_scheme(
        &self,
        request: Request<v1::GetSchemeRequest>,
    ) -> Answer<v1::SchemeResponse> {
        let (call, request) = self.open(request)?;
        let (view, sequence) = self.scheme(call, request.min_sequence).await?;
        Ok(Response::new(v1::SchemeResponse {
            rehearsal: view.rehearsal,
            scheme: Some(scheme::to_wire(&view, call.caller)),
            sequence,
        }))
    }

    async fn apply_scheme(
        &self,
        request: Request<v1::ApplySchemeRequest>,
    ) -> Answer<v1::ApplySchemeResponse> {
        let (call, request) = self.open(request)?;
        let wire = request
            .scheme
            .as_ref()
            .ok_or_else(|| errors::missing("scheme"))?;
        let (current, _) = self.scheme(call, 0).await?;
        let described = scheme::from_wire(wire, &current)?;
        let content = v1::ApplySchemeRequest {
            scheme: Some(wire.clone()),
            ..Default::default()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "ApplyScheme",
            &content,
        );
        let done = self
            .command(call, write, Action::ApplyScheme(described))
            .await?;
        Ok(Response::new(v1::ApplySchemeResponse {
            sequence: done.sequence.0,
            changes: done.changes,
        }))
    }

    async fn set_participant_state(
        &self,
        request: Request<v1::SetParticipantStateRequest>,
    ) -> Answer<v1::WriteResponse> {
        let (call, request) = self.open(request)?;
        let action = Action::SetParticipantState {
            bic: fields::bic("bic", &request.bic)?,
            state: scheme::participant_state("state", request.state)?
                .ok_or_else(|| errors::missing("state"))?,
            reason: fields::text("reason", &request.reason, REASON_CHARS_MAX)?,
        };
        let content = v1::SetParticipantStateRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "SetParticipantState",
            &content,
        );
        self.write(call, write, action).await
    }

    async fn set_account_state(
        &self,
        request: Request<v1::SetAccountStateRequest>,
    ) -> Answer<v1::WriteResponse> {
        let (call, request) = self.open(request)?;
        let account = v1::Account {
            participant: request.participant.clone(),
            asset: request.asset.clone(),
            state: request.state,
        };
        if account.state == 0 {
            return Err(errors::missing("state"));
        }
        let action = Action::SetAccountState(scheme::account("", &account)?);
        let content = v1::SetAccountStateRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "SetAccountState",
            &content,
        );
        self.write(call, write, action).await
    }

    async fn set_limit(&self, request: Request<v1::SetLimitRequest>) -> Answer<v1::WriteResponse> {
        let (call, request) = self.open(request)?;
        let limit = request
            .limit
            .as_ref()
            .ok_or_else(|| errors::missing("limit"))?;
        let (current, _) = self.scheme(call, 0).await?;
        let decimals =
            |code| Self::asset(&current, "limit.asset", code).map(|asset| asset.decimals);
        let action = Action::SetLimit(scheme::limit("limit.", limit, decimals)?);
        let content = v1::SetLimitRequest {
            limit: Some(limit.clone()),
            ..Default::default()
        };
        let write = Write::new(&request.request_id, request.created, "SetLimit", &content);
        self.write(call, write, action).await
    }

    async fn set_risk(&self, request: Request<v1::SetRiskRequest>) -> Answer<v1::WriteResponse> {
        let (call, request) = self.open(request)?;
        let rule = request
            .rule
            .as_ref()
            .ok_or_else(|| errors::missing("rule"))?;
        let (current, _) = self.scheme(call, 0).await?;
        let base = current.base_asset;
        let base = base.ok_or_else(|| errors::not_found("rule", "there is no scheme yet"))?;
        let decimals = |code| Self::asset(&current, "rule", code).map(|asset| asset.decimals);
        let action = Action::SetRisk(risk::from_wire("rule.", rule, base, decimals)?);
        let content = v1::SetRiskRequest {
            rule: Some(rule.clone()),
            ..Default::default()
        };
        let write = Write::new(&request.request_id, request.created, "SetRisk", &content);
        self.write(call, write, action).await
    }

    async fn set_reservation(
        &self,
        request: Request<v1::SetReservationRequest>,
    ) -> Answer<v1::WriteResponse> {
        let (call, request) = self.open(request)?;
        let (current, _) = self.scheme(call, 0).await?;
        let code = fields::asset("asset", &request.asset)?;
        let asset = Self::asset(&current, "asset", code)?;
        let action = Action::SetReservation(Reservation {
            participant: fields::bic("participant", &request.participant)?,
            asset: code,
            priority: fields::priority("priority", request.priority)?,
            amount: fields::amount_or_zero("amount", &request.amount, asset.decimals)?,
        });
        let content = v1::SetReservationRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "SetReservation",
            &content,
        );
        self.write(call, write, action).await
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Answer<v1::CreateTokenResponse> {
        let (call, request) = self.open(request)?;
        let token =
            auth::new_token().map_err(|_| errors::internal("no random bytes for a token"))?;
        let action = Action::CreateToken(Token {
            label: fields::short_text("label", &request.label)?,
            hash: auth::token_hash(&token),
            caller: token_caller(&request)?,
        });
        let content = v1::CreateTokenRequest {
            request_id: String::new(),
            created: None,
            ..request.clone()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "CreateToken",
            &content,
        );
        let done = self.command(call, write, action).await?;
        if done.repeated {
            return Err(answered_before(&request.label));
        }
        Ok(Response::new(v1::CreateTokenResponse {
            token,
            sequence: done.sequence.0,
        }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Answer<v1::WriteResponse> {
        let (call, request) = self.open(request)?;
        let label = fields::short_text("label", &request.label)?;
        let content = v1::RevokeTokenRequest {
            label: request.label.clone(),
            ..Default::default()
        };
        let write = Write::new(
            &request.request_id,
            request.created,
            "RevokeToken",
            &content,
        );
        self.write(call, write, Action::RevokeToken { label }).await
    }

    async fn set_time(&self, request: Request<v1::SetTimeRequest>) -> Answer<v1::WriteResponse> {
        let (call, request) = self.open(request)?;
        let time = fields::time("time", request.time)?;
        let content = v1::SetTimeRequest {
            time: request.time,
            ..Default::default()
        };
        let write = Write::new(&request.request_id, None::<WireTime>, "SetTime", &content);
        self.write(call, write, Action::SetTime(time)).await
    }

    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Answer<v1::GetStatusResponse> {
        let (call, _) = self.open(request)?;
        let (scheme, _) = self.scheme(call, 0).await?;
        let answered = self.query(call, Query::Statistics, 0).await?;
        let (sequence, time) = (answered.sequence.0, answered.time);
        let counts = view!(answered, Statistics)?;
        let standing = self.reads.standing();
        Ok(Response::new(v1::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scheme: scheme
                .name
                .map_or_else(String::new, |name| name.to_string()),
            rehearsal: scheme.rehearsal,
            time: Some(convert::time(time)),
            sequence,
            read_model_sequence: *self.reads.projected().borrow(),
            anchored_batch: *self.reads.anchored().borrow(),
            batches: counts.batches,
            instructions: counts.instructions,
            settled: counts.settled,
            rejected: counts.rejected,
            waiting: counts.waiting,
            role: standing.role.into(),
            journal: standing.journal,
            leader: standing.leader,
            processes: standing.processes,
        }))
    }
}

impl<E: Engine, R: Reads> Gateway<E, R> {
    async fn write(
        &self,
        call: Call,
        write: Write<'_>,
        action: Action,
    ) -> Answer<v1::WriteResponse> {
        let done = self.command(call, write, action).await?;
        Ok(Response::new(v1::WriteResponse {
            sequence: done.sequence.0,
        }))
    }
}

fn token_caller(request: &v1::CreateTokenRequest) -> Result<Caller, Status> {
    let no_bic = |caller| match request.bic.as_str() {
        "" => Ok(caller),
        _ => Err(errors::invalid(
            "bic",
            "an operator's, treasury's or auditor's token has none",
        )),
    };
    match v1::Role::try_from(request.role) {
        Ok(v1::Role::Participant) => fields::bic("bic", &request.bic).map(Caller::Participant),
        Ok(v1::Role::Agent) => fields::bic("bic", &request.bic).map(Caller::Agent),
        Ok(v1::Role::Operator) => no_bic(Caller::Operator),
        Ok(v1::Role::Treasury) => no_bic(Caller::Treasury),
        Ok(v1::Role::Auditor) => no_bic(Caller::Auditor),
        Ok(v1::Role::Unspecified) => Err(errors::missing("role")),
        Err(_) => Err(fields::unknown("role")),
    }
}

fn answered_before(label: &str) -> Status {
    let message = format!(
        "the token {label} was made by this request before, and its text was answered once; \
         if it is lost, revoke {label} and create another under a new request_id"
    );
    Failure::new(Code::AlreadyExists, "TOKEN_ANSWERED_ONCE", message)
        .field("request_id")
        .into()
}
