"""ApiVersions 5 names the node that a client believes to talk to (KIP-1242)."""

import pytest

REBOOTSTRAP_REQUIRED, INVALID_REQUEST = 129, 42


@pytest.fixture
def ours(alone):
    return alone.ask("Metadata", 13, topics=[]).clusterId


def versions(connection, cluster, node):
    return connection.ask("ApiVersions", 5, clientSoftwareName="raw", clientSoftwareVersion="1",
                          clusterId=cluster, nodeId=node)


@pytest.mark.parametrize("cluster, node", [("other", 1), ("ours", 7), ("other", 7)])
def test_a_client_that_means_another_node_is_told_to_start_again(alone, ours, cluster, node):
    with alone.connect() as connection:
        answer = versions(connection, ours if cluster == "ours" else "AAAAAAAAAAAAAAAAAAAAAA", node)
        assert (answer.errorCode, answer.apiKeys) == (REBOOTSTRAP_REQUIRED, [])
        # The connection stays.
        assert connection.ask("Metadata", 13, topics=[]).clusterId == ours


@pytest.mark.parametrize("cluster, node", [
    ("ours", -1), (None, 1), (None, 7), ("AAAAAAAAAAAAAAAAAAAAAA", -1)])
def test_half_a_target_is_an_invalid_request(alone, ours, cluster, node):
    with alone.connect() as connection:
        answer = versions(connection, ours if cluster == "ours" else cluster, node)
    assert (answer.errorCode, answer.apiKeys) == (INVALID_REQUEST, [])


@pytest.mark.parametrize("cluster, node", [("ours", 1), (None, -1)])
def test_the_right_target_and_none_get_the_versions(alone, ours, cluster, node):
    with alone.connect() as connection:
        answer = versions(connection, ours if cluster == "ours" else cluster, node)
    assert answer.errorCode == 0
    assert 18 in [api.apiKey for api in answer.apiKeys]
