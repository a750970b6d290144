"""What a 4.4 broker tells of itself besides records: its features, and fields of the newest
versions."""

import pytest
from clients.java import TOOLS, run

GROUP_ID_NOT_FOUND = 69


def told(alone, version):
    answer = alone.ask("ApiVersions", version, clientSoftwareName="raw", clientSoftwareVersion="1")
    assert answer.errorCode == 0
    return answer


@pytest.mark.parametrize("version", [3, 4, 5])
def test_the_clusters_features_are_told(alone, version):
    """Consoles show the metadata's version as the cluster's."""
    answer = told(alone, version)
    assert answer.finalizedFeaturesEpoch >= 0
    levels = {f.name: (f.minVersionLevel, f.maxVersionLevel) for f in answer.finalizedFeatures}
    assert levels["metadata.version"] == (33, 33)
    ranges = {f.name: (f.minVersion, f.maxVersion) for f in answer.supportedFeatures}
    first, last = ranges["metadata.version"]
    assert first <= 33 == last
    # Clients that do not know level 0 are not told of it (KAFKA-17011).
    assert version > 3 or all(first > 0 for first, _ in ranges.values())
    assert all(first <= level <= last for name, (_, level) in levels.items()
               for first, last in [ranges.get(name, (0, level))])


def test_kafkas_tool_shows_the_version_of_the_metadata(alone):
    host, port = alone.address
    shown = run(f"{TOOLS}.FeatureCommand", "--bootstrap-server", f"{host}:{port}", "describe")
    [line] = [line for line in shown.splitlines() if "metadata.version" in line]
    assert "FinalizedVersionLevel: 4.4-IV2" in line


def test_the_newest_version_of_each_api_is_4_4s(alone):
    last = {api.apiKey: api.maxVersion for api in told(alone, 5).apiKeys}
    assert {key: last[key] for key in (18, 35, 42)} == {18: 5, 35: 5, 42: 3}


def test_log_directories_are_told_not_to_be_cordoned(alone):
    answer = alone.ask("DescribeLogDirs", 5, topics=None)
    assert [(d.errorCode, d.isCordoned) for d in answer.results] == [(0, False)]


def test_a_deletion_that_fails_for_a_known_reason_has_no_text(alone, name):
    alone.load_coordinator()
    answer = alone.ask("DeleteGroups", 3, groupsNames=[name])
    assert [(g.groupId, g.errorCode, g.errorMessage) for g in answer.results] == [
        (name, GROUP_ID_NOT_FOUND, None)]
