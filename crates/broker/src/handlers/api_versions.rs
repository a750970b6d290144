//! ApiVersions: which APIs and versions this broker serves, and which features the cluster has.

use super::{APIS, RequestContext};
use metadata::Image;
use types::{ErrorCode, NodeId};
use wire::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

/// The first version in which a client names itself.
const NAMED_FROM: i16 = 3;

/// A feature whose level clients go by (KIP-584).
struct Feature {
    name: &'static str,
    /// The level that the cluster has and the only one that this broker supports. One that could be
    /// 0 may only be told from version 4 on (KAFKA-17011).
    level: i16,
}

/// What there is of Kafka's features. Those that are not here say by it that there is no such thing:
/// a client of transactions, for one, goes by `transaction.version` before it leaves out
/// AddPartitionsToTxn.
const FEATURES: &[Feature] = &[
    // 4.4-IV2, by which consoles tell the version of a cluster.
    Feature { name: "metadata.version", level: 33 },
];

pub async fn handle(ctx: &RequestContext, request: ApiVersionsRequest) -> ApiVersionsResponse {
    let image = ctx.broker.image.load();
    let checked = match ctx.api_version >= NAMED_FROM {
        true => check(&request, image.cluster_id().unwrap_or_default(), ctx.broker.node_id),
        false => Ok(()),
    };
    if let Err(code) = checked {
        return ApiVersionsResponse { error_code: code.into(), ..Default::default() };
    }
    if ctx.api_version >= NAMED_FROM {
        ctx.software.set(&request.client_software_name, &request.client_software_version);
    }
    answer(&image)
}

fn answer(image: &Image) -> ApiVersionsResponse {
    let supported = FEATURES.iter().map(|feature| SupportedFeatureKey {
        name: feature.name.into(),
        min_version: feature.level,
        max_version: feature.level,
    });
    let finalized = FEATURES.iter().map(|feature| FinalizedFeatureKey {
        name: feature.name.into(),
        min_version_level: feature.level,
        max_version_level: feature.level,
    });
    ApiVersionsResponse {
        api_keys: api_keys(),
        supported_features: supported.collect(),
        finalized_features: finalized.collect(),
        // Only has to rise whenever a level changes.
        finalized_features_epoch: i64::try_from(image.version().0).unwrap_or(i64::MAX),
        ..Default::default()
    }
}

fn api_keys() -> Vec<ApiVersion> {
    let apis = APIS.iter().map(|api| ApiVersion {
        api_key: api.key as i16,
        min_version: api.advertised.0,
        max_version: api.advertised.1,
    });
    apis.collect()
}

/// Whether the client names itself well, and means this node where it says whom it means.
fn check(request: &ApiVersionsRequest, cluster_id: &str, node_id: NodeId) -> Result<(), ErrorCode> {
    if !is_named_well(request) {
        return Err(ErrorCode::InvalidRequest);
    }
    match (request.cluster_id.as_deref(), request.node_id) {
        (None, -1) => Ok(()),
        (None, _) | (Some(_), -1) => Err(ErrorCode::InvalidRequest),
        (Some(cluster), node) if cluster == cluster_id && node == node_id.0 => Ok(()),
        // An address that was given to another cluster, or node, since (KIP-1242).
        (Some(_), _) => Err(ErrorCode::RebootstrapRequired),
    }
}

/// KIP-511: letters, digits, `-` and `.`, beginning and ending with a letter or a digit.
fn is_named_well(request: &ApiVersionsRequest) -> bool {
    [&request.client_software_name, &request.client_software_version].into_iter().all(|text| {
        let ends = [text.chars().next(), text.chars().next_back()];
        ends.iter().all(|end| end.is_some_and(|end| end.is_ascii_alphanumeric()))
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, version: &str) -> ApiVersionsRequest {
        ApiVersionsRequest {
            client_software_name: name.into(),
            client_software_version: version.into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_client_names_itself_in_letters_digits_dashes_and_dots() {
        assert!(is_named_well(&named("apache-kafka-java", "4.2.0")));
        assert!(is_named_well(&named("librdkafka", "v2.11.0-RC1")));
        assert!(!is_named_well(&named("", "1")));
        assert!(!is_named_well(&named("-client", "1")));
        assert!(!is_named_well(&named("client name", "1")));
    }

    #[test]
    fn a_client_that_means_another_node_is_to_look_for_it_anew() {
        let meant = |cluster: Option<&str>, node_id| {
            let cluster_id = cluster.map(Into::into);
            check(&ApiVersionsRequest { cluster_id, node_id, ..named("a", "1") }, "ours", NodeId(1))
        };
        assert_eq!(meant(None, -1), Ok(()));
        assert_eq!(meant(Some("ours"), 1), Ok(()));
        for (cluster, node) in [("ours", 2), ("other", 1), ("", 1), ("ours", -2)] {
            assert_eq!(meant(Some(cluster), node), Err(ErrorCode::RebootstrapRequired));
        }
        for (cluster, node) in [(None, 1), (Some("ours"), -1), (Some("other"), -1), (None, -2)] {
            assert_eq!(meant(cluster, node), Err(ErrorCode::InvalidRequest));
        }
    }

    #[test]
    fn every_version_can_carry_the_answer() {
        let answer = answer(&Image::default());
        let (first, last) = wire::ApiKey::ApiVersions.versions();
        for version in first..=last {
            let mut writer = wire::Writer::new();
            assert_eq!(wire::Message::encode(&answer, &mut writer, version), Ok(()));
        }
    }

    #[test]
    fn exactly_the_listed_apis_are_advertised() {
        let keys: Vec<i16> = api_keys().iter().map(|api| api.api_key).collect();
        assert_eq!(keys, APIS.iter().map(|api| api.key as i16).collect::<Vec<_>>());
    }
}
