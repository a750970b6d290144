//! Compaction of logs.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

#[derive(Default)]
pub(crate) struct CompactionCells {
    pub(crate) logs_due: Gauge,
    pub(crate) logs_failed: Gauge,
    pub(crate) failed_bytes: Gauge,
    pub(crate) dirty_ratio_max: Gauge<f64, AtomicU64>,
    pub(crate) overdue_ms_max: Gauge,
    pub(crate) io_bytes: Counter,
    pub(crate) runs: Counter,
    pub(crate) read_bytes: Counter,
    pub(crate) written_bytes: Counter,
    pub(crate) records_read: Counter,
    pub(crate) records_kept: Counter,
}

impl CompactionCells {
    pub(crate) fn register(registry: &mut Registry) -> CompactionCells {
        let cells = CompactionCells::default();
        let help = "Compacted logs that wait for their turn";
        registry.register("compaction_logs_due", help, cells.logs_due.clone());
        let help = "Logs that cannot be compacted: see the node's log for the reason";
        registry.register("compaction_logs_failed", help, cells.logs_failed.clone());
        let help = "Bytes of the logs that cannot be compacted";
        registry.register("compaction_failed_bytes", help, cells.failed_bytes.clone());
        let help = "The largest share of a log that is not yet compacted";
        registry.register("compaction_dirty_ratio_max", help, cells.dirty_ratio_max.clone());
        let help = "By how much a record is past max.compaction.lag.ms";
        registry.register("compaction_overdue_max_ms", help, cells.overdue_ms_max.clone());
        let help = "Bytes that compaction has read and written, runs in progress included";
        registry.register("compaction_io_bytes", help, cells.io_bytes.clone());
        let help = "Logs compacted";
        registry.register("compaction_runs", help, cells.runs.clone());
        let help = "Bytes of the segments that were compacted";
        registry.register("compaction_read_bytes", help, cells.read_bytes.clone());
        let help = "Bytes of the segments that took their place";
        registry.register("compaction_written_bytes", help, cells.written_bytes.clone());
        let help = "Records that compaction looked at";
        registry.register("compaction_records_read", help, cells.records_read.clone());
        let help = "Records that compaction kept";
        registry.register("compaction_records_kept", help, cells.records_kept.clone());
        cells
    }
}
