//! Pauses between attempts.

use std::time::Duration;

use env::Env;
use types::Monotonic;

use crate::error::ClientError;
use crate::options::ClientOptions;

/// Counts the attempts of one operation and ends it at its deadline.
pub(crate) struct Attempts {
    env: Env,
    deadline: Monotonic,
    next_pause: Duration,
    pause_max: Duration,
}

impl Attempts {
    pub(crate) fn new(env: &Env, options: &ClientOptions) -> Attempts {
        Attempts::within(env, options, options.api_timeout)
    }

    pub(crate) fn within(env: &Env, options: &ClientOptions, time: Duration) -> Attempts {
        Attempts {
            env: env.clone(),
            deadline: env.clock.now() + time,
            next_pause: options.retry_backoff,
            pause_max: options.retry_backoff_max,
        }
    }

    /// Waits before the next attempt; gives the error back when it is final or the time is up.
    pub(crate) async fn pause(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.is_retriable() || self.env.clock.now() + self.next_pause >= self.deadline {
            return Err(error);
        }
        tracing::debug!(%error, "trying again");
        tokio::time::sleep(self.next_pause).await;
        self.next_pause = (self.next_pause * 2).min(self.pause_max);
        Ok(())
    }
}
