//! A response as a client gets it. The first four bytes say which API and version was asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{ApiKey, Bytes, Message, frame};

fn check<M: Message>(frame: Bytes, version: i16) {
    let Ok((_, message)) = frame::decode_response::<M>(frame, version) else { return };
    let once = message.encode_pieces(version).expect("what was read can be written").into_bytes();
    let again = M::decode_bytes(once.clone(), version).expect("what was written can be read");
    let twice = again.encode_pieces(version).expect("and written again").into_bytes();
    assert_eq!(once, twice);
}

macro_rules! dispatch {
    ($([$name:ident $module:ident $request:ident $response:ident])*) => {
        fn response(api_key: ApiKey, frame: Bytes, version: i16) {
            match api_key {
                $( ApiKey::$name => check::<wire::$module::$response>(frame, version), )*
            }
        }
    };
}

wire::for_each_api!(dispatch);

fuzz_target!(|data: &[u8]| {
    let Some((&[a, b, c, d], frame)) = data.split_first_chunk::<4>() else { return };
    if let Ok(api_key) = ApiKey::try_from(i16::from_be_bytes([a, b])) {
        response(api_key, Bytes::copy_from_slice(frame), i16::from_be_bytes([c, d]));
    }
});
