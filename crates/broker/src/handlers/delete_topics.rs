//! DeleteTopics: passed on to the active controller.

use super::RequestContext;
use super::submit::{submit, unexpected};
use metadata::{Command, Refusal, Reply, TopicDeletion, TopicSelector};
use types::{ErrorCode, TopicId};
use wire::delete_topics::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};

/// The first version in which topics may be named by id.
const BY_ID_FROM: i16 = 6;
/// The first version that knows TOPIC_DELETION_DISABLED.
const DISABLED_FROM: i16 = 3;

pub async fn handle(ctx: &RequestContext, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let (topics, ambiguous) = selectors(ctx.api_version, &request);
    let outcome = if ctx.broker.config.requests.delete_topic_enable {
        let command = Command::DeleteTopics { topics: topics.clone() };
        match submit(&ctx.broker, command, request.timeout_ms).await {
            Ok(Reply::TopicsDeleted(deletions)) => Ok(deletions),
            Ok(reply) => Err(unexpected(&reply)),
            Err(refusal) => Err(refusal),
        }
    } else {
        Err(disabled(ctx.api_version))
    };
    let deletions = outcome.unwrap_or_else(|refusal| all_refused(&topics, &refusal));
    let all = deletions.into_iter().chain(ambiguous);
    let responses = all.map(|deletion| result(ctx.api_version, deletion));
    DeleteTopicsResponse { responses: responses.collect(), ..Default::default() }
}

fn disabled(version: i16) -> Refusal {
    let code = if version < DISABLED_FROM {
        ErrorCode::InvalidRequest
    } else {
        ErrorCode::TopicDeletionDisabled
    };
    Refusal::new(code, "delete.topic.enable is false")
}

/// The topics to delete, and those that are refused at once: named by name and by id, which may mean
/// two.
fn selectors(
    version: i16,
    request: &DeleteTopicsRequest,
) -> (Vec<TopicSelector>, Vec<TopicDeletion>) {
    if version < BY_ID_FROM {
        let names = request.topic_names.iter();
        let names = names.map(|name| TopicSelector::Name(name.as_str().to_owned()));
        return (names.collect(), Vec::new());
    }
    let (mut selectors, mut ambiguous) = (Vec::new(), Vec::new());
    for topic in &request.topics {
        match &topic.name {
            Some(name) if topic.topic_id.is_zero() => {
                selectors.push(TopicSelector::Name(name.as_str().to_owned()));
            }
            None => selectors.push(TopicSelector::Id(topic.topic_id)),
            Some(name) => {
                let message = "a topic is named by its name or by its id, not by both";
                ambiguous.push(TopicDeletion {
                    name: Some(name.as_str().to_owned()),
                    topic_id: topic.topic_id,
                    outcome: Err(Refusal::new(ErrorCode::InvalidRequest, message)),
                });
            }
        }
    }
    (selectors, ambiguous)
}

fn all_refused(topics: &[TopicSelector], refusal: &Refusal) -> Vec<TopicDeletion> {
    let refused = topics.iter().map(|topic| {
        let (name, topic_id) = match topic {
            TopicSelector::Name(name) => (Some(name.clone()), TopicId::ZERO),
            TopicSelector::Id(id) => (None, *id),
        };
        TopicDeletion { name, topic_id, outcome: Err(refusal.clone()) }
    });
    refused.collect()
}

fn result(version: i16, deletion: TopicDeletion) -> DeletableTopicResult {
    let name = deletion.name.map(Into::into);
    // A null name exists only where topics can be named by id.
    let name = if version < BY_ID_FROM { Some(name.unwrap_or_default()) } else { name };
    let (error_code, error_message) = super::submit::error_of(&deletion.outcome);
    DeletableTopicResult { name, topic_id: deletion.topic_id, error_code, error_message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::delete_topics::DeleteTopicState;

    #[test]
    fn topics_are_named_by_name_and_from_version_6_on_by_id_too() {
        let id = types::Uuid([7; 16]);
        let request = DeleteTopicsRequest {
            topics: vec![
                DeleteTopicState { name: Some("a".into()), topic_id: TopicId::ZERO },
                DeleteTopicState { name: None, topic_id: id },
            ],
            topic_names: vec!["old".into()],
            timeout_ms: 1000,
        };
        assert_eq!(selectors(5, &request).0, [TopicSelector::Name("old".to_owned())]);
        let both = [TopicSelector::Name("a".to_owned()), TopicSelector::Id(id)];
        assert_eq!(selectors(6, &request).0, both);
    }

    #[test]
    fn a_topic_that_is_named_in_both_ways_is_not_deleted() {
        let both = DeleteTopicState { name: Some("a".into()), topic_id: types::Uuid([7; 16]) };
        let request = DeleteTopicsRequest { topics: vec![both], ..Default::default() };
        let (selectors, ambiguous) = selectors(6, &request);
        assert!(selectors.is_empty());
        let refusal = ambiguous[0].outcome.as_ref().expect_err("refused");
        assert_eq!(refusal.code, ErrorCode::InvalidRequest);
    }

    #[test]
    fn old_versions_learn_that_deletion_is_off_by_an_error_that_they_know() {
        assert_eq!(disabled(2).code, ErrorCode::InvalidRequest);
        assert_eq!(disabled(3).code, ErrorCode::TopicDeletionDisabled);
    }
}
