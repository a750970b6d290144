//! `ottla dump-log`: what is in the files of a partition, line for line as Kafka's tool prints it.
//!
//! Promises: reads only; memory is bounded by the largest batch, whatever a file claims; what is
//! wrong with a file goes to standard error under the name of the file, after all else.
//! Does not: read formats before batches (magic 0 and 1), nor Kafka's own metadata log.

mod batches;
mod checkpoints;
mod coordinator_records;
mod decoder;
mod indexes;
mod json;
mod producers;
mod report;

use super::{Context, ToolError};
use decoder::Decoder;
use env::disk::Open;
use report::Report;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Print what is in the files of a partition: log, indexes, snapshots, checkpoints
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ottla dump-log --files orders-0/00000000000000000000.log
  ottla dump-log --print-data-log --files orders-0/00000000000000000000.log
  ottla dump-log --files orders-0/00000000000000000000.index,orders-0/leader-epoch-checkpoint
  ottla dump-log --offsets-decoder --files __consumer_offsets-7/00000000000000000000.log

The kind of a file is told by its name: .log, .index, .timeindex, .txnindex, .snapshot, and the
checkpoints of partitions and log directories.")]
pub struct Args {
    /// The files to print
    #[arg(long, value_name = "FILE,...", value_delimiter = ',', required = true)]
    files: Vec<PathBuf>,
    /// Print the records' keys and values; decoders do so as well
    #[arg(long)]
    print_data_log: bool,
    /// Print a line for each record; --print-data-log does so as well
    #[arg(long)]
    deep_iteration: bool,
    /// Leave out what is not key or value of a record
    #[arg(long)]
    skip_record_metadata: bool,
    /// Check indexes against their log without printing them
    #[arg(long)]
    verify_index_only: bool,
    /// Check indexes as a start does, without printing them
    #[arg(long)]
    index_sanity_check: bool,
    /// The largest batch that an index entry may point to
    #[arg(long, value_name = "BYTES", default_value_t = 5 * 1024 * 1024)]
    max_message_size: u32,
    /// Stop after so many bytes of a log
    #[arg(long, value_name = "BYTES", default_value_t = i32::MAX as u32)]
    max_bytes: u32,
    /// How keys become text: StringDecoder, IntegerDecoder or LongDecoder
    #[arg(long, value_name = "CLASS", num_args = 0..=1, default_missing_value = "StringDecoder")]
    key_decoder_class: Option<String>,
    /// How values become text
    #[arg(long, value_name = "CLASS", num_args = 0..=1, default_missing_value = "StringDecoder")]
    value_decoder_class: Option<String>,
    /// Read records as those of __consumer_offsets
    #[arg(long)]
    offsets_decoder: bool,
    /// Read records as those of __transaction_state
    #[arg(long, conflicts_with = "offsets_decoder")]
    transaction_log_decoder: bool,
}

/// What is printed of a log, and how.
struct Options {
    is_deep: bool,
    prints_data: bool,
    skips_record_metadata: bool,
    verifies_only: bool,
    is_sanity_check: bool,
    max_message_bytes: u64,
    max_bytes: u64,
    decoder: Decoder,
}

/// Why a file could not be printed to its end.
#[derive(Debug, thiserror::Error)]
enum DumpError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file, or one that belongs to it.
    #[error("{}: {error}", .file.display())]
    File { file: PathBuf, error: std::io::Error },
    #[error("{0}")]
    Wrong(String),
}

impl From<records::BatchError> for DumpError {
    fn from(error: records::BatchError) -> DumpError {
        DumpError::Wrong(error.to_string())
    }
}

type File = Arc<dyn env::File>;

pub(super) fn run(args: Args, context: Context<'_>) -> Result<(), ToolError> {
    let options = options(&args)?;
    let mut dump = Dump { disk: context.env.disk.clone(), out: context.out, options };
    let mut report = Report::default();
    let mut is_whole = true;
    for file in &args.files {
        match dump.file(file, &mut report) {
            Ok(()) => {}
            Err(DumpError::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                return Err(error.into());
            }
            Err(error) => {
                dump.out.flush()?;
                eprintln!("error: {}: {error}", file.display());
                is_whole = false;
            }
        }
    }
    dump.out.flush()?;
    report.print(&mut std::io::stderr())?;
    if is_whole { Ok(()) } else { Err(ToolError::Told) }
}

fn options(args: &Args) -> Result<Options, ToolError> {
    let has_class = args.key_decoder_class.is_some() || args.value_decoder_class.is_some();
    let has_decoder = has_class || args.offsets_decoder || args.transaction_log_decoder;
    let decoder = if args.offsets_decoder {
        Decoder::Offsets
    } else if args.transaction_log_decoder {
        Decoder::Transactions
    } else {
        let plain = |class: &Option<String>| decoder::plain(class.as_deref());
        Decoder::Plain {
            key: plain(&args.key_decoder_class).map_err(ToolError::Invalid)?,
            value: plain(&args.value_decoder_class).map_err(ToolError::Invalid)?,
        }
    };
    let prints_data = args.print_data_log || has_decoder;
    Ok(Options {
        is_deep: args.deep_iteration || prints_data,
        prints_data,
        skips_record_metadata: args.skip_record_metadata,
        verifies_only: args.verify_index_only,
        is_sanity_check: args.index_sanity_check,
        max_message_bytes: u64::from(args.max_message_size),
        max_bytes: u64::from(args.max_bytes),
        decoder,
    })
}

/// Prints files.
struct Dump<'a> {
    disk: Arc<dyn env::Disk>,
    out: &'a mut (dyn Write + Send),
    options: Options,
}

impl Dump<'_> {
    fn file(&mut self, path: &Path, report: &mut Report) -> Result<(), DumpError> {
        writeln!(self.out, "Dumping {}", path.display())?;
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let suffix = name.rfind('.').map_or("", |dot| &name[dot..]);
        match suffix {
            ".log" | ".checkpoint" => self.log(path, report),
            ".index" => self.offset_index(path, report),
            ".timeindex" => self.time_index(path, report),
            ".txnindex" => self.transaction_index(path),
            ".snapshot" => self.producer_snapshot(path),
            _ if checkpoints::is_one(&name) => self.checkpoint(path, &name),
            _ => {
                self.out.flush()?;
                eprintln!("Ignoring unknown file {}", path.display());
                Ok(())
            }
        }
    }

    fn open(&self, path: &Path) -> Result<File, DumpError> {
        let opened = self.disk.open(path, Open::Read);
        opened.map_err(|error| DumpError::File { file: path.to_path_buf(), error })
    }
}

/// The offset in a segment file's name.
fn base_offset(path: &Path) -> Result<i64, DumpError> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let digits = name.split('.').next().unwrap_or_default();
    let wrong = |_| DumpError::Wrong(format!("{name} does not begin with an offset"));
    digits.parse().map_err(wrong)
}

/// The path as Kafka's tool names it in reports.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
