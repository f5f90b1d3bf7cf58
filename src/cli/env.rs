//! `keyanchor env`: the variables by which a consumer's SDK finds its credentials at a running `serve`.

use std::net::{Ipv4Addr, SocketAddr};

use super::identity_settings::configuration;
use super::serve::{address, port};
use super::values::set;
use super::{Failure, FailureKind, output};
use crate::files::shell_word;
use crate::vend::server::CONTAINER_PATH;

const EXAMPLES: &str = "\
Examples:
  In a shell:
    eval \"$(keyanchor env --consumer shop)\"
  For the unit of the consumer's service, with serve --port 9000:
    keyanchor env --consumer shop --format unit --port 9000";

/// Print the variables of a consumer of serve
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Consumer: a [consumer.NAME] of the configuration file
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// For whom: shell, unit (systemd) or pod (Kubernetes) [default: shell]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Port that serve listens on [default: 9911]
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Address and port that serve listens on, in place of --port
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Configuration file [default: KEYANCHOR_CONFIG, else ~/.config/keyanchor/config.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
}

/// Reads the configuration file; asks neither a server nor a device.
pub fn run(args: &Args) -> Result<(), Failure> {
    let name = set(args.consumer.as_deref()).ok_or_else(|| usage("wanted --consumer NAME, found none"))?;
    let (config, location) = configuration(args.config.as_deref())?;
    let file = &config.consumer(name, &location)?.token_file;
    let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
    let file = file
        .to_str()
        .ok_or_else(|| usage(format!("wanted a token file whose path is UTF-8, found {}", file.display())))?;
    let uri = format!("http://{}{CONTAINER_PATH}", endpoint(args)?);
    let variables =
        [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)];
    let line = match set(args.format.as_deref()).unwrap_or("shell") {
        "shell" => |name: &str, value: &str| format!("export {name}={}\n", shell_word(value)),
        "unit" => |name: &str, value: &str| format!("Environment=\"{name}={}\"\n", unit_value(value)),
        "pod" => |name: &str, value: &str| format!("- name: {name}\n  value: '{}'\n", value.replace('\'', "''")),
        other => return Err(usage(format!("--format: wanted shell, unit or pod, found '{other}'"))),
    };
    output::print(variables.map(|(name, value)| line(name, value)).concat())
}

fn endpoint(args: &Args) -> Result<SocketAddr, Failure> {
    match (set(args.listen.as_deref()), port(args.port.as_deref(), true)?) {
        (Some(text), _) => address("--listen", text),
        (None, port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or_default()))),
    }
}

/// Within the quotes of a unit file (systemd.syntax(7), systemd.unit(5)): there, `\` and `"` are escaped, and `%` is a specifier.
fn unit_value(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Usage, message)
}
