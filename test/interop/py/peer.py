"""A py-libp2p peer with a Kademlia DHT in server mode, driven by one JSON object a line, as js/peer.mjs is:

  python peer.py '{"protocol": "/kdht/kad/1.0.0", "listen": ["/ip4/127.0.0.1/tcp/0"]}'

stdin   {"id": 1, "cmd": "put", "args": {"key": "<base64>", "value": "<base64>"}}
stdout  {"event": "ready", "peer": "12D3Koo…", "addrs": ["/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…"]}   once, first
        {"id": 1, "result": {…}}   or   {"id": 1, "error": "ValueError: …"}                          per command

Keys, values and results that are bytes travel as base64. Commands run side by side; each ends after 20 s. The process ends when
stdin does, so that it never outlives the program that started it. It listens and dials on the loopback interface only.
"""

import base64
import hashlib
import json
import os
import sys
import traceback
from collections import defaultdict

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.kad_dht import common, kad_dht, peer_routing, provider_store, value_store
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.records.validator import Validator
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

TIMEOUT = 20  # seconds of one command


class Largest(Validator):
    """Namespace "v": anything is valid, the bytewise larger value wins. The Go side of the test has the same rule."""

    def validate(self, key, value):
        pass

    def select(self, key, values):
        return values.index(max(values))


class NamesItself(Validator):
    """Namespace "imm": the key is /imm/ and the lower-case hex SHA-256 of the value."""

    def validate(self, key, value):
        if key != "/imm/" + hashlib.sha256(value).hexdigest():
            raise ValueError("the key is not the hash of the value")

    def select(self, key, values):
        return 0


def told(data):
    return base64.b64encode(data).decode()


def said(text):
    return base64.b64decode(text)


def on_loopback(address):
    return str(address).startswith("/ip4/127.")


def watch(owner, name, succeeded):
    """Has a method of the form name(peer, key, …) note the peers with which it succeeded, by key."""
    call, seen = getattr(owner, name), defaultdict(set)

    async def watched(peer, key, *args, **kwargs):
        result = await call(peer, key, *args, **kwargs)
        if succeeded(result):
            seen[key].add(str(peer))
        return result

    setattr(owner, name, watched)
    return seen


