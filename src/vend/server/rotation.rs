//! Replaces the consumers' tokens from time to time. A consumer reads its file anew for each request, so that the old token
//! needs to be taken only a little longer.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::consumer::{ConsumerToken, write_token};
use super::error::ServeError;
use super::options::Consumer;
use super::state::State;

/// How long until a token that could not be handed out is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// Whatever the lifetime, the disk is left alone for this long.
const SHORTEST_LIFETIME: Duration = Duration::from_millis(10);

/// Puts every consumer's first token into its file.
pub fn write_all(state: &State, consumers: &[Consumer]) -> Result<(), ServeError> {
    for (consumer, of) in consumers.iter().zip(&state.snapshot().consumers) {
        write_token(&consumer.token_file, of.tokens.current())
            .map_err(|source| ServeError::TokenFile { path: consumer.token_file.clone(), source })?;
    }
    Ok(())
}

/// Replaces the tokens, for ever.
pub async fn rotate(state: Arc<State>, consumers: Vec<Consumer>, lifetime: Duration, overlap: Duration) {
    let lifetime = lifetime.max(SHORTEST_LIFETIME);
    let mut wait = lifetime;
    loop {
        sleep(wait).await;
        wait = lifetime;
        for (index, consumer) in consumers.iter().enumerate() {
            if let Err(error) = replace(&state, index, &consumer.token_file, overlap) {
                let (name, path) = (&consumer.name, consumer.token_file.display());
                log::error!("consumer {name}: the old token goes on, cannot write a new one to {path}: {error}");
                wait = RETRY.min(lifetime);
            }
        }
    }
}

/// Nobody is answered between the write and the change, since this is the thread that answers: whichever token a consumer has
/// read by then is taken.
fn replace(state: &State, index: usize, file: &Path, overlap: Duration) -> io::Result<()> {
    let token = ConsumerToken::generate()?;
    write_token(file, &token)?;
    let until = Timestamp::now().saturating_add(overlap).unwrap_or(Timestamp::MAX);
    state.update_tokens(index, |tokens| tokens.rotate(token, until));
    Ok(())
}
