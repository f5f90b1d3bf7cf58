//! How findings are printed: a line for each check, or one JSON document.

use serde_json::{Value, json};

use super::other;
use super::told::{Told, exit_code};
use crate::cli::Failure;
use crate::doctor::Standing;

/// `STANDING  CHECK  FOUND`, under it what mends it, and at the end how many there are of each. Checks that one failure keeps from
/// being looked at share a line.
pub fn text(told: &[Told]) -> String {
    let width = told.iter().map(|told| told.check.name().len()).max().unwrap_or_default();
    let mut text = String::new();
    for alike in told.chunk_by(share_a_line) {
        let Some(Told { check, standing, found, mend, .. }) = alike.first() else { continue };
        let others = match alike.len() {
            1 => String::new(),
            2 => ", as does the one that follows".to_owned(),
            all => format!(", as do the {} that follow", all - 1),
        };
        text.push_str(&format!("{:<6}{:<width$}  {found}{others}\n", name(*standing), check.name()));
        for line in mend.iter().flat_map(|mend| mend.lines()) {
            text.push_str(&format!("{:>indent$}{line}\n", "", indent = 6 + width + 4));
        }
    }
    text + &summary(told)
}

fn share_a_line(one: &Told, next: &Told) -> bool {
    let skipped = one.standing == Standing::Skipped && next.standing == Standing::Skipped;
    skipped && one.found == next.found && one.mend.is_none() && next.mend.is_none()
}

fn summary(told: &[Told]) -> String {
    let of = |standing| told.iter().filter(|told| told.standing == standing).count();
    let (bad, notes, good) = (of(Standing::Bad), of(Standing::Note), of(Standing::Good));
    format!("\n{bad} bad, {notes} to note, {good} good, {} not looked at\n", of(Standing::Skipped))
}

/// The shape is documented in `docs/doctor.md`.
pub fn json(told: &[Told]) -> Result<String, Failure> {
    let checks: Vec<Value> = told.iter().map(check).collect();
    let document = json!({ "version": 1, "exit_code": exit_code(told), "checks": checks });
    let text = serde_json::to_string_pretty(&document).map_err(|error| other(error.to_string()))?;
    Ok(text + "\n")
}

fn check(told: &Told) -> Value {
    json!({
        "check": told.check.name(),
        "standing": name(told.standing),
        "found": told.found,
        "mend": told.mend,
        "exit_code": told.kind.map(|kind| kind as u8),
        "details": told.details,
    })
}

fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Good => "good",
        Standing::Note => "note",
        Standing::Bad => "bad",
        Standing::Skipped => "skip",
    }
}
