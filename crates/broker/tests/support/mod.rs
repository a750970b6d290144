//! A whole broker on real sockets and a real directory, with a stand-in for the controller: one
//! process that decides by the rules of `metadata` and commits at once.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod controller;
pub mod kafka;

use broker::{Broker, BrokerOptions};
use controller::StandIn;
use env::Env;
use kafka::Connection;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A running broker and what it stands on. Dropped all at once, as a crash would.
pub struct Node {
    pub broker: Broker,
    pub controller: Arc<StandIn>,
    pub metrics: Arc<telemetry::Metrics>,
    address: String,
    directory: tempfile::TempDir,
}

impl Node {
    /// Starts with `extra` lines of configuration and waits until the broker takes part.
    pub async fn start(extra: &[(&str, &str)]) -> Node {
        Node::start_with(Env::real(), extra).await
    }

    /// On seams of the caller's, a disk that fails for example.
    pub async fn start_with(env: Env, extra: &[(&str, &str)]) -> Node {
        let directory = tempfile::tempdir().expect("a directory");
        let (controller, address) = StandIn::start().await;
        Node::start_on(env, directory, controller, address, extra).await
    }

    /// Stops in order and starts again, on the same directory.
    pub async fn restart(self) -> Node {
        self.restart_after(|_| ()).await
    }

    /// The same, with something done to the log directory in between.
    pub async fn restart_after(self, change: impl FnOnce(&Path)) -> Node {
        let Node { broker, controller, address, directory, .. } = self;
        broker.controlled_shutdown().await;
        // With it goes the lock of the directory.
        drop(broker);
        change(&directory.path().join("log"));
        Node::start_on(Env::real(), directory, controller, address, &[]).await
    }

    async fn start_on(
        env: Env,
        directory: tempfile::TempDir,
        controller: Arc<StandIn>,
        address: String,
        extra: &[(&str, &str)],
    ) -> Node {
        let mut properties = config::Properties::new();
        let log_dir = directory.path().join("log").display().to_string();
        for (key, value) in [
            ("node.id", "1"),
            ("process.roles", "broker"),
            ("listeners", "PLAINTEXT://127.0.0.1:0,INSIDE://127.0.0.1:0,GRPC://127.0.0.1:0"),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT"),
            ("controller.listener.names", "CONTROLLER"),
            ("controller.quorum.bootstrap.servers", address.as_str()),
            ("log.dirs", log_dir.as_str()),
        ] {
            properties.set(key, value);
        }
        for (key, value) in extra {
            properties.set(key, value);
        }
        let config = config::NodeConfig::from_properties(properties).expect("a configuration");
        let metrics = Arc::new(telemetry::Metrics::new());
        let options = BrokerOptions {
            config: Arc::new(config),
            metrics: metrics.clone(),
            control: tokio::runtime::Handle::current(),
            controllers: vec![address.clone()],
            grpc: vec![("GRPC".to_owned(), "127.0.0.1:1".parse().expect("an address"))],
        };
        let broker = Broker::start(options, env).await.expect("the broker starts");
        let ready = tokio::time::timeout(Duration::from_secs(10), broker.ready()).await;
        ready.expect("the broker takes part within ten seconds");
        Node { broker, controller, metrics, address, directory }
    }

    /// A client's connection to the first listener.
    pub async fn connect(&self) -> Connection {
        self.connect_to(0).await
    }

    pub async fn connect_to(&self, listener: usize) -> Connection {
        Connection::open(self.broker.addresses()[listener].1).await
    }
}
