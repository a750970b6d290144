//! A request frame as a broker gets it: header, then the message that the header names. What
//! can be read can be written, and reads as the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{ApiKey, Bytes, Message, Reader, frame};

fn check<M: Message>(reader: &mut Reader, version: i16) {
    let Ok(message) = M::decode(reader, version) else { return };
    let once = message.encode_pieces(version).expect("what was read can be written").into_bytes();
    let again = M::decode_bytes(once.clone(), version).expect("what was written can be read");
    let twice = again.encode_pieces(version).expect("and written again").into_bytes();
    assert_eq!(once, twice);
}

macro_rules! dispatch {
    ($([$name:ident $module:ident $request:ident $response:ident])*) => {
        fn request(api_key: ApiKey, reader: &mut Reader, version: i16) {
            match api_key {
                $( ApiKey::$name => check::<wire::$module::$request>(reader, version), )*
            }
        }
    };
}

wire::for_each_api!(dispatch);

fuzz_target!(|data: &[u8]| {
    if let Ok((header, mut reader)) = frame::open_request(Bytes::copy_from_slice(data)) {
        request(header.api_key, &mut reader, header.api_version);
    }
});
