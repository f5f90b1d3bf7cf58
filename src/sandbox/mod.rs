//! A local Roles Anywhere service that verifies what the real one documents. Shares no canonicalising or verifying code with
//! the signer, so that a mistake cannot cancel itself out.
