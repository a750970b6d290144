//! A log read from its start to its end into a loopback socket, from the page cache.
//!
//! The log's side is what a fetch does, without the protocol: a plan under the log's lock, a look
//! whether its bytes are in memory, and sendfile to a socket of the runtime. Beside it, blocking loops
//! that know nothing of logs: sendfile, pread and write, mmap and write. All are received by the same
//! thread, which throws the bytes away, and take turns; the figures are medians.

use crate::{batch_of, bytes, create, process_cpu, put, rate, rounds};
use env::{BoxStream, Network, net::RealNetwork};
use log::{LogConfig, LogHandle, ReadPlan};
use std::fs::File;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What one fetch may ask of a partition.
const FETCH_BYTES: usize = 4 << 20;
/// As the broker's: bytes that one sendfile is asked for.
const SEND_BYTES: usize = 1 << 20;
/// As the broker's: distance of the looks whether bytes are in memory.
const LOOK_BYTES: usize = 128 << 10;

type Way<'a> = (&'static str, Box<dyn Fn() -> Took + 'a>);

/// By the clock until all was received, and on the processors, both ends together.
type Took = (Duration, Duration);

/// Receives until the sender closes, and gives how much it was.
fn receive(mut stream: TcpStream) -> u64 {
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer).expect("the sender sends") {
            0 => return total,
            count => total += count as u64,
        }
    }
}

fn receiver(address: SocketAddr) -> JoinHandle<u64> {
    std::thread::spawn(move || receive(TcpStream::connect(address).expect("it listens")))
}

/// Sends all files with a blocking loop.
fn bare(files: &[PathBuf], total: u64, send: impl Fn(&mut TcpStream, &File, usize)) -> Took {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let receiver = receiver(listener.local_addr().expect("an address"));
    let (mut stream, _) = listener.accept().expect("the receiver");
    let (start, cpu) = (Instant::now(), process_cpu());
    for path in files {
        let file = File::open(path).expect("a file");
        let len = file.metadata().expect("a length").len();
        send(&mut stream, &file, len as usize);
    }
    drop(stream);
    assert_eq!(receiver.join().expect("received"), total);
    (start.elapsed(), process_cpu() - cpu)
}

fn by_sendfile(stream: &mut TcpStream, file: &File, len: usize) {
    let mut at = 0;
    while at < len as u64 {
        let left = (len - at as usize).min(SEND_BYTES);
        // Moves the position on by itself.
        rustix::fs::sendfile(&*stream, file, Some(&mut at), left).expect("sent");
    }
}

fn by_pread(stream: &mut TcpStream, file: &File, len: usize) {
    let mut buffer = vec![0; SEND_BYTES.min(256 << 10)];
    let mut at = 0;
    while at < len {
        let count = file.read_at(&mut buffer, at as u64).expect("a read");
        stream.write_all(&buffer[..count]).expect("sent");
        at += count;
    }
}

mod system {
    use std::ffi::{c_int, c_long, c_void};

    unsafe extern "C" {
        pub fn mmap(
            address: *mut c_void,
            len: usize,
            protection: c_int,
            flags: c_int,
            file: c_int,
            position: c_long,
        ) -> *mut c_void;
        pub fn munmap(address: *mut c_void, len: usize) -> c_int;
    }
}

fn by_mmap(stream: &mut TcpStream, file: &File, len: usize) {
    const READ: i32 = 1;
    const SHARED: i32 = 1;
    // SAFETY: a new mapping at an address of the system's choice; failure is looked for.
    let mapped =
        unsafe { system::mmap(std::ptr::null_mut(), len, READ, SHARED, file.as_raw_fd(), 0) };
    assert_ne!(mapped as isize, -1, "mapped");
    // SAFETY: the mapping has this length, nobody writes or cuts the file, and it is unmapped last.
    let bytes = unsafe { std::slice::from_raw_parts(mapped.cast::<u8>(), len) };
    bytes.chunks(SEND_BYTES).for_each(|chunk| stream.write_all(chunk).expect("sent"));
    // SAFETY: as it was mapped.
    assert_eq!(unsafe { system::munmap(mapped, len) }, 0);
}

