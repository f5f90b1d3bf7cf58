//! The table of `keyanchor list`: a line for each device, and below it one for each key and certificate, the reference last so that
//! it can be copied whole.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::identity::{Overview, OverviewCertificate, OverviewKey};
use crate::key::{DeviceInfo, KeyKind, TokenInfo};
use crate::x509::Certificate;

/// Columns before the reference.
const COLUMNS: usize = 5;

type Row = ([String; COLUMNS], String);

/// Everything that was listed.
pub fn text(overviews: &[Overview], now: Timestamp) -> String {
    let mut text = String::new();
    for (number, overview) in overviews.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{}", heading(overview));
        lay_out(&rows(overview, now), &mut text);
    }
    text
}

fn heading(overview: &Overview) -> String {
    match &overview.device {
        DeviceInfo::Token(token) => {
            let hidden = if overview.may_hide { "; --login shows what is private" } else { "" };
            format!("token '{}': {}{hidden}  {}", printable(&token.label), state(token), token.reference)
        }
        DeviceInfo::Tpm(tpm) => format!("TPM {}: persistent keys", printable(&tpm.way)),
    }
}

/// What stands in the way of using it, or may.
fn state(token: &TokenInfo) -> String {
    let pin = token.pin;
    let facts = [
        (true, if token.login_required { "wants a login" } else { "wants no login" }),
        (token.keypad, "PIN at its own keypad"),
        (pin.locked, "PIN locked"),
        (pin.final_try && !pin.locked, "one more wrong PIN locks it"),
        (pin.count_low && !pin.final_try && !pin.locked, "a wrong PIN was entered"),
        (pin.to_be_changed, "PIN to be changed"),
        (token.write_protected, "write-protected"),
    ];
    facts.into_iter().filter_map(|(is_so, fact)| is_so.then_some(fact)).collect::<Vec<_>>().join(", ")
}

fn rows(overview: &Overview, now: Timestamp) -> Vec<Row> {
    let mut rows = Vec::new();
    for key in &overview.keys {
        rows.push(key_row(key));
        let own = key.certificates.iter().filter_map(|place| overview.certificates.get(*place));
        rows.extend(own.map(|certificate| certificate_row("  certificate", certificate, now)));
    }
    let others = overview.certificates.iter().filter(|certificate| certificate.key.is_none());
    rows.extend(others.map(|certificate| certificate_row("certificate", certificate, now)));
    rows
}

fn key_row(key: &OverviewKey) -> Row {
    let entry = &key.entry;
    let algorithm = match &entry.kind {
        KeyKind::Supported(algorithm) => algorithm.to_string(),
        KeyKind::Other(name) => name.clone(),
        KeyKind::Unknown => "unknown".to_owned(),
    };
    let protection = match (entry.public_only, entry.attributes.is_exportable(), entry.attributes.never_left()) {
        (true, _, _) => "",
        (_, Some(false), Some(true)) => "never left",
        (_, Some(false), _) => "not exportable",
        (_, Some(true), _) => "exportable",
        (_, None, _) => "protection unknown",
    };
    let usage = match entry.attributes.signs() {
        Some(false) => "does not sign",
        _ if entry.attributes.wants_pin_per_signature() => "PIN per signature",
        _ => "",
    };
    let what = if entry.public_only { "public half" } else { "key" };
    let certified = if key.certificates.is_empty() && !entry.public_only { "no certificate" } else { "" };
    let columns = [what.to_owned(), algorithm, protection.to_owned(), usage.to_owned(), certified.to_owned()];
    (columns, reference(&entry.reference, entry.ambiguous))
}

fn certificate_row(what: &str, held: &OverviewCertificate, now: Timestamp) -> Row {
    let (kind, until, subject) = match &held.certificate {
        Ok(certificate) => {
            let kind = if certificate.is_ca() { "CA" } else { "" };
            (kind, until(certificate, now), printable(&certificate.subject().to_string()))
        }
        Err(_) => ("unreadable", String::new(), String::new()),
    };
    let columns = [what.to_owned(), kind.to_owned(), until, subject, String::new()];
    (columns, reference(&held.entry.reference, held.entry.ambiguous))
}

fn until(certificate: &Certificate, now: Timestamp) -> String {
    let end = certificate.not_after();
    let day = end.to_zoned(TimeZone::UTC).date();
    if end < now { format!("expired {day}") } else { format!("until {day}") }
}

fn reference(reference: &str, ambiguous: bool) -> String {
    if ambiguous { format!("{reference}  (selects several)") } else { reference.to_owned() }
}

/// What a token says of itself must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| match character.is_control() {
            true => character.escape_default().collect::<Vec<_>>(),
            false => vec![character],
        })
        .collect()
}

/// Columns as wide as their widest entry; those that are empty everywhere are left out.
fn lay_out(rows: &[Row], text: &mut String) {
    let mut widths = [0; COLUMNS];
    for (columns, _) in rows {
        for (width, column) in widths.iter_mut().zip(columns) {
            *width = column.chars().count().max(*width);
        }
    }
    for (columns, reference) in rows {
        let mut line = String::from(" ");
        for (width, column) in widths.iter().zip(columns).filter(|(width, _)| **width > 0) {
            let _ = write!(line, " {column:<width$} ");
        }
        let _ = writeln!(text, "{line} {reference}");
    }
}
