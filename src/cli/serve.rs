//! `keyanchor serve`: credentials for the SDKs of this machine, from IMDSv2 and container credentials endpoints.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::ArgAction::Set;

use super::failure::conclude;
use super::identity_args::IdentityArgs;
use super::log::{LogArgs, LogFormat};
use super::served::Served;
use super::session_args::SessionArgs;
use super::values::{SWITCH, parse_number, set, switch};
use super::{Failure, FailureKind};
use crate::process::{end, signals, sockets};
use crate::vend::server::{self, DEFAULT_PORT, Hooks, Options};

const LONG_ABOUT: &str = "\
Serve credentials to the SDKs of this machine

Answers as the metadata service of EC2 (IMDSv2) and as a container credentials endpoint do, from memory; credentials are renewed
in the background. The roles are those of --role-arn, repeated with its --profile-arn or with one for all, or those of every
identity in the configuration file. Its consumers get a token each, which decides the role; keyanchor env prints their variables.";

/// How long devices may take to come to their end after the server has. With the server's own limit, a service manager sees the
/// process ended within two seconds.
const FAREWELL: Duration = Duration::from_millis(300);

const EXAMPLES: &str = "\
Examples:
  Every identity of the configuration file, for SDKs with
  AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9911:
    keyanchor serve --keep-trying
  One role of a key in the TPM, watched by a probe at http://127.0.0.1:9912/readyz:
    keyanchor serve --status-listen 127.0.0.1:9912 \\
        --tpm /etc/keyanchor/key.pem --certificate /etc/keyanchor/certificate.pem \\
        --trust-anchor-arn \"$ANCHOR\" --profile-arn \"$PROFILE\" --role-arn \"$ROLE\"";

/// Serve credentials to the SDKs of this machine
#[derive(clap::Args, Debug)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub struct Args {
    /// Port of 127.0.0.1 to listen on; 0 takes a free one [default: 9911, unless --listen or systemd gives others]
    #[arg(long, value_name = "PORT", help_heading = "Server")]
    port: Option<String>,
    /// Address and port to listen on: loopback, 169.254.170.2 or 169.254.170.23; repeatable
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Server")]
    listen: Vec<String>,
    /// IP time to live of answers, 1 to 255 [default: 64]
    #[arg(long, value_name = "HOPS", help_heading = "Server")]
    hop_limit: Option<String>,
    /// Name or ARN of the role that IMDS shows [default: the first]
    #[arg(long, value_name = "ROLE", help_heading = "Server")]
    imds_role: Option<String>,
    /// Serve although the first refresh fails, and try again
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Server")]
    keep_trying: bool,
    /// Where to answer /healthz, /readyz and /metrics, which hold no credentials; any address
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Server")]
    status_listen: Option<String>,
    /// How lines on stderr are written: text or json [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    log_format: Option<String>,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// One device signature for each role and refresh; one login for each token.
pub fn run(args: &Args) -> u8 {
    let format = match LogFormat::parse("--log-format", args.log_format.as_deref()) {
        Ok(format) => format,
        Err(failure) => return conclude(Err(failure)),
    };
    args.log.start_in(format);
    let told = |outcome| tell(format, outcome);
    let (options, served) = match args.options().and_then(|options| Ok((options, args.served()?))) {
        Ok(ready) => ready,
        Err(failure) => return told(Err(failure)),
    };
    let Served { roles, consumers, sessions } = served;
    let code = told(server::run(options, roles, consumers, &mut Lines { format }).map_err(Failure::from));
    end::despite_crashes(code);
    // Whoever holds a device longer than this is left behind.
    thread::spawn(move || {
        thread::sleep(FAREWELL);
        end::process(code)
    });
    signals::finish(FAREWELL);
    sessions.iter().for_each(crate::session::Session::close);
    code
}

impl Args {
    fn served(&self) -> Result<Served, Failure> {
        Served::new(&self.identity, &self.session)
    }

