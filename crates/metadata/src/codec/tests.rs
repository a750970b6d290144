//! Round trips, and foreign bytes.
