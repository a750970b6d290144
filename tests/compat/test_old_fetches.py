"""A consumer older than zstd gets zstd all the same: no Fetch is refused for its version."""

import pytest
from alone import stored
from harness.batch import Batch

NOW = 1_700_000_000_000
THREE = Batch([(NOW, b"k", b"v")] * 3)
ZSTD = 4


@pytest.mark.parametrize("version", [4, 9, 10, 12])
@pytest.mark.parametrize("sent, configs", [
    (ZSTD, {}), (0, {"compression_type": "zstd"})], ids=["producer", "topic"])
def test_an_old_fetch_gets_zstd_batches_as_they_are(alone, version, sent, configs):
    topic = alone.topic(**configs)
    assert alone.produce(topic, THREE.with_(codec=sent).encode()).errorCode == 0
    answer = alone.fetch(topic, version=version)
    assert (answer.errorCode, answer.highWatermark) == (0, 3)
    assert [(b.attributes & 7, b.count) for b in stored(answer.records)] == [(ZSTD, 3)]


@pytest.mark.parametrize("version", [4, 9])
def test_an_empty_zstd_topic_is_empty_for_an_old_fetch(alone, version):
    answer = alone.fetch(alone.topic(compression_type="zstd"), version=version)
    assert (answer.errorCode, answer.highWatermark, answer.records or b"") == (0, 0, b"")