    fn options(&self) -> Result<Options, Failure> {
        let hop_limit = parse_number("--hop-limit", self.hop_limit.as_deref(), 1..=255)?;
        let defaults = Options::default();
        let given = given_sockets()?;
        Ok(Options {
            listen: self.addresses(given.is_empty())?,
            given,
            status_listen: set(self.status_listen.as_deref())
                .map(|text| address("--status-listen", text))
                .transpose()?,
            hop_limit: hop_limit
                .and_then(|hops| NonZeroU8::new(u8::try_from(hops).ok()?))
                .unwrap_or(defaults.hop_limit),
            imds_role: set(self.imds_role.as_deref()).map(str::to_owned),
            keep_trying: self.keep_trying,
            ..defaults
        })
    }

    /// Without a flag and without sockets of the service manager, the default.
    fn addresses(&self, alone: bool) -> Result<Vec<SocketAddr>, Failure> {
        let named = self.listen.iter().filter_map(|text| set(Some(text)));
        let mut addresses = named.map(|text| address("--listen", text)).collect::<Result<Vec<_>, Failure>>()?;
        if let Some(port) = port(self.port.as_deref(), alone && addresses.is_empty())? {
            addresses.insert(0, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
        Ok(addresses)
    }
}

/// The sockets that the service manager listens on for this process.
fn given_sockets() -> Result<Vec<Arc<TcpListener>>, Failure> {
    let sockets = sockets::take().map_err(|error| {
        let message = format!("LISTEN_FDS: wanted listening TCP sockets from the service manager, found {error}");
        Failure::new(FailureKind::Usage, message)
    })?;
    Ok(sockets.into_iter().map(Arc::new).collect())
}

/// The port of `--port`; the default where nothing else is listened on.
pub fn port(flag: Option<&str>, alone: bool) -> Result<Option<u16>, Failure> {
    let port = parse_number("--port", flag, 0..=u32::from(u16::MAX))?.and_then(|port| u16::try_from(port).ok());
    Ok(port.or(alone.then_some(DEFAULT_PORT)))
}

/// An address with a port; names are not looked up, since what they stand for may change.
pub fn address(flag: &str, text: &str) -> Result<SocketAddr, Failure> {
    text.parse().map_err(|_| {
        let message = format!("{flag}: wanted ADDRESS:PORT such as 127.0.0.1:9911 or [::1]:9911, found '{text}'");
        Failure::new(FailureKind::Usage, message)
    })
}

/// What the person and the service manager's journal hear.
struct Lines {
    format: LogFormat,
}

impl Hooks for Lines {
    fn listening(&mut self, addresses: &[SocketAddr], status: Option<SocketAddr>) {
        // IMDS is on loopback alone, so that the variable can name no other.
        let loopback = addresses.iter().find(|address| address.ip().is_loopback());
        if let Some(address) = loopback {
            self.say(&format!("Local server started on port: {}", address.port()));
            self.say("Make it available to the sdk by running:");
            self.say(&format!("export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://{address}"));
        }
        for address in addresses.iter().filter(|address| loopback != Some(address)) {
            self.say(&format!("Serving on {address}"));
        }
        if let Some(status) = status {
            self.say(&format!("Status on http://{status}/readyz and http://{status}/metrics"));
        }
    }

    fn reload(&mut self) {
        log::info!("SIGHUP: certificates and keys are read again, every role is refreshed");
    }
}

impl Lines {
    fn say(&self, line: &str) {
        // A closed stderr is nobody's loss.
        let _ = io::stderr().write_all(self.format.line("info", line).as_bytes());
    }
}

/// The exit code; the failure goes where the log goes, in its form.
fn tell(format: LogFormat, outcome: Result<(), Failure>) -> u8 {
    let Err(failure) = outcome else { return 0 };
    if format == LogFormat::Text {
        return failure.report();
    }
    let hint = failure.hint().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
    let _ = io::stderr().write_all(format.line("error", &format!("{failure}{hint}")).as_bytes());
    failure.kind() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_port_is_listened_on_where_nothing_else_is() {
        assert_eq!(port(None, true).unwrap(), Some(DEFAULT_PORT));
        assert_eq!(port(None, false).unwrap(), None);
        assert_eq!(port(Some("0"), false).unwrap(), Some(0));
        assert!(port(Some("-1"), true).is_err());
        assert!(address("--listen", "127.0.0.1").is_err() && address("--listen", "[::1]:0").is_ok());
    }
}
