//! Bytes that nobody should send: no panic, and memory stays in proportion.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use wire::{DecodeError, Message, Reader};

use crate::random::Random;
use crate::sample;
use crate::schema::Schema;

/// Counts what the current thread holds, and the most that it held.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // Fails only while the thread ends, when nothing is measured any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        PEAK.with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that `run` held beyond what was held before.
fn peak_of<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = run();
    (result, (PEAK.get() - before) as usize)
}

fn decode<M: Message>(bytes: Vec<u8>, version: i16) -> Result<M, DecodeError> {
    let length = bytes.len();
    let bytes = Bytes::from(bytes);
    let mut reader = Reader::new(bytes);
    let (result, peak) = peak_of(|| M::decode(&mut reader, version));
    // Half as much again while an array moves. Bytes allocates a small shared counter for the frame
    // once; it is the only other thing.
    let limit = Reader::allowance(length) * 3 / 2 + 64;
    assert!(peak <= limit, "{} version {version}: {peak} bytes for {length}", M::NAME);
    result
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => bytes.truncate(at),
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            2 => bytes.insert(at, random.next() as u8),
            3 => {
                // A length that asks for far too much, in any of its forms.
                let huge = [[0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0x07], [0x80; 4]];
                let end = (at + 4).min(bytes.len());
                bytes.splice(at..end, huge[random.below(3)]);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
        }
    }
}

/// What is still readable must be writable, and then the same again.
fn check_stable<M: Message>(message: M, version: i16) {
    let written = message.encode_pieces(version).expect("what was read can be written");
    let again = M::decode_bytes(written.clone().into_bytes(), version).expect("and read again");
    // Compared as bytes, because a float that is not a number is not equal to itself.
    let twice = again.encode_pieces(version).expect("and written again").into_bytes();
    assert_eq!(twice, written.into_bytes(), "{} version {version}", M::NAME);
}

fn attack<M: Message>(schemas: &[Schema]) {
    let (schema, message) = sample::find(schemas, M::NAME);
    let mut random = Random::new(M::KEY as u64 ^ 0xbad);
    for version in M::VERSIONS.0..=M::VERSIONS.1 {
        for _ in 0..60 {
            let mut bytes = sample::message(&mut random, schema, message, version);
            damage(&mut random, &mut bytes);
            if let Ok(message) = decode::<M>(bytes, version) {
                check_stable(message, version);
            }
            let length = random.below(300);
            let noise = random.bytes(length);
            if let Ok(message) = decode::<M>(noise, version) {
                check_stable(message, version);
            }
        }
        every_prefix_fails::<M>(&sample::message(&mut random, schema, message, version), version);
        for fill in [0x00, 0x01, 0x02, 0x7f, 0x80, 0xff] {
            let _ = decode::<M>(vec![fill; 100_000], version);
        }
    }
    for version in [M::VERSIONS.0 - 1, M::VERSIONS.1 + 1, i16::MIN, i16::MAX] {
        let expected = DecodeError::UnsupportedVersion { message: M::NAME, version };
        assert_eq!(decode::<M>(Vec::new(), version), Err(expected));
    }
}

fn every_prefix_fails<M: Message>(bytes: &[u8], version: i16) {
    for length in 0..bytes.len().min(400) {
        let result = decode::<M>(bytes[..length].to_vec(), version);
        assert!(result.is_err(), "{} version {version} cut to {length}", M::NAME);
    }
}

macro_rules! attack_apis {
    ($([$name:ident $module:ident $request:ident $response:ident])*) => {
        #[test]
        fn no_bytes_make_a_request_decoder_panic_or_take_much_memory() {
            let schemas = sample::schemas();
            $( attack::<wire::$module::$request>(&schemas); )*
        }

        #[test]
        fn every_version_of_every_api_comes_back_as_it_was() {
            let schemas = sample::schemas();
            $(
                round_trip::<wire::$module::$request>(&schemas);
                round_trip::<wire::$module::$response>(&schemas);
            )*
        }

        #[test]
        fn no_bytes_make_a_response_decoder_panic_or_take_much_memory() {
            let schemas = sample::schemas();
            $( attack::<wire::$module::$response>(&schemas); )*
        }
    };
}

macro_rules! attack_data {
    ($([$module:ident $name:ident])*) => {
        #[test]
        fn no_bytes_make_a_data_decoder_panic_or_take_much_memory() {
            let schemas = sample::schemas();
            $( attack::<wire::$module::$name>(&schemas); )*
        }

        #[test]
        fn data_messages_come_back_as_they_were_in_every_version() {
            let schemas = sample::schemas();
            $( round_trip::<wire::$module::$name>(&schemas); )*
        }
    };
}

wire::for_each_api!(attack_apis);
wire::for_each_data!(attack_data);

fn round_trip<M: Message>(schemas: &[Schema]) {
    let (schema, message) = sample::find(schemas, M::NAME);
    let mut random = Random::new(5);
    for version in M::VERSIONS.0..=M::VERSIONS.1 {
        for _ in 0..20 {
            let bytes = Bytes::from(sample::message(&mut random, schema, message, version));
            let value = M::decode_bytes(bytes.clone(), version).expect("valid");
            let written = value.encode_pieces(version).expect("what was read can be written");
            assert_eq!(written.into_bytes(), bytes, "{} version {version}", M::NAME);
        }
    }
}

