//! This machine's clock against the service's.

use super::check::Check;
use super::fact::ClockFact;
use super::finding::{Finding, Standing};

/// Signatures are good for about five minutes either way.
const REFUSED_FROM: u64 = 300;

/// Less is the time on the way and a `Date` of whole seconds.
const NAMED_FROM: u64 = 60;

/// Judges the difference, where the answer told one.
pub fn check(seconds_ahead: Option<i64>) -> Finding {
    let (standing, fact) = match seconds_ahead {
        None => (Standing::Note, ClockFact::Unknown),
        Some(ahead) => (judged(ahead.unsigned_abs()), ClockFact::Ahead(ahead)),
    };
    Finding::new(Check::Clock, standing, fact)
}

fn judged(difference: u64) -> Standing {
    match difference {
        0..NAMED_FROM => Standing::Good,
        NAMED_FROM..REFUSED_FROM => Standing::Note,
        _ => Standing::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_minutes_are_too_much() {
        for (ahead, wanted) in [
            (Some(0), Standing::Good),
            (Some(-59), Standing::Good),
            (Some(60), Standing::Note),
            (Some(-299), Standing::Note),
            (Some(300), Standing::Bad),
            (Some(i64::MIN), Standing::Bad),
            (None, Standing::Note),
        ] {
            assert_eq!(check(ahead).standing, wanted, "{ahead:?}");
        }
    }
}
