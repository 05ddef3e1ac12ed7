//! Compiles the `.proto` files without a system `protoc`, and once more with raw instructions.

use prost::Message;
use std::path::PathBuf;
use tonic_prost_build::Config;

const FILES: [&str; 9] = [
    "valuta/v1/instruction.proto",
    "valuta/v1/payment.proto",
    "valuta/v1/fx.proto",
    "valuta/v1/settlement.proto",
    "valuta/v1/treasury.proto",
    "valuta/v1/ledger.proto",
    "valuta/v1/audit.proto",
    "valuta/v1/admin.proto",
    "valuta/v1/events.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=valuta");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let descriptors = protox::compile(FILES, ["."])?;
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        .build_server(true)
        .build_client(true)
        .compile_fds_with_config(descriptors.clone(), config())?;

    // The server's view of the submitting calls: an embedded message and a bytes field look the
    // same on the wire, so instructions arrive as the bytes that the sender made.
    let mut raw = descriptors;
    for file in &mut raw.file {
        for message in &mut file.message_type {
            let submitting = matches!(
                message.name(),
                "SubmitInstructionRequest" | "SubmitInstructionsRequest"
            );
            for field in message.field.iter_mut().filter(|_| submitting) {
                if field.type_name() == ".valuta.v1.Instruction" {
                    field.set_type(prost_types::field_descriptor_proto::Type::Bytes);
                    field.type_name = None;
                }
            }
        }
    }
    raw.file
        .retain(|file| file.package() == "google.protobuf" || FILES[..2].contains(&file.name()));
    let raw_out = out.join("raw");
    std::fs::create_dir_all(&raw_out)?;
    let mut raw_config = config();
    raw_config.bytes(["."]);
    tonic_prost_build::configure()
        .build_client(false)
        .out_dir(raw_out)
        .compile_fds_with_config(raw, raw_config)?;

    // Apart from the API: nothing of it is reflected.
    let link = protox::compile(["valuta/link/v1/link.proto"], ["."])?;
    let mut link_config = config();
    link_config.bytes(["."]);
    tonic_prost_build::configure().compile_fds_with_config(link, link_config)?;
    Ok(())
}

fn config() -> Config {
    let mut config = Config::new();
    config.enable_type_names();
    config
}
