//! A broker as the cluster knows it.

use types::{BrokerEpoch, DirectoryId, IncarnationId, MetadataVersion, NodeId};

/// A registered broker. It serves and may lead only while it is [live](Broker::is_live).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    pub id: NodeId,
    /// New with each incarnation; whoever speaks with another epoch speaks for a dead process.
    pub epoch: BrokerEpoch,
    pub incarnation_id: IncarnationId,
    /// Listeners by name, as others reach them.
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
    /// Not trusted to be alive: neither leads nor joins an ISR.
    pub fenced: bool,
    /// On its way out: still serves what it must, takes nothing new.
    pub in_controlled_shutdown: bool,
    pub log_dirs: Vec<DirectoryId>,
    /// Those of `log_dirs` that have failed since: a later start that lacks one has lost what was
    /// in it.
    pub failed_log_dirs: Vec<DirectoryId>,
    /// Those that former registrations named and this one does not, the newest
    /// [`Broker::LOST_LOG_DIRS_MAX`]: a replica that the broker has no log for was in one of them.
    pub lost_log_dirs: Vec<DirectoryId>,
    pub features: Vec<FeatureRange>,
    /// The epoch that the broker stored when it last stopped cleanly, NONE if it did not.
    pub previous_epoch: BrokerEpoch,
    /// The metadata version at which this registration took effect: a broker that has applied it
    /// knows that it lost its former roles, and may be unfenced.
    pub registered_version: MetadataVersion,
}

impl Broker {
    /// Most directories in `lost_log_dirs`. That there are any is what matters.
    pub const LOST_LOG_DIRS_MAX: usize = 16;

    /// Whether the broker may lead partitions and be a member of ISRs.
    pub fn is_live(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// The endpoint of the listener of this name (names are compared as they are written).
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name == listener)
    }
}

/// Where one listener of a broker is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
    /// Kafka's number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// A feature and the levels of it (inclusive) that a broker can work with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeatureRange {
    pub name: String,
    pub level_min: i16,
    pub level_max: i16,
}
