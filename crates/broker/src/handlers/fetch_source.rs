//! Records that an answer promises, and that are still in their file.
//!
//! Promises: what is read are the bytes that were planned, or there is an error: the answer's length
//! is out by then, so the connection ends. Whole batches, never looked at.
//!
//! A new leader epoch alone does not take records back: they were below the high watermark when the
//! answer was made. Only a truncation of their file does (see [`log::ReadPlan`]).

use crate::replica::Partition;
use env::File;
use log::ReadPlan;
use std::fmt;
use std::io;
use std::sync::Arc;

/// A stretch of a partition's file. A clone is the same stretch.
#[derive(Clone)]
pub struct FetchSource(Arc<Inner>);

struct Inner {
    partition: Arc<Partition>,
    plan: ReadPlan,
}

impl FetchSource {
    pub fn new(partition: Arc<Partition>, plan: ReadPlan) -> FetchSource {
        FetchSource(Arc::new(Inner { partition, plan }))
    }

    pub fn partition(&self) -> &Arc<Partition> {
        &self.0.partition
    }

    pub fn size(&self) -> usize {
        self.0.plan.len()
    }

    pub fn file(&self) -> &dyn File {
        &**self.0.plan.file()
    }

    /// The place in the file of the byte that is number `at` of the stretch.
    pub fn position(&self, at: usize) -> u64 {
        self.0.plan.position() + at as u64
    }

    /// Reads from byte `at` of the stretch what is in memory; `None` if that byte is not.
    pub fn read_now(&self, at: usize, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let count = self.file().read_at_now(buffer, self.position(at));
        let count = count.map_err(|error| self.failed(error))?;
        self.check(count)
    }

    /// The same, waiting for the device.
    pub fn read(&self, at: usize, buffer: &mut [u8]) -> io::Result<usize> {
        let _reading = self.0.partition.reading();
        let count = self.file().read_at(buffer, self.position(at));
        let count = count.map_err(|error| self.failed(error))?;
        Ok(self.check(Some(count))?.unwrap_or_default())
    }

    /// An error if the file may hold other bytes than those planned.
    pub fn check_intact(&self) -> io::Result<()> {
        match self.0.plan.is_intact() {
            true => Ok(()),
            false => Err(io::Error::other("the log was truncated under a fetch")),
        }
    }

    /// Tells the partition that its disk cannot give back what it holds.
    pub fn failed(&self, error: io::Error) -> io::Error {
        let partition = &self.0.partition;
        tracing::error!(partition = %partition.name, %error, "cannot read for a consumer");
        partition.read_failed(&error);
        error
    }

    fn check(&self, count: Option<usize>) -> io::Result<Option<usize>> {
        self.check_intact()?;
        match count {
            Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            other => Ok(other),
        }
    }
}

impl fmt::Debug for FetchSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of {}", self.size(), self.0.partition.name)
    }
}
