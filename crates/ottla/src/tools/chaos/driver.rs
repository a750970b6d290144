//! Carries a scenario out: strikes, checks that the fault took effect, waits, heals.
//!
//! Promises: a fault that did not take effect ends the run as void; whatever happens, nodes that were
//! struck are brought back before the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::verify::record::{Note, Progress};
use client::{Client, ClientOptions, Connection, TopicSelection};
use env::rng::{Rng, SeededRng};
use env::{Env, Tasks};
use tokio::sync::mpsc;
use types::Monotonic;

use super::super::ToolError;
use super::hands::Hands;
use super::scenario::Scenario;

/// Longest wait for what must happen: records to flow, the cluster to become whole.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for a fault to take effect.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a node that is asked has to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a leader of the past is one.
const PAUSE: Duration = Duration::from_secs(5);
/// Load between two deeds.
const BETWEEN: Duration = Duration::from_secs(2);

/// Why a scenario was not carried out to its end.
#[derive(Debug)]
pub enum Broken {
    /// The run shows nothing.
    Void(String),
    /// The cluster did not do what it must.
    Failed(String),
}

impl From<ToolError> for Broken {
    fn from(error: ToolError) -> Broken {
        Broken::Void(error.to_string())
    }
}

/// What a driver is given.
pub struct Setup {
    pub env: Env,
    pub client: Client,
    pub notes: mpsc::Sender<Note>,
    pub progress: Arc<Progress>,
    /// Of the names of the run's topics.
    pub prefix: String,
    pub seed: u64,
    pub rate: u32,
    pub until: Monotonic,
    /// Set from outside to end early.
    pub enough: Arc<AtomicBool>,
}

pub struct Driver<'a> {
    setup: Setup,
    hands: &'a mut Hands,
    dice: SeededRng,
    tasks: Tasks,
    addresses: BTreeMap<i32, String>,
    down: BTreeSet<i32>,
    paused: BTreeSet<i32>,
    /// How often each kind of fault took effect.
    pub fired: BTreeMap<&'static str, u64>,
}

