//! A payload of each codec: unpacking ends at its cap, and what was packed comes back.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use records::{BatchError, Compression, compress_at, decompress};

const CAP: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let Some((control, data)) = data.split_first() else { return };
    let codec = Compression::ALL[usize::from(control % 5)];
    let payload = Bytes::copy_from_slice(data);
    match decompress(codec, &payload, CAP) {
        Ok(plain) => assert!(plain.len() <= CAP || codec == Compression::None),
        Err(BatchError::DecompressedTooLarge { limit }) => assert_eq!(limit, CAP),
        Err(_) => {}
    }
    // The matchers of higher levels read a constant table that the sanitizer takes for stack.
    let level = (i32::from(control / 5) - 10).min(3);
    let packed = Bytes::from(compress_at(codec, Some(level), data));
    assert_eq!(decompress(codec, &packed, data.len()).as_deref(), Ok(data));
    if !data.is_empty() && codec != Compression::None {
        let limit = data.len() - 1;
        let error = BatchError::DecompressedTooLarge { limit };
        assert_eq!(decompress(codec, &packed, limit), Err(error));
    }
});