async fn send_plan(stream: &mut BoxStream, plan: &ReadPlan) {
    let (mut at, len) = (0, plan.len());
    while at < len {
        let end = len.min(at + SEND_BYTES);
        for look in (at..end - 1).step_by(LOOK_BYTES).chain([end - 1]) {
            let position = plan.position() + look as u64;
            // What the machine has forgotten meanwhile, sendfile waits for, as the bare loops do.
            plan.file().read_at_now(&mut [0], position).expect("a look");
        }
        let sent = poll_fn(|context| {
            assert!(plan.is_intact(), "nobody cuts it");
            let position = plan.position() + at as u64;
            stream.poll_send_file(context, &**plan.file(), position, end - at)
        });
        at += sent.await.expect("sent");
    }
}

fn ours(log: &LogHandle, batch_bytes: usize, total: u64) -> Took {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
    let log = log.clone();
    let sending = async move {
        let listener = RealNetwork.listen("127.0.0.1:0").await.expect("a free port");
        let receiver = receiver(listener.local_addr().expect("an address"));
        let mut stream = listener.accept().await.expect("the receiver");
        let (start, cpu) = (Instant::now(), process_cpu());
        let (mut from, end) = {
            let log = log.lock();
            (log.start_offset(), log.end_offset())
        };
        while from < end {
            let plan = log.lock().read_plan(from, end, FETCH_BYTES, true).expect("a plan");
            send_plan(&mut stream, &plan).await;
            from = from.plus((plan.len() / batch_bytes) as i64);
        }
        drop(stream);
        let received = tokio::task::spawn_blocking(|| receiver.join().expect("received")).await;
        assert_eq!(received.expect("joined"), total);
        (start.elapsed(), process_cpu() - cpu)
    };
    let sent = runtime.spawn(sending);
    runtime.block_on(sent).expect("sent")
}

/// One partition to a loopback socket, page cache.
pub fn read_to_socket(dir: &Path) {
    let batch = batch_of(64 << 10);
    let config = LogConfig { segment_bytes: 128 << 20, ..LogConfig::default() };
    let (mut log, _) = create(dir, "socket", &config);
    (0..bytes() / (64 << 10)).for_each(|_| put(&mut log, &batch));
    let total = log.size();
    let mut files: Vec<PathBuf> = std::fs::read_dir(log.dir())
        .expect("a listing")
        .map(|entry| entry.expect("a name").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "log"))
        .collect();
    files.sort();
    let log = LogHandle::new(log);
    let files = &files;
    let ways: [Way; 4] = [
        ("ours by sendfile", Box::new(|| ours(&log, 64 << 10, total))),
        ("bare sendfile", Box::new(move || bare(files, total, by_sendfile))),
        ("bare pread and write", Box::new(move || bare(files, total, by_pread))),
        ("bare mmap and write", Box::new(move || bare(files, total, by_mmap))),
    ];
    let mut took = [const { Vec::new() }; 4];
    for _ in 0..rounds() {
        ways.iter().zip(&mut took).for_each(|((_, way), took)| took.push(way()));
    }
    let median = |of: &[Took], part: fn(&Took) -> Duration| {
        let mut times: Vec<Duration> = of.iter().map(part).collect();
        times.sort();
        times[times.len() / 2]
    };
    let wall: Vec<Duration> = took.iter().map(|took| median(took, |took| took.0)).collect();
    let best_bare = wall[1..].iter().min().expect("three ways");
    for (((name, _), wall), took) in ways.iter().zip(&wall).zip(&took) {
        println!(
            "read to a socket, {name}: {:.0} MiB/s, {:.0} % of the best bare loop (goal >= 90 %), \
             {:.2} s on the processors a GiB, both ends",
            rate(total, *wall),
            100.0 * best_bare.as_secs_f64() / wall.as_secs_f64(),
            median(took, |took| took.1).as_secs_f64() * (1u64 << 30) as f64 / total as f64,
        );
    }
}