impl<'a> Driver<'a> {
    pub fn new(setup: Setup, hands: &'a mut Hands) -> Driver<'a> {
        let dice = SeededRng::new(setup.seed);
        Driver {
            setup,
            hands,
            dice,
            tasks: Tasks::new(),
            addresses: BTreeMap::new(),
            down: BTreeSet::new(),
            paused: BTreeSet::new(),
            fired: BTreeMap::new(),
        }
    }

    /// Repeats the scenario until the time is over, and leaves a whole cluster.
    pub async fn run(&mut self, scenario: Scenario) -> Result<(), Broken> {
        let result = self.repeat(scenario).await;
        let restored = self.restore().await;
        self.tasks.shutdown(ANSWER_TIMEOUT).await;
        result.and(restored)
    }

    async fn repeat(&mut self, scenario: Scenario) -> Result<(), Broken> {
        let cluster = self.setup.client.metadata(&TopicSelection::None).await;
        let cluster = cluster.map_err(|error| Broken::Void(error.to_string()))?;
        self.addresses = cluster.brokers.iter().map(|(id, of)| (id.0, of.addr())).collect();
        if let Some(node) = self.hands.nodes().iter().find(|id| !self.addresses.contains_key(id)) {
            return Err(Broken::Void(format!("the cluster has no broker {node}")));
        }
        self.flow(BETWEEN).await?;
        loop {
            self.round(scenario).await?;
            if self.is_over() {
                return Ok(());
            }
        }
    }

    fn is_over(&self) -> bool {
        self.setup.enough.load(Ordering::Relaxed) || self.setup.env.clock.now() >= self.setup.until
    }

    async fn round(&mut self, scenario: Scenario) -> Result<(), Broken> {
        match scenario {
            Scenario::LeaderKill => {
                let victim = self.leaders().await?.0;
                self.kill_and_start(&[victim]).await
            }
            Scenario::ControllerKill => {
                let victim = self.controller().await?;
                self.kill_and_start(&[victim]).await
            }
            Scenario::RollingKill => {
                for victim in self.hands.nodes() {
                    self.kill_and_start(&[victim]).await?;
                }
                Ok(())
            }
            Scenario::AllKill => {
                let all = self.hands.nodes();
                self.kill(&all).await?;
                self.start(&all).await?;
                self.whole().await
            }
            Scenario::LeaderPause => {
                let victim = self.leaders().await?.0;
                self.pause_and_resume(victim).await
            }
            Scenario::FollowerPause => {
                let victim = self.leaders().await?.1;
                self.pause_and_resume(victim).await
            }
            Scenario::RollingRestart => {
                for node in self.hands.nodes() {
                    self.stop(node).await?;
                    self.flow(BETWEEN / 2).await?;
                    self.start(&[node]).await?;
                    self.whole().await?;
                }
                Ok(())
            }
            Scenario::Storm => self.gust().await,
        }
    }

    async fn kill_and_start(&mut self, victims: &[i32]) -> Result<(), Broken> {
        self.kill(victims).await?;
        // A cluster of one or two has nobody else.
        if self.hands.nodes().len() > 2 {
            self.flow(BETWEEN).await?;
        }
        self.start(victims).await?;
        self.whole().await
    }

    async fn pause_and_resume(&mut self, victim: i32) -> Result<(), Broken> {
        self.pause(victim).await?;
        tokio::time::sleep(PAUSE).await;
        self.resume(victim).await?;
        self.whole().await
    }

    /// One random fault of a storm; nobody waits for recovery.
    async fn gust(&mut self) -> Result<(), Broken> {
        let nodes = self.hands.nodes();
        let pick = |dice: &SeededRng| nodes[dice.below(nodes.len() as u64) as usize];
        let pause = Duration::from_millis(self.dice.below(3000));
        match self.dice.below(10) {
            0..=5 => {
                let mut victims = vec![pick(&self.dice)];
                if self.dice.below(4) == 0 {
                    let second = pick(&self.dice);
                    if second != victims[0] {
                        victims.push(second);
                    }
                }
                self.kill(&victims).await?;
                tokio::time::sleep(pause).await;
                self.start(&victims).await?;
            }
            6 => {
                self.kill(&nodes).await?;
                self.start(&nodes).await?;
            }
            7 => {
                let victim = pick(&self.dice);
                self.stop(victim).await?;
                self.start(&[victim]).await?;
            }
            _ => {
                let victim = pick(&self.dice);
                self.pause(victim).await?;
                tokio::time::sleep(pause).await;
                self.resume(victim).await?;
            }
        }
        tokio::time::sleep(Duration::from_millis(self.dice.below(2000))).await;
        Ok(())
    }

    /// Brings back what is down, and waits until all is well.
    async fn restore(&mut self) -> Result<(), Broken> {
        for node in std::mem::take(&mut self.paused) {
            self.hands.resume(node).await?;
        }
        let down: Vec<i32> = std::mem::take(&mut self.down).into_iter().collect();
        if !down.is_empty() {
            self.hands.start(&down).await?;
        }
        self.note("heal", String::new()).await;
        self.whole().await
    }

    // Deeds, each with its effect checked.

    async fn kill(&mut self, nodes: &[i32]) -> Result<(), Broken> {
        self.note("kill", format!("nodes {nodes:?}")).await;
        self.down.extend(nodes);
        self.hands.kill(nodes).await?;
        for node in nodes {
            self.until_answers(*node, false).await?;
        }
        *self.fired.entry("kill").or_default() += nodes.len() as u64;
        Ok(())
    }

    async fn start(&mut self, nodes: &[i32]) -> Result<(), Broken> {
        self.hands.start(nodes).await?;
        for node in nodes {
            self.until_answers(*node, true).await?;
            self.down.remove(node);
        }
        Ok(())
    }

    async fn stop(&mut self, node: i32) -> Result<(), Broken> {
        self.note("stop", format!("node {node}")).await;
        self.down.insert(node);
        self.hands.stop(node).await?;
        self.until_answers(node, false).await?;
        *self.fired.entry("stop").or_default() += 1;
        Ok(())
    }

    async fn pause(&mut self, node: i32) -> Result<(), Broken> {
        self.note("pause", format!("node {node}")).await;
        self.paused.insert(node);
        self.hands.pause(node).await?;
        self.until_answers(node, false).await?;
        *self.fired.entry("pause").or_default() += 1;
        Ok(())
    }

    async fn resume(&mut self, node: i32) -> Result<(), Broken> {
        self.hands.resume(node).await?;
        self.paused.remove(&node);
        self.until_answers(node, true).await
    }

    /// Writes a fault into the history, and onto the screen.
    async fn note(&self, kind: &'static str, note: String) {
        eprintln!("{}", format!("        {kind} {note}").trim_end());
        // A recording that has ended is reported elsewhere.
        let _ = self.setup.notes.send(Note::Fault { kind: kind.to_owned(), note }).await;
    }

    // What the cluster is and does.

    /// The nodes that lead most and least of the run's partitions.
    async fn leaders(&self) -> Result<(i32, i32), Broken> {
        let mut led: BTreeMap<i32, usize> =
            self.hands.nodes().into_iter().map(|id| (id, 0)).collect();
        let cluster = self.setup.client.metadata(&TopicSelection::All).await;
        let cluster = cluster.map_err(|error| Broken::Void(error.to_string()))?;
        for (_, topic) in self.of_this_run(&cluster.topics) {
            for leader in topic.partitions.values().filter_map(|partition| partition.leader) {
                if let Some(count) = led.get_mut(&leader.0) {
                    *count += 1;
                }
            }
        }
        let most = led.iter().max_by_key(|(_, count)| **count);
        let least = led.iter().min_by_key(|(_, count)| **count);
        match (most, least) {
            (Some((_, 0)), _) => Err(Broken::Void("none of --nodes leads anything".to_owned())),
            (Some((most, _)), Some((least, _))) => Ok((*most, *least)),
            (None, _) | (_, None) => Err(Broken::Void("there are no nodes".to_owned())),
        }
    }

    async fn controller(&self) -> Result<i32, Broken> {
        let quorum = self.setup.client.describe_quorum().await;
        let leader = quorum.map_err(|error| Broken::Void(error.to_string()))?.leader_id.0;
        match self.hands.nodes().contains(&leader) {
            true => Ok(leader),
            false => Err(Broken::Void(format!("the controller, node {leader}, is not in --nodes"))),
        }
    }

    fn of_this_run<'t>(
        &self,
        topics: &'t BTreeMap<String, client::Topic>,
    ) -> impl Iterator<Item = (&'t String, &'t client::Topic)> {
        let prefix = self.setup.prefix.clone();
        topics.iter().filter(move |(name, _)| name.starts_with(&prefix))
    }

