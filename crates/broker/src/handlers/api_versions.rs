//! ApiVersions: which APIs and versions this broker serves.

use super::{APIS, RequestContext};
use types::ErrorCode;
use wire::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};

/// The first version in which a client names itself.
const NAMED_FROM: i16 = 3;

pub async fn handle(ctx: &RequestContext, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if ctx.api_version >= NAMED_FROM && !is_named_well(&request) {
        return ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.into(),
            ..Default::default()
        };
    }
    if ctx.api_version >= NAMED_FROM {
        ctx.software.set(&request.client_software_name, &request.client_software_version);
    }
    ApiVersionsResponse { api_keys: api_keys(), ..Default::default() }
}

fn api_keys() -> Vec<ApiVersion> {
    let apis = APIS.iter().map(|api| ApiVersion {
        api_key: api.key as i16,
        min_version: api.advertised.0,
        max_version: api.advertised.1,
    });
    apis.collect()
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
    fn exactly_the_listed_apis_are_advertised() {
        let keys: Vec<i16> = api_keys().iter().map(|api| api.api_key).collect();
        assert_eq!(keys, APIS.iter().map(|api| api.key as i16).collect::<Vec<_>>());
    }
}
