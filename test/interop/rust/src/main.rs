//! A rust-libp2p peer with a Kademlia DHT in server mode, driven by one JSON object a line, as js/peer.mjs is:
//!
//!   kdht-interop-peer '{"protocol": "/kdht/kad/1.0.0", "listen": ["/ip4/127.0.0.1/tcp/0"]}'
//!
//! stdin   {"id": 1, "cmd": "put", "args": {"key": "<base64>", "value": "<base64>"}}
//! stdout  {"event": "ready", "peer": "12D3Koo…", "addrs": ["/ip4/127.0.0.1/tcp/4001"]}   once, first
//!         {"id": 1, "result": {…}}   or   {"id": 1, "error": "…"}                         per command
//!
//! Keys, values and results that are bytes travel as base64. Commands run side by side. The process ends when stdin does, so that
//! it never outlives the program that started it. It listens and dials on the loopback interface only.

mod queries;

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use data_encoding::BASE64;
use futures::StreamExt;
use libp2p::kad::{self, store::MemoryStore};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, noise, ping, tcp, yamux,
};
use queries::{Queries, Query};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

const QUERY_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub kad: kad::Behaviour<MemoryStore>,
}

struct Node {
    swarm: Swarm<Behaviour>,
    protocol: StreamProtocol,
    dials: HashMap<PeerId, Vec<Value>>, // ids of the commands that wait for a connection
    queries: Queries,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let config: Value = serde_json::from_str(&std::env::args().nth(1).unwrap_or("{}".into()))?;
    let protocol = StreamProtocol::try_from_owned(
        config["protocol"]
            .as_str()
            .unwrap_or("/kdht/kad/1.0.0")
            .to_owned(),
    )?;
    let mut swarm = swarm(protocol.clone())?;
    let listen = config["listen"]
        .as_array()
        .cloned()
        .unwrap_or(vec![json!("/ip4/127.0.0.1/tcp/0")]);
    for address in &listen {
        swarm.listen_on(text(address)?.parse()?)?;
    }
    let mut addrs = vec![];
    while addrs.len() < listen.len() {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            addrs.push(address.to_string());
        }
    }
    say(json!({"event": "ready", "peer": swarm.local_peer_id().to_string(), "addrs": addrs}));

    let mut node = Node {
        swarm,
        protocol,
        dials: HashMap::new(),
        queries: Queries::default(),
    };
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => node.run(&line),
                None => return Ok(()),
            },
            event = node.swarm.select_next_some() => node.heard(event),
        }
    }
}

