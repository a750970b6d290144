//! A stream of frames: cutting them off, request headers, and data messages with their version.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::{data, frame};

const FRAME_LENGTH_MAX: usize = 4096;

macro_rules! each_data {
    ($([$module:ident $name:ident])*) => {
        fn data_messages(frame: &wire::Bytes) {
            $(
                let _ = data::decode_value::<wire::$module::$name>(frame.clone());
                let _ = data::decode_consumer_data::<wire::$module::$name>(frame.clone());
            )*
        }
    };
}

wire::for_each_data!(each_data);

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    let mut taken = 0;
    while let Ok(Some(frame)) = frame::split(&mut buffer, FRAME_LENGTH_MAX) {
        assert!(frame.len() <= FRAME_LENGTH_MAX);
        taken += 4 + frame.len();
        assert_eq!(taken + buffer.len(), data.len());
        let _ = frame::open_request(frame.clone());
        let _ = data::open_key(frame.clone());
        data_messages(&frame);
    }
});
