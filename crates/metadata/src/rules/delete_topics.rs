//! DeleteTopics, by name or by id.

use crate::draft::Draft;
use crate::{Record, Refusal, Reply, TopicDeletion, TopicSelector};
use std::collections::BTreeMap;
use types::{ErrorCode, TopicId};

/// Each topic is deleted or refused on its own. A topic that is named twice is not deleted.
pub fn delete(draft: &mut Draft<'_>, topics: &[TopicSelector]) -> Reply {
    let found: Vec<Result<TopicId, Refusal>> =
        topics.iter().map(|selector| find(draft, selector)).collect();
    let mut counts: BTreeMap<TopicId, usize> = BTreeMap::new();
    for topic_id in found.iter().flatten() {
        *counts.entry(*topic_id).or_default() += 1;
    }
    let mut deletions = Vec::with_capacity(topics.len());
    for (selector, found) in topics.iter().zip(found) {
        let (mut name, mut topic_id) = match selector {
            TopicSelector::Name(name) => (Some(name.clone()), TopicId::ZERO),
            TopicSelector::Id(id) => (None, *id),
        };
        let outcome = found.and_then(|id| {
            topic_id = id;
            if counts.get(&id) > Some(&1) {
                let message = format!("topic {id} is named twice in the request");
                return Err(Refusal::new(ErrorCode::InvalidRequest, message));
            }
            name = draft.image().topic(id).map(|topic| topic.name.clone());
            draft.push(Record::TopicRemoved { topic_id: id });
            Ok(())
        });
        deletions.push(TopicDeletion { name, topic_id, outcome });
    }
    Reply::TopicsDeleted(deletions)
}

fn find(draft: &Draft<'_>, selector: &TopicSelector) -> Result<TopicId, Refusal> {
    match selector {
        TopicSelector::Name(name) => draft.image().topic_id(name).ok_or_else(|| {
            let message = format!("topic {name} does not exist");
            Refusal::new(ErrorCode::UnknownTopicOrPartition, message)
        }),
        TopicSelector::Id(id) if id.is_zero() => {
            let message = "neither the name nor the id of a topic is given";
            Err(Refusal::new(ErrorCode::InvalidRequest, message))
        }
        TopicSelector::Id(id) => match draft.image().topic(*id) {
            Some(_) => Ok(*id),
            None => {
                let message = format!("no topic has the id {id}");
                Err(Refusal::new(ErrorCode::UnknownTopicId, message))
            }
        },
    }
}
