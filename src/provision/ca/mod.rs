//! A small certificate authority in a directory: its keys are wherever references lead, what it has issued is in an index that
//! survives every death of a process. Knows no flags and no words to people.

mod authority;
mod crl;
mod directory;
mod error;
mod found;
mod index;
mod issue;
mod journal;
mod record;
mod revoke;
mod settings;

pub use authority::{Authority, Signer};
pub use crl::SignedCrl;
pub use directory::Directory;
pub use error::{CaError, Refusal, RefusalKind};
pub use found::{Foundation, NewIssuer};
pub use index::{Entry, Index};
pub use issue::Order;
pub use record::{Crl, Event, Issued, Issuer, Role};
pub use revoke::Which;
pub use settings::{CRL_DAYS, DAYS, KeySettings, MOST_DAYS, Settings};
