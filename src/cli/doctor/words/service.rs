//! What is asked for, and the way to the service.

use super::{Words, listed};
use crate::cli::{Failure, FailureKind};
use crate::doctor::fact::ClockFact;
use crate::doctor::fact::NetworkFact;
use crate::doctor::fact::SessionFact;
use crate::rolesanywhere::{ClientError, NetworkLandmark};

pub(super) fn session(fact: SessionFact) -> Words {
    match fact {
        SessionFact::NotNamed => Words::new("no ARN is named, so that only key and certificate can be looked at")
            .mend("name them: --trust-anchor-arn ARN --profile-arn ARN --role-arn ARN"),
        SessionFact::Asks { role, region } => {
            Words::new(format!("{role}, with trust anchor and profile in {region}")).detail("region", region)
        }
        SessionFact::Accounts(accounts) => Words::new(format!(
            "the ARNs are of {} accounts ({}), and the service wants one",
            accounts.len(),
            listed(&accounts)
        ))
        .mend("see which there are: aws rolesanywhere list-trust-anchors"),
        SessionFact::OwnRegion(region) => {
            Words::new(format!("requests are signed for {region}, the trust anchor's region"))
        }
        SessionFact::OtherRegion { chosen, anchor } => {
            Words::new(format!("requests are signed for {chosen}, and the trust anchor is in {anchor}"))
                .kind(FailureKind::Usage)
                .mend(format!("leave --region out, or give --region {anchor}"))
        }
    }
}

pub(super) fn network(fact: NetworkFact) -> Words {
    match fact {
        NetworkFact::Endpoint { url, proxy } => {
            let by = proxy.map_or_else(|| "without a proxy".to_owned(), |proxy| format!("through {proxy}"));
            Words::new(format!("{url} {by}")).detail("url", url)
        }
        NetworkFact::NoRegion => {
            Words::new("not looked at: neither ARNs nor flags tell the region").mend("give --region REGION")
        }
        NetworkFact::Refused(error) => Words::from(Failure::from(error)),
        NetworkFact::Found(landmark) => landmark_words(landmark),
        NetworkFact::Intercepted { issuer } => {
            Words::new(format!("the certificate is issued by {issuer}, not by Amazon: a TLS proxy reads along"))
                .mend("have this host left out there, or bypass it: export NO_PROXY=amazonaws.com")
        }
        NetworkFact::Failed(error) => Words::from(Failure::from(ClientError::from(error))),
    }
}

fn landmark_words(landmark: NetworkLandmark) -> Words {
    match landmark {
        NetworkLandmark::Trust(place) => Words::new(format!("the certificates of {place} are trusted")),
        NetworkLandmark::TrustsEverybody => {
            Words::new("nothing is verified: whoever sits between can read the credentials")
                .mend("leave --no-verify-ssl out")
        }
        NetworkLandmark::Addresses { host, addresses } => {
            let addresses: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
            Words::new(format!("{host} is {}", listed(&addresses))).detail("addresses", addresses)
        }
        NetworkLandmark::Connected { address, took } => {
            Words::new(format!("{address} accepts, in {} ms", took.as_millis()))
        }
        NetworkLandmark::Tunnel { proxy } => Words::new(format!("{proxy} connects to the endpoint")),
        NetworkLandmark::Tls { version, key_exchange, issuer } => {
            Words::new(format!("{version}, key exchange {key_exchange}, certificate issued by {issuer}"))
                .detail("version", version)
                .detail("key_exchange", key_exchange)
                .detail("issuer", issuer)
        }
        NetworkLandmark::Answer { status, .. } => {
            Words::new(format!("HTTP {status} to a request without a signature")).detail("status", status)
        }
    }
}

pub(super) fn clock(fact: ClockFact) -> Words {
    match fact {
        ClockFact::Unknown => Words::new("the answer has no date to compare with"),
        ClockFact::Ahead(ahead) => {
            let direction = if ahead < 0 { "behind" } else { "ahead of" };
            let seconds = ahead.unsigned_abs();
            let words = Words::new(format!("this machine's clock is {seconds} s {direction} the service's"))
                .detail("seconds_ahead", ahead);
            if seconds < 60 { words } else { words.mend("timedatectl set-ntp true") }
        }
    }
}
