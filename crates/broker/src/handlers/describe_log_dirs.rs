//! DescribeLogDirs: each log directory of this broker, its volume, and what it holds.

use super::RequestContext;
use log::DirectoryView;
use std::collections::{BTreeMap, BTreeSet};
use types::ErrorCode;
use wire::StrBytes;
use wire::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest,
    DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};

/// The partitions asked for, by topic; `None` asks for all.
type Wanted = Option<BTreeMap<StrBytes, BTreeSet<i32>>>;

pub async fn handle(
    ctx: &RequestContext,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let (logs, disk) = (ctx.broker.replicas.logs().clone(), ctx.broker.env.disk.clone());
    let wanted = request.topics.map(wanted);
    let work = move || {
        let views = logs.describe_directories();
        views.iter().map(|view| describe(view, &*disk, &wanted)).collect()
    };
    let results = ctx.broker.replicas.inquiries().blocking(work).await;
    DescribeLogDirsResponse { results, ..Default::default() }
}

fn wanted(topics: Vec<DescribableLogDirTopic>) -> BTreeMap<StrBytes, BTreeSet<i32>> {
    let mut wanted: BTreeMap<StrBytes, BTreeSet<i32>> = BTreeMap::new();
    for topic in topics {
        wanted.entry(topic.topic).or_default().extend(topic.partitions);
    }
    wanted
}

fn describe(view: &DirectoryView, disk: &dyn env::Disk, wanted: &Wanted) -> DescribeLogDirsResult {
    let log_dir = StrBytes::from(view.path.display().to_string());
    if !view.is_online {
        let error_code = ErrorCode::KafkaStorageError.into();
        return DescribeLogDirsResult { error_code, log_dir, ..Default::default() };
    }
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (name, log) in &view.logs {
        let index = name.partition.0;
        let is_wanted = match wanted {
            None => true,
            Some(wanted) => wanted.get(&*name.topic).is_some_and(|all| all.contains(&index)),
        };
        if is_wanted {
            let log = log.lock();
            let lag = log.high_watermark().0 - log.end_offset().0;
            topics.entry(&name.topic).or_default().push(DescribeLogDirsPartition {
                partition_index: index,
                partition_size: i64::try_from(log.size()).unwrap_or(i64::MAX),
                offset_lag: lag.max(0),
                is_future_key: false,
            });
        }
    }
    let topic =
        |(name, partitions)| DescribeLogDirsTopic { name: StrBytes::from(name), partitions };
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (total_bytes, usable_bytes) = match disk.space(&view.path) {
        Ok((total, usable)) => (bytes(total), bytes(usable)),
        Err(_) => (-1, -1),
    };
    DescribeLogDirsResult {
        error_code: ErrorCode::None.into(),
        log_dir,
        topics: topics.into_iter().map(topic).collect(),
        total_bytes,
        usable_bytes,
        // No directory can be closed to new partitions yet (KIP-1066).
        is_cordoned: false,
    }
}
