//! Histories in files.

use std::path::Path;
use std::sync::Arc;

use env::{Env, MemDisk, Tasks};
use verify::history::{HistoryError, HistoryReader, HistoryWriter};
use verify::{CheckOptions, check_file};

use crate::model::{history, judge};

fn env() -> Env {
    let disk = Arc::new(MemDisk::new());
    env::Disk::create_dir_all(&*disk, Path::new("/h")).expect("made");
    Env { disk, ..Env::real() }
}

fn write(env: &Env, path: &Path, text: &str) {
    let file = env.disk.open(path, env::disk::Open::Create).expect("opened");
    file.set_len(0).expect("cut");
    file.write_all_at(text.as_bytes(), 0).expect("written");
}

fn first_error(env: &Env, text: &str) -> String {
    write(env, Path::new("/h/bad"), text);
    let mut reader = HistoryReader::open(env, Path::new("/h/bad")).expect("opened");
    loop {
        match reader.next_event() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error in {text}"),
            Err(error @ HistoryError::Line { .. }) => return error.to_string(),
            Err(error) => return error.to_string(),
        }
    }
}

#[tokio::test]
async fn a_history_from_a_file_is_judged_like_the_events_themselves() {
    let (env, path) = (env(), Path::new("/h/history.jsonl"));
    for seed in 0..20 {
        let events = history(seed);
        let tasks = Tasks::new();
        let (sink, writer) = HistoryWriter::create(&env, &tasks, path).expect("created");
        for event in &events {
            sink.put(event.clone()).await;
        }
        drop(sink);
        let bytes = writer.finish().await.expect("written");
        assert!(bytes > 1000);
        let report = check_file(&env, path, &CheckOptions::default()).expect("read");
        assert_eq!(report, judge(&events), "seed {seed}");
    }
}

#[test]
fn a_file_that_is_no_history_is_refused_by_line() {
    let env = env();
    assert_eq!(
        first_error(&env, "{\"op\":\"end\",\"at\":1,\"complete\":true}\n"),
        "the history does not start with a begin event of version 1"
    );
    let begin = "{\"op\":\"begin\",\"version\":1,\"run\":\"a\",\"acks\":\"all\",\"idempotent\":true,\
                 \"topics\":[]}\n";
    let error = first_error(&env, &format!("{begin}\n{{\"op\":\"jump\"}}\n"));
    assert!(error.starts_with("line 3 is not an event: unknown variant `jump`"), "{error}");
    let error = first_error(&env, &format!("{begin}{{\"op\":\"end\",\"at\":1"));
    assert!(error.starts_with("line 2 is not an event: EOF"), "{error}");
    let error = first_error(&env, &begin.replace("\"version\":1", "\"version\":2"));
    assert!(error.starts_with("the history does not start"), "{error}");
}