fn swarm(protocol: StreamProtocol) -> Result<Swarm<Behaviour>, Box<dyn Error>> {
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_quic()
        .with_behaviour(|key| {
            let id = key.public().to_peer_id();
            let mut config = kad::Config::new(protocol);
            config.set_query_timeout(QUERY_TIMEOUT);
            let mut kad = kad::Behaviour::with_config(id, MemoryStore::new(id), config);
            kad.set_mode(Some(kad::Mode::Server)); // the default waits for a public address
            Behaviour {
                identify: identify::Behaviour::new(identify::Config::new(
                    "kdht-interop".into(),
                    key.public(),
                )),
                ping: ping::Behaviour::default(),
                kad,
            }
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build())
}

impl Node {
    fn run(&mut self, line: &str) {
        let request: Value = serde_json::from_str(line).unwrap_or_default();
        let id = request["id"].clone();
        if let Err(err) = self.start(
            id.clone(),
            request["cmd"].as_str().unwrap_or_default(),
            &request["args"],
        ) {
            say(json!({"id": id, "error": err.to_string()}));
        }
    }

    /// Begins a command; those that need the network are answered later.
    fn start(&mut self, id: Value, cmd: &str, args: &Value) -> Result<(), Box<dyn Error>> {
        let kad = &mut self.swarm.behaviour_mut().kad;
        let (query, kind) = match cmd {
            "connect" => return self.connect(id, text(&args["addr"])?.parse()?),
            "put" => {
                let record = kad::Record::new(bytes(&args["key"])?, bytes(&args["value"])?);
                (kad.put_record(record, kad::Quorum::All)?, Query::Put)
            }
            "get" => (
                kad.get_record(bytes(&args["key"])?.into()),
                Query::Get {
                    values: Default::default(),
                    from: Default::default(),
                },
            ),
            "provide" => (
                kad.start_providing(bytes(&args["key"])?.into())?,
                Query::Provide,
            ),
            "findProviders" => (
                kad.get_providers(bytes(&args["key"])?.into()),
                Query::Providers(Default::default()),
            ),
            "closest" => (kad.get_closest_peers(bytes(&args["key"])?), Query::Closest),
            "findPeer" => {
                let peer: PeerId = text(&args["peer"])?.parse()?;
                (
                    kad.get_closest_peers(peer.to_bytes()),
                    Query::FindPeer(peer, in_table(kad, peer)),
                )
            }
            _ => {
                let result = self.local(cmd, args)?;
                say(json!({"id": id, "result": result}));
                return Ok(());
            }
        };
        self.queries.begin(query, id, kind);
        Ok(())
    }

    /// Runs a command that asks nobody.
    fn local(&mut self, cmd: &str, args: &Value) -> Result<Value, Box<dyn Error>> {
        let connections: Vec<String> = self
            .swarm
            .connected_peers()
            .map(PeerId::to_string)
            .collect();
        let kad = &mut self.swarm.behaviour_mut().kad;
        match cmd {
            "peers" => {}
            "refresh" => drop(kad.bootstrap()), // its result shows in the table
            "connections" => return Ok(json!({"over": connections})),
            "remove" => kad.remove_record(&bytes(&args["key"])?.into()),
            "stopProviding" => kad.stop_providing(&bytes(&args["key"])?.into()),
            _ => return Err(format!("no command {cmd:?}").into()),
        }
        Ok(json!({"size": kad.kbuckets().map(|bucket| bucket.num_entries()).sum::<usize>()}))
    }

    fn connect(&mut self, id: Value, mut address: Multiaddr) -> Result<(), Box<dyn Error>> {
        let Some(Protocol::P2p(peer)) = address.pop() else {
            return Err("the address does not end in /p2p/ID".into());
        };
        if !on_loopback(&address) {
            return Err("not an address on this machine".into());
        }
        self.swarm
            .dial(DialOpts::peer_id(peer).addresses(vec![address]).build())?;
        self.dials.entry(peer).or_default().push(id);
        Ok(())
    }

    fn heard(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id, endpoint, ..
            } => {
                for id in self.dials.remove(&peer_id).unwrap_or_default() {
                    say(
                        json!({"id": id, "result": {"peer": peer_id.to_string(), "over": endpoint.get_remote_address().to_string()}}),
                    );
                }
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer),
                error,
                ..
            } => {
                for id in self.dials.remove(&peer).unwrap_or_default() {
                    say(json!({"id": id, "error": error.to_string()}));
                }
            }
            // The table is filled by the program: with those that tell they are servers.
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => {
                if info.protocols.contains(&self.protocol) {
                    for address in info.listen_addrs.into_iter().filter(on_loopback) {
                        self.swarm
                            .behaviour_mut()
                            .kad
                            .add_address(&peer_id, address);
                    }
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                id,
                result,
                step,
                stats,
            })) => {
                self.queries.progress(id, result, step.last, &stats);
            }
            _ => {}
        }
    }
}

fn in_table(kad: &mut kad::Behaviour<MemoryStore>, peer: PeerId) -> Vec<Multiaddr> {
    let bucket = kad.kbucket(peer).into_iter();
    let mut entries = bucket.flat_map(|bucket| {
        bucket
            .iter()
            .map(|e| (*e.node.key.preimage(), e.node.value.clone().into_vec()))
            .collect::<Vec<_>>()
    });
    entries
        .find(|(id, _)| *id == peer)
        .map(|(_, addrs)| addrs)
        .unwrap_or_default()
}

fn on_loopback(address: &Multiaddr) -> bool {
    matches!(address.iter().next(), Some(Protocol::Ip4(ip)) if ip.is_loopback())
}

fn text(value: &Value) -> Result<&str, Box<dyn Error>> {
    value
        .as_str()
        .ok_or_else(|| "an argument is missing".into())
}

fn bytes(value: &Value) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(BASE64.decode(text(value)?.as_bytes())?)
}

pub fn say(object: Value) {
    println!("{object}");
}