    /// Waits until so much is acknowledged as goes through in this time without a fault.
    async fn flow(&self, time: Duration) -> Result<(), Broken> {
        let records = (f64::from(self.setup.rate) * time.as_secs_f64()) as u64;
        let target = self.setup.progress.acknowledged() + records.max(1);
        let deadline = self.setup.env.clock.now() + PATIENCE;
        while self.setup.progress.acknowledged() < target {
            if self.setup.env.clock.now() >= deadline {
                let text = format!("{records} records were not acknowledged within {PATIENCE:?}");
                return Err(Broken::Failed(text));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until records flow and all replicas are in sync.
    async fn whole(&self) -> Result<(), Broken> {
        self.flow(BETWEEN / 2).await?;
        let deadline = self.setup.env.clock.now() + PATIENCE;
        loop {
            if let Ok(cluster) = self.setup.client.metadata(&TopicSelection::All).await {
                let mut partitions = self
                    .of_this_run(&cluster.topics)
                    .flat_map(|(_, topic)| topic.partitions.values());
                if partitions.all(|of| of.leader.is_some() && of.isr.len() == of.replicas.len()) {
                    return Ok(());
                }
            }
            if self.setup.env.clock.now() >= deadline {
                return Err(Broken::Failed(format!("replicas are not in sync after {PATIENCE:?}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a node answers, or does not any more.
    async fn until_answers(&self, node: i32, wanted: bool) -> Result<(), Broken> {
        let Some(address) = self.addresses.get(&node) else {
            return Err(Broken::Void(format!("the cluster has no broker {node}")));
        };
        let patience = if wanted { PATIENCE } else { EFFECT_TIMEOUT };
        let deadline = self.setup.env.clock.now() + patience;
        let mut options = ClientOptions::new(Vec::new());
        (options.connect_timeout, options.request_timeout) = (ANSWER_TIMEOUT, ANSWER_TIMEOUT);
        loop {
            let opening = Connection::open(&self.setup.env, &self.tasks, address, &options);
            let opened = tokio::time::timeout(ANSWER_TIMEOUT, opening).await;
            if matches!(opened, Ok(Ok(_))) == wanted {
                return Ok(());
            }
            if self.setup.env.clock.now() >= deadline {
                let what = if wanted { "does not answer" } else { "still answers" };
                return Err(Broken::Void(format!("node {node} {what} after {patience:?}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
