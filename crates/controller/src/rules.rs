//! Between bytes and the pure rules: encoding batches and snapshots, and applying them.

use bytes::Bytes;
use metadata::{Image, Record};
use prost::Message;
use rpc::controller::MetadataBatch;
use rpc::metadata as pb;
use types::MetadataVersion;

fn decode(records: &[pb::Record]) -> Result<Vec<Record>, String> {
    let records = records.iter().cloned().map(Record::try_from);
    records.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// A decided batch as it is proposed and stored.
pub fn batch_to_bytes(base: MetadataVersion, records: &[Record]) -> Bytes {
    let records = records.iter().map(pb::Record::from).collect();
    Bytes::from(MetadataBatch { version: base.0 + 1, records }.encode_to_vec())
}

/// Applies a batch that was decided on the image's own version. An unknown kind of record is an
/// error: this node is older than the one that wrote it, and must not go on.
pub fn apply(
    image: &mut Image,
    base: MetadataVersion,
    batch: &MetadataBatch,
) -> Result<(), String> {
    let records = decode(&batch.records)?;
    let applied = image.apply_batch(base, &records);
    assert!(applied, "the batch was decided on version {base}, the image has {}", image.version());
    Ok(())
}

/// The records that make an image.
pub fn snapshot(image: &Image) -> Vec<pb::Record> {
    image.to_records().iter().map(pb::Record::from).collect()
}

/// The image that a snapshot's records make.
pub fn image_of(version: MetadataVersion, records: &[pb::Record]) -> Result<Image, String> {
    Ok(Image::from_records(version, &decode(records)?))
}
