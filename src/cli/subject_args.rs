//! The flags that say whom a certificate is to name.

use super::values::set;
use super::{Failure, FailureKind};
use crate::x509::{AlternativeName, Name, SyntaxError};

/// Flags that name a subject
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Subject")]
pub struct SubjectArgs {
    /// Distinguished name as RFC 4514 writes it: CN=web-01,O=Example
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// DNS name beside the subject; may be given several times
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// URI beside the subject, such as spiffe://example.org/web; may be given several times
    #[arg(long, value_name = "URI")]
    uri: Vec<String>,
    /// Mail address beside the subject; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,
}

impl SubjectArgs {
    /// The subject, where one is named.
    pub fn subject(&self) -> Result<Option<Name>, Failure> {
        set(self.subject.as_deref()).map(|text| text.parse().map_err(in_flag("--subject"))).transpose()
    }

    /// The subject, for a command that cannot do without.
    pub fn required_subject(&self) -> Result<Name, Failure> {
        self.subject()?.ok_or_else(|| {
            Failure::new(FailureKind::Usage, "wanted a subject, found no --subject")
                .with_hint("name it: --subject CN=web-01,O=Example")
        })
    }

    /// The names beside it: DNS names, then URIs, then mail addresses. AWS makes session tags of the first of each kind.
    pub fn names(&self) -> Result<Vec<AlternativeName>, Failure> {
        let dns = self.dns.iter().map(|text| AlternativeName::dns(text).map_err(in_flag("--dns")));
        let uris = self.uri.iter().map(|text| AlternativeName::uri(text).map_err(in_flag("--uri")));
        let emails = self.email.iter().map(|text| AlternativeName::email(text).map_err(in_flag("--email")));
        dns.chain(uris).chain(emails).collect()
    }
}

fn in_flag(flag: &'static str) -> impl Fn(SyntaxError) -> Failure {
    move |error| Failure::from(error).in_flag(flag)
}
