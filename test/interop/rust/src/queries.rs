//! What the DHT was asked for and has not answered to the end yet.

use std::collections::{BTreeSet, HashMap};

use data_encoding::BASE64;
use libp2p::kad::{
    GetProvidersOk, GetRecordOk, PeerInfo, PutRecordError, QueryId, QueryResult, QueryStats,
};
use libp2p::{Multiaddr, PeerId};
use serde_json::{Value, json};

use crate::say;

/// A query's kind, and what it has found so far.
pub enum Query {
    Put,
    Get {
        values: BTreeSet<Vec<u8>>,
        from: BTreeSet<PeerId>,
    },
    Provide,
    Providers(BTreeSet<PeerId>),
    Closest,
    /// A peer, and the addresses it has in the table.
    FindPeer(PeerId, Vec<Multiaddr>),
}

#[derive(Default)]
pub struct Queries(HashMap<QueryId, (Value, Query)>);

impl Queries {
    /// Notes who asked: the id of a command.
    pub fn begin(&mut self, query: QueryId, command: Value, kind: Query) {
        self.0.insert(query, (command, kind));
    }

    /// Takes what a query has found, and answers its command when it is at its end. Queries of the DHT's own are nobody's.
    pub fn progress(&mut self, id: QueryId, found: QueryResult, last: bool, stats: &QueryStats) {
        let Some((_, query)) = self.0.get_mut(&id) else {
            return;
        };
        let result = query.take(found);
        if !last && result.is_ok() {
            return;
        }
        let Some((command, query)) = self.0.remove(&id) else {
            return;
        };
        let told = json!({"asked": stats.num_requests(), "answered": stats.num_successes(), "failed": stats.num_failures()});
        match result.and_then(|value| query.finish(value)) {
            Ok(mut value) => {
                value["told"] = told;
                say(json!({"id": command, "result": value}));
            }
            Err(err) => say(json!({"id": command, "error": format!("{err}, {told}")})),
        }
    }
}

impl Query {
    fn take(&mut self, found: QueryResult) -> Result<Value, String> {
        match (self, found) {
            // Nobody is named when all of the k nearest took it, but there are fewer here than that: the error names those who did.
            (Query::Put, QueryResult::PutRecord(Ok(_))) => {
                Err("stored at k peers, in so small a network".into())
            }
            (
                Query::Put,
                QueryResult::PutRecord(Err(PutRecordError::QuorumFailed { success, .. })),
            ) => Ok(json!({"holders": ids(&success)})),
            (
                Query::Get { values, from },
                QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))),
            ) => {
                values.insert(found.record.value);
                from.extend(found.peer);
                Ok(Value::Null)
            }
            (Query::Provide, QueryResult::StartProviding(Ok(_))) => Ok(json!({})),
            (
                Query::Providers(found),
                QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })),
            ) => {
                found.extend(providers);
                Ok(Value::Null)
            }
            (Query::Closest, QueryResult::GetClosestPeers(Ok(ok))) => {
                Ok(json!({"peers": ids(ok.peers.iter().map(|p| &p.peer_id))}))
            }
            (Query::FindPeer(peer, known), QueryResult::GetClosestPeers(Ok(ok))) => {
                find(*peer, known, &ok.peers)
            }
            // The end.
            (_, QueryResult::GetRecord(Ok(_)) | QueryResult::GetProviders(Ok(_))) => {
                Ok(Value::Null)
            }
            (_, other) => Err(format!("{other:?}")),
        }
    }

    fn finish(self, value: Value) -> Result<Value, String> {
        match self {
            // The rule of the namespace "v", here as in the other peers: the bytewise larger value wins. This stack leaves the choice
            // to the program.
            Query::Get { values, from } => {
                let best = values.last().ok_or("no value")?;
                Ok(json!({"value": BASE64.encode(best), "from": ids(&from)}))
            }
            Query::Providers(found) => Ok(
                json!({"providers": found.iter().map(|id| json!({"peer": id.to_string()})).collect::<Vec<_>>()}),
            ),
            _ => Ok(value),
        }
    }
}

// The last answer's addresses of a peer replace those of the answers before, even by none.
fn find(peer: PeerId, known: &[Multiaddr], among: &[PeerInfo]) -> Result<Value, String> {
    let found = among
        .iter()
        .find(|p| p.peer_id == peer)
        .ok_or("not among the closest peers")?;
    let addrs: BTreeSet<String> = found
        .addrs
        .iter()
        .chain(known)
        .map(Multiaddr::to_string)
        .collect();
    Ok(json!({"peer": peer.to_string(), "addrs": addrs}))
}

fn ids<'a>(peers: impl IntoIterator<Item = &'a PeerId>) -> Vec<String> {
    peers.into_iter().map(PeerId::to_string).collect()
}
