//! DescribeAcls: there is no authorizer, and Kafka without one says so.

use super::RequestContext;
use types::ErrorCode;
use wire::describe_acls::{DescribeAclsRequest, DescribeAclsResponse};

pub async fn handle(_: &RequestContext, _: DescribeAclsRequest) -> DescribeAclsResponse {
    DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.into(),
        error_message: Some("No Authorizer is configured on the broker".into()),
        ..Default::default()
    }
}