class Peer:
    def __init__(self, host, dht):
        self.host, self.dht = host, dht
        # Who did what about a key, since the stack's own calls do not tell: a set of peer ids per key.
        routing, values, providers = dht.peer_routing, dht.value_store, dht.provider_store
        self.told_peers = watch(routing, "_query_peer_for_closest", lambda found: found)
        self.took_value = watch(values, "_store_at_peer", lambda stored: stored)
        self.told_value = watch(values, "_get_from_peer", lambda found: isinstance(found, tuple) and found[0])
        self.took_provider = watch(providers, "_send_add_provider", lambda sent: sent)
        self.told_providers = watch(providers, "_get_providers_from_peer_with_closers", lambda found: found[0])

    def size(self):
        return {"size": self.dht.get_routing_table_size()}

    async def connect(self, addr):
        if not on_loopback(addr):
            raise ValueError("not an address on this machine")
        info = info_from_p2p_addr(Multiaddr(addr))
        await self.host.connect(info)
        return {"peer": str(info.peer_id)}

    async def connections(self):
        return {"over": [str(peer) for peer in self.host.get_connected_peers()]}

    async def peers(self):
        return self.size()

    async def refresh(self):
        await self.dht.refresh_routing_table()
        return self.size()

    async def lookup(self, key):
        """Asks the network; that each peer found has answered is seen here, since the stack takes its table's word instead."""
        self.told_peers.pop(key, None)
        found = [str(p) for p in await self.dht.peer_routing.find_closest_peers_network(key)]
        silent = [p for p in found if p not in self.told_peers[key] and p != str(self.host.get_id())]
        if silent:
            raise LookupError(f"{len(found)} peers, of which these have told nothing: {silent}")
        return found

    async def findPeer(self, peer):
        wanted = ID.from_string(peer)
        if peer not in await self.lookup(wanted.to_bytes()):
            raise LookupError("not among the closest peers")
        info = await self.dht.find_peer(wanted)
        return {"peer": peer, "addrs": [str(a) for a in info.addrs]}

    async def put(self, key, value):
        key = said(key)
        self.took_value.pop(key, None)
        await self.dht.put_value(key.decode(), said(value))
        return {"holders": sorted(self.took_value[key])}

    async def get(self, key):
        key = said(key)
        self.dht.value_store.remove(key)  # what is kept here would be the whole answer
        self.told_value.pop(key, None)
        value = await self.dht.get_value(key.decode())
        if value is None:
            raise LookupError("no value")
        return {"value": told(value), "from": sorted(self.told_value[key])}

    async def remove(self, key):
        return {"removed": self.dht.value_store.remove(said(key))}

    async def provide(self, key, cid):
        key = said(key)
        self.took_provider.pop(key, None)
        await self.dht.provide(cid)
        return {"holders": sorted(self.took_provider[key])}

    async def findProviders(self, key, cid):
        key = said(key)
        self.dht.provider_store.providers.pop(key, None)  # what is kept here would be the whole answer
        self.told_providers.pop(key, None)
        found = {str(p.peer_id): [str(a) for a in p.addrs] for p in await self.dht.find_providers(cid)}
        return {"providers": [{"peer": p, "addrs": a} for p, a in found.items()], "from": sorted(self.told_providers[key])}

    async def closest(self, key):
        return {"peers": await self.lookup(said(key))}

    async def run(self, line):
        answer = {"id": 0}
        try:
            request = json.loads(line)
            answer["id"] = request["id"]
            command = request["cmd"]
            if command.startswith("_") or command in ("run", "lookup", "size"):
                raise LookupError(f"no command {command!r}")
            with trio.fail_after(TIMEOUT):
                answer["result"] = await getattr(self, command)(**(request.get("args") or {}))
        except Exception as err:
            traceback.print_exc()
            answer["error"] = f"{type(err).__name__}: {err}"
        say(answer)


def say(answer):
    print(json.dumps(answer), flush=True)


async def fill_table(host, dht, protocol):
    """Offers all connected servers to the table: the stack leaves that to the program, and takes nobody without addresses."""
    while True:
        for peer in host.get_connected_peers():
            try:
                if protocol in host.get_peerstore().get_protocols(peer):
                    await dht.add_peer(peer)
            except Exception:
                pass  # not identified yet
        await trio.sleep(0.2)


async def main(config):
    protocol = TProtocol(config.get("protocol", "/kdht/kad/1.0.0"))
    for module in (common, kad_dht, peer_routing, provider_store, value_store):
        module.PROTOCOL_ID = protocol  # the option for a prefix does not reach the wire
    listen = [Multiaddr(a) for a in config.get("listen", ["/ip4/127.0.0.1/tcp/0"])]
    quic = any("/quic-v1" in str(a) for a in listen)
    host = new_host(key_pair=create_new_key_pair(), enable_quic=quic, disable_identify_address_discovery=True)
    async with host.run(listen_addrs=listen), trio.open_nursery() as nursery:
        dht = kad_dht.KadDHT(host, kad_dht.DHTMode.SERVER)
        dht.register_validator("v", Largest())
        dht.register_validator("imm", NamesItself())
        async with background_trio_service(dht):
            peer = Peer(host, dht)
            nursery.start_soon(fill_table, host, dht, protocol)
            say({"event": "ready", "peer": str(host.get_id()), "addrs": [str(a) for a in host.get_addrs()]})
            pending = b""
            async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
                async for chunk in stdin:
                    *lines, pending = (pending + chunk).split(b"\n")
                    for line in lines:
                        nursery.start_soon(peer.run, line)
            os._exit(0)  # the stack takes its time to stop, and may not stop at all


trio.run(main, json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})
