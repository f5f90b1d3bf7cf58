//! What is asked for: the ARNs, and the region that signs.

use super::check::Check;
use super::fact::Fact;
use super::fact::SessionFact;
use super::finding::{Finding, Standing};
use super::road::Named;
use crate::rolesanywhere::CreateSession;

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
