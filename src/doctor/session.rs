//! What is asked for: the ARNs, and the region that signs.

use super::finding::{Check, Fact, Finding, Standing};
use super::walk::Named;
use crate::rolesanywhere::CreateSession;

/// What was found of it.
#[derive(Debug)]
pub enum SessionFact {
    /// No ARN is named: only the key and the way to the service can be looked at.
    NotNamed,
    /// They can be read and fit together.
    Asks {
        /// The role.
        role: String,
        /// The trust anchor's region.
        region: String,
    },
    /// They name several accounts, and the service wants one.
    Accounts(Vec<String>),
    /// The region is the trust anchor's.
    OwnRegion(String),
    /// Another one signs.
    OtherRegion {
        /// The one that was chosen.
        chosen: String,
        /// The trust anchor's.
        anchor: String,
    },
}

/// Judges the session that flags and file name.
pub fn check(session: &Named<CreateSession>, region: Option<&str>) -> Vec<Finding> {
    let arns = |standing, fact| Finding::new(Check::SessionArns, standing, fact);
    match session {
        Named::Misread => vec![
            Finding::new(Check::SessionArns, Standing::Bad, Fact::Misread),
            Finding::awaits(Check::SessionRegion, Check::SessionArns),
        ],
        Named::Nothing => vec![arns(Standing::Note, SessionFact::NotNamed)],
        Named::This(session) => {
            let accounts = session.accounts();
            let fact = match accounts.len() {
                1 => arns(
                    Standing::Good,
                    SessionFact::Asks { role: session.role_arn().to_owned(), region: session.region_name().to_owned() },
                ),
                _ => {
                    let accounts = accounts.into_iter().map(str::to_owned).collect();
                    arns(Standing::Note, SessionFact::Accounts(accounts))
                }
            };
            vec![fact, signing_region(session.region_name(), region)]
        }
    }
}

fn signing_region(anchor: &str, chosen: Option<&str>) -> Finding {
    let (standing, fact) = match chosen {
        Some(chosen) if chosen != anchor => {
            let (chosen, anchor) = (chosen.to_owned(), anchor.to_owned());
            (Standing::Bad, SessionFact::OtherRegion { chosen, anchor })
        }
        _ => (Standing::Good, SessionFact::OwnRegion(anchor.to_owned())),
    };
    Finding::new(Check::SessionRegion, standing, fact)
}
