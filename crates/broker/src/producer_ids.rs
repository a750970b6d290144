//! (being written)
pub struct ProducerIds;
