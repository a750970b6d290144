//! Configs of topics, brokers and groups.

use types::NodeId;
use wire::StrBytes;
use wire::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use crate::client::Client;
use crate::error::{ClientError, check};

/// What has configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum ConfigResourceKind {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

/// One owner of configs; an empty name of a broker means the default for all brokers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigResource {
    pub kind: ConfigResourceKind,
    pub name: String,
}

/// A config as the cluster tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    pub value: Option<String>,
    /// Kafka's number of the source: 1 topic, 2 dynamic broker, 3 dynamic default, 4 static,
    /// 5 default, 6 logger, 7 client metrics, 8 group.
    pub source: i8,
    pub is_read_only: bool,
    pub is_sensitive: bool,
    pub synonyms: Vec<ConfigSynonym>,
}

/// Where a config's value would come from, in order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: i8,
}

/// What to do with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigOperation {
    Set = 0,
    Delete = 1,
    Append = 2,
    Subtract = 3,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    pub name: String,
    pub operation: ConfigOperation,
    pub value: Option<String>,
}

impl ConfigResource {
    pub fn topic(name: &str) -> ConfigResource {
        ConfigResource { kind: ConfigResourceKind::Topic, name: name.to_owned() }
    }

    pub fn broker(name: &str) -> ConfigResource {
        ConfigResource { kind: ConfigResourceKind::Broker, name: name.to_owned() }
    }

    /// The broker that alone can answer for it.
    fn owner(&self) -> Option<NodeId> {
        match self.kind {
            ConfigResourceKind::Broker | ConfigResourceKind::BrokerLogger => {
                self.name.parse().ok().map(NodeId)
            }
            ConfigResourceKind::Topic
            | ConfigResourceKind::ClientMetrics
            | ConfigResourceKind::Group => None,
        }
    }
}

impl Client {
    /// All configs of one resource, with synonyms, sorted by the broker.
    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.kind as i8,
                resource_name: resource.name.as_str().into(),
                configuration_keys: None,
            }],
            include_synonyms: true,
            include_documentation: false,
        };
        let mut attempts = self.attempts();
        loop {
            match self.describe_configs_once(resource, &request).await {
                Ok(entries) => return Ok(entries),
                Err(error) if missing(&error) => return Err(error),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    async fn describe_configs_once(
        &self,
        resource: &ConfigResource,
        request: &DescribeConfigsRequest,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let connection = match resource.owner() {
            Some(broker) => self.broker(broker).await?,
            None => self.any().await?,
        };
        let response = connection.call(request).await?;
        let Some(result) = response.results.into_iter().next() else {
            return Ok(Vec::new());
        };
        check(result.error_code, result.error_message.as_deref())?;
        Ok(result.configs.into_iter().map(ConfigEntry::from).collect())
    }

    /// Changes some keys of one resource and leaves the others.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
    ) -> Result<(), ClientError> {
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.kind as i8,
                resource_name: resource.name.as_str().into(),
                configs: changes.iter().map(alterable).collect(),
            }],
            validate_only: false,
        };
        let mut attempts = self.attempts();
        loop {
            match self.alter_configs_once(resource, &request).await {
                Ok(()) => return Ok(()),
                Err(error) if missing(&error) => return Err(error),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    async fn alter_configs_once(
        &self,
        resource: &ConfigResource,
        request: &IncrementalAlterConfigsRequest,
    ) -> Result<(), ClientError> {
        let connection = match resource.owner() {
            Some(broker) => self.broker(broker).await?,
            None => self.any().await?,
        };
        let response = connection.call(request).await?;
        for result in response.responses {
            check(result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }
}

/// A missing topic is final here, though it is retriable elsewhere.
fn missing(error: &ClientError) -> bool {
    error.code() == Some(types::ErrorCode::UnknownTopicOrPartition)
}

fn alterable(change: &ConfigChange) -> AlterableConfig {
    AlterableConfig {
        name: change.name.as_str().into(),
        config_operation: change.operation as i8,
        value: change.value.as_deref().map(StrBytes::from),
    }
}

impl From<DescribeConfigsResourceResult> for ConfigEntry {
    fn from(config: DescribeConfigsResourceResult) -> ConfigEntry {
        let synonyms = config.synonyms.into_iter().map(|synonym| ConfigSynonym {
            name: synonym.name.to_string(),
            value: synonym.value.map(|value| value.to_string()),
            source: synonym.source,
        });
        ConfigEntry {
            name: config.name.to_string(),
            value: config.value.map(|value| value.to_string()),
            source: config.config_source,
            is_read_only: config.read_only,
            is_sensitive: config.is_sensitive,
            synonyms: synonyms.collect(),
        }
    }
}