#[test]
fn an_array_longer_than_what_is_left_is_refused_before_it_is_allocated() {
    // Metadata version 0: an array of names, two bytes each at least.
    let mut bytes = 0x7fff_ffff_i32.to_be_bytes().to_vec();
    bytes.extend([0; 100]);
    let (result, peak) = peak_of(|| {
        wire::metadata::MetadataRequest::decode(&mut Reader::new(Bytes::from(bytes)), 0)
    });
    assert_eq!(result, Err(DecodeError::ArrayTooLong { count: 0x7fff_ffff, remaining: 100 }));
    assert!(peak < 1024, "{peak} bytes were allocated");
}

/// A request for the deletion of so many topics without a name, one byte each.
fn nameless(count: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut length = count + 1;
    while length > 0x7f {
        bytes.push((length as u8 & 0x7f) | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.resize(bytes.len() + count as usize, 1);
    // The timeout, and no tags.
    bytes.extend([0, 0, 0, 9, 0]);
    bytes
}

/// A hundred million of them in a frame of 100 MiB came to 3.2 GB.
#[test]
fn a_frame_of_empty_names_costs_a_small_multiple_of_itself() {
    type Request = wire::delete_topics::DeleteTopicsRequest;
    let decoded = |count| {
        let bytes = Bytes::from(nameless(count));
        peak_of(|| Request::decode(&mut Reader::new(bytes), 5))
    };
    let (result, peak) = decoded(100_000);
    assert_eq!(result.expect("odd, and not refused").topic_names.len(), 100_000);
    assert!(peak < 100_000 * 32 * 3, "{peak} bytes");
    let (result, peak) = decoded(1_000_000);
    assert_eq!(result, Err(DecodeError::TooMuchMemory));
    assert!(peak < Reader::allowance(1_000_000) * 3 / 2, "{peak} bytes");
    let (result, peak) = decoded(1_000_001);
    assert_eq!(result, Err(DecodeError::TooManyElements { count: 1_000_001 }));
    assert!(peak < 1024, "{peak} bytes were allocated");
}

#[test]
fn an_array_takes_memory_as_its_elements_come() {
    // 100,000 topics of two bytes each at least are said to follow; the first has a bad length.
    let mut bytes = 100_000_i32.to_be_bytes().to_vec();
    bytes.extend([0xff, 0xf0]);
    bytes.extend([0; 200_000]);
    let (result, peak) = peak_of(|| {
        wire::metadata::MetadataRequest::decode(&mut Reader::new(Bytes::from(bytes)), 0)
    });
    assert!(matches!(result, Err(DecodeError::BadLength { .. })), "{result:?}");
    assert!(peak < 1000 * 64, "{peak} bytes were allocated");
}

#[test]
fn more_tagged_fields_than_kafka_allows_are_refused() {
    let tags = |count: u32| {
        let mut bytes = vec![(count & 0x7f) as u8 | 0x80, ((count >> 7) & 0x7f) as u8 | 0x80];
        bytes.push((count >> 14) as u8);
        for _ in 0..count {
            bytes.extend([100, 0]);
        }
        Reader::new(Bytes::from(bytes)).skip_tagged_fields()
    };
    assert_eq!(tags(10_000), Ok(()));
    assert_eq!(tags(10_001), Err(DecodeError::TooManyTaggedFields { count: 10_001 }));
}

#[test]
fn a_long_list_of_very_short_elements_is_not_refused() {
    let names = vec![wire::StrBytes::from("t"); 200_000];
    let topics =
        wire::delete_topics::DeleteTopicsRequest { topic_names: names, ..Default::default() };
    let bytes = topics.encode_pieces(5).expect("valid").into_bytes();
    assert_eq!(wire::delete_topics::DeleteTopicsRequest::decode_bytes(bytes, 5), Ok(topics));

    let member = wire::leave_group::MemberIdentity { member_id: "m".into(), ..Default::default() };
    let members = vec![member; 100_000];
    let leave = wire::leave_group::LeaveGroupRequest { members, ..Default::default() };
    let bytes = leave.encode_pieces(5).expect("valid").into_bytes();
    assert_eq!(wire::leave_group::LeaveGroupRequest::decode_bytes(bytes, 5), Ok(leave));
}

#[test]
fn a_header_of_noise_never_panics_and_names_the_unknown_api() {
    let mut random = Random::new(77);
    for _ in 0..20_000 {
        let length = random.below(40);
        let mut bytes = random.bytes(length);
        if random.one_in(2) && bytes.len() > 2 {
            bytes[0] = 0;
            bytes[1] %= 80;
        }
        let key = bytes.first_chunk::<2>().map(|key| i16::from_be_bytes(*key));
        match (wire::frame::open_request(Bytes::from(bytes)), key) {
            (Err(DecodeError::UnknownApi { key: named }), Some(key)) => assert_eq!(named, key),
            (Ok((header, _)), Some(key)) => assert_eq!(header.api_key as i16, key),
            (Err(_), _) => {}
            (Ok(_), None) => panic!("a header out of nothing"),
        }
    }
}
