//! The limit: a bare tonic server that decodes every message and drops it.

use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use valuta_proto::v1;
use valuta_proto::v1::payment_service_server::{PaymentService, PaymentServiceServer};

/// Serves on a free port until the task is aborted.
pub async fn serve() -> anyhow::Result<(String, JoinHandle<()>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let service = PaymentServiceServer::new(Bare).max_decoding_message_size(64 << 20);
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .tcp_nodelay(true)
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    let task = tokio::spawn(async move {
        if let Err(error) = server.await {
            eprintln!("the bare server: {error}");
        }
    });
    Ok((address, task))
}

struct Bare;

/// What an answer to a batch without refusals says.
fn accepted(request: &v1::SubmitInstructionsRequest) -> v1::SubmitInstructionsResponse {
    let range = v1::AcceptedRange {
        count: u32::try_from(request.instructions.len()).unwrap_or(u32::MAX),
        first_sequence: 1,
        status: v1::Status::Acsc.into(),
        ..v1::AcceptedRange::default()
    };
    v1::SubmitInstructionsResponse {
        accepted: vec![range],
        ..v1::SubmitInstructionsResponse::default()
    }
}

fn not_measured<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not measured"))
}

#[tonic::async_trait]
impl PaymentService for Bare {
    type StreamInstructionsStream = ReceiverStream<Result<v1::SubmitInstructionsResponse, Status>>;
    type WatchInstructionsStream = ReceiverStream<Result<v1::InstructionChange, Status>>;
    type ReceiveStream = ReceiverStream<Result<v1::ReceivedInstruction, Status>>;

    async fn submit_instruction(
        &self,
        request: Request<v1::SubmitInstructionRequest>,
    ) -> Result<Response<v1::SubmitInstructionResponse>, Status> {
        let instruction = request.into_inner().instruction.unwrap_or_default();
        let status = v1::InstructionStatus {
            uetr: instruction.uetr,
            instructing: instruction.instructing,
            sequence: 1,
            status: v1::Status::Acsc.into(),
            ..v1::InstructionStatus::default()
        };
        Ok(Response::new(v1::SubmitInstructionResponse {
            status: Some(status),
        }))
    }

    async fn submit_instructions(
        &self,
        request: Request<v1::SubmitInstructionsRequest>,
    ) -> Result<Response<v1::SubmitInstructionsResponse>, Status> {
        Ok(Response::new(accepted(request.get_ref())))
    }

    async fn stream_instructions(
        &self,
        request: Request<Streaming<v1::SubmitInstructionsRequest>>,
    ) -> Result<Response<Self::StreamInstructionsStream>, Status> {
        let mut requests = request.into_inner();
        let (sender, receiver) = tokio::sync::mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                if sender.send(Ok(accepted(&request))).await.is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_instruction(
        &self,
        _: Request<v1::GetInstructionRequest>,
    ) -> Result<Response<v1::GetInstructionResponse>, Status> {
        not_measured()
    }

    async fn list_instructions(
        &self,
        _: Request<v1::ListInstructionsRequest>,
    ) -> Result<Response<v1::ListInstructionsResponse>, Status> {
        not_measured()
    }

    async fn cancel_instruction(
        &self,
        _: Request<v1::CancelInstructionRequest>,
    ) -> Result<Response<v1::CancelInstructionResponse>, Status> {
        not_measured()
    }

    async fn approve_instruction(
        &self,
        _: Request<v1::ApproveInstructionRequest>,
    ) -> Result<Response<v1::ApproveInstructionResponse>, Status> {
        not_measured()
    }

    async fn show_preimage(
        &self,
        _: Request<v1::ShowPreimageRequest>,
    ) -> Result<Response<v1::ShowPreimageResponse>, Status> {
        not_measured()
    }

    async fn set_priority(
        &self,
        _: Request<v1::SetPriorityRequest>,
    ) -> Result<Response<v1::SetPriorityResponse>, Status> {
        not_measured()
    }

    async fn watch_instructions(
        &self,
        _: Request<v1::WatchInstructionsRequest>,
    ) -> Result<Response<Self::WatchInstructionsStream>, Status> {
        not_measured()
    }

    async fn receive(
        &self,
        _: Request<v1::ReceiveRequest>,
    ) -> Result<Response<Self::ReceiveStream>, Status> {
        not_measured()
    }

    async fn acknowledge_received(
        &self,
        _: Request<v1::AcknowledgeReceivedRequest>,
    ) -> Result<Response<v1::AcknowledgeReceivedResponse>, Status> {
        not_measured()
    }
}
