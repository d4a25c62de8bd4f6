// A js-libp2p peer with a Kademlia DHT in server mode, driven by one JSON object a line.
//
//   node peer.mjs '{"protocol": "/kdht/kad/1.0.0", "listen": ["/ip4/127.0.0.1/tcp/0"]}'
//
// stdin   {"id": 1, "cmd": "put", "args": {"key": "<base64>", "value": "<base64>"}}
// stdout  {"event": "ready", "peer": "12D3Koo…", "addrs": ["/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…"]}   once, first
//         {"id": 1, "result": {…}}   or   {"id": 1, "error": "NotFoundError: …"}                       per command
//
// Keys, values and results that are bytes travel as base64. Commands run side by side; each takes an optional "timeout" in
// milliseconds (20 s when absent). The process ends when stdin does, so that it never outlives the program that started it.
// It listens, dials and is dialled on the loopback interface only.
import './polyfill.mjs'
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { quic } from '@chainsafe/libp2p-quic'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'

const config = JSON.parse(process.argv[2] ?? '{}')
const protocol = config.protocol ?? '/kdht/kad/1.0.0'
const listen = config.listen ?? ['/ip4/127.0.0.1/tcp/0']

const text = bytes => Buffer.from(bytes).toString('utf8')
const base64 = bytes => Buffer.from(bytes).toString('base64')
const bytes = base64Text => new Uint8Array(Buffer.from(base64Text, 'base64'))

// Namespace "v": anything is valid, the bytewise larger value wins. The Go side of the test has the same rule.
const largest = (key, values) => values.reduce((best, v, i) => Buffer.compare(Buffer.from(v), Buffer.from(values[best])) > 0 ? i : best, 0)

// Namespace "imm": the key is /imm/ and the lower-case hex SHA-256 of the value.
async function namesItself (key, value) {
  if (text(key) !== '/imm/' + createHash('sha256').update(value).digest('hex')) {
    throw new Error('the key is not the hash of the value')
  }
}

const onLoopback = address => /^\/ip4\/127\.|^\/ip6\/::1\//.test(address.toString())

const node = await createLibp2p({
  addresses: { listen },
  transports: listen.some(a => a.includes('/quic-v1')) ? [tcp(), quic({ ipv6: false })] : [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionManager: { inboundConnectionThreshold: Infinity }, // the default takes five a second from one address, here everybody's
  connectionGater: {
    denyDialMultiaddr: address => !onLoopback(address),
    filterMultiaddrForDial: address => onLoopback(address)
  },
  services: {
    identify: identify(),
    ping: ping(),
    dht: kadDHT({
      protocol,
      clientMode: false, // the default waits for a public address
      peerInfoMapper: passthroughMapper, // the default strips private addresses
      allowQueryWithZeroPeers: false,
      initialQuerySelfInterval: 100,
      validators: { v: async () => {}, imm: namesItself },
      selectors: { v: largest, imm: () => 0 }
    })
  }
})
const dht = node.services.dht

let refreshing

const infoOf = peer => ({ peer: peer.id.toString(), addrs: peer.multiaddrs.map(a => a.toString()) })

// Runs a query to its end and counts what happened to the peers it asked.
async function walk (events, visit) {
  const told = { asked: 0, answered: 0, failed: [] }
  for await (const event of events) {
    if (event.name === 'SEND_QUERY') told.asked++
    if (event.name === 'PEER_RESPONSE') told.answered++
    if (event.name === 'QUERY_ERROR') told.failed.push(String(event.error?.message ?? event.error).slice(0, 200))
    if (visit(event) === false) break
  }
  told.failed = told.failed.slice(0, 5)
  return told
}

function notFound (what, told) {
  const err = new Error(what + ', ' + JSON.stringify(told))
  err.name = 'NotFoundError'
  return err
}

const commands = {
  id: async () => ({ peer: node.peerId.toString() }),

  addrs: async () => ({ addrs: node.getMultiaddrs().map(a => a.toString()) }),

  connect: async ({ addr }, options) => {
    const connection = await node.dial(multiaddr(addr), options)
    return { peer: connection.remotePeer.toString(), over: connection.remoteAddr.toString() }
  },

  connections: async () => ({ over: node.getConnections().map(c => c.remoteAddr.toString()) }),

  // Peers in the routing table.
  peers: async () => ({ size: dht.routingTable.size }),

  // Looks for its own neighbours again, which js-libp2p by itself does only every five minutes. Returns at once.
  refresh: async () => {
    refreshing ??= walk(dht.getClosestPeers(node.peerId.toMultihash().bytes, { signal: AbortSignal.timeout(5000) }), () => {})
      .catch(() => {}) // nobody to ask yet
      .finally(() => { refreshing = undefined })
    return { size: dht.routingTable.size }
  },

  // Asks the network; what the local peer store knows does not count.
  findPeer: async ({ peer }, options) => {
    let found
    const told = await walk(dht.findPeer(peerIdFromString(peer), { ...options, useCache: false }), event => {
      if (event.name === 'FINAL_PEER' && event.peer.multiaddrs.length > 0) {
        found = infoOf(event.peer)
        return false
      }
    })
    if (found == null) throw notFound('no peer told an address', told)
    return { ...found, told }
  },

  put: async ({ key, value }, options) => {
    const holders = new Set()
    const told = await walk(dht.put(bytes(key), bytes(value), options), event => {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') holders.add(event.from.toString())
    })
    return { holders: [...holders], told }
  },

  get: async ({ key }, options) => {
    let value
    const from = new Set() // who answered with a value, the best one or not
    const told = await walk(dht.get(bytes(key), options), event => {
      if (event.name === 'PEER_RESPONSE' && event.record != null) from.add(event.from.toString())
      if (event.name === 'VALUE') value = event.value
    })
    if (value == null) throw notFound('no value', told)
    return { value: base64(value), from: [...from], told }
  },

  provide: async ({ cid }, options) => {
    const holders = new Set()
    const told = await walk(dht.provide(CID.parse(cid), options), event => {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') holders.add(event.from.toString())
    })
    return { holders: [...holders], told }
  },

  findProviders: async ({ cid, count = 20 }, options) => {
    const found = new Map()
    const from = new Set() // who named a provider
    const told = await walk(dht.findProviders(CID.parse(cid), options), event => {
      if (event.name === 'PEER_RESPONSE' && event.providers.length > 0) from.add(event.from.toString())
      if (event.name !== 'PROVIDER') return
      for (const peer of event.providers) found.set(peer.id.toString(), infoOf(peer))
      return found.size < count
    })
    return { providers: [...found.values()], from: [...from], told }
  },

  closest: async ({ key }, options) => {
    const found = []
    const told = await walk(dht.getClosestPeers(bytes(key), options), event => {
      if (event.name === 'FINAL_PEER') found.push(event.peer.id.toString())
    })
    return { peers: [...new Set(found)], told }
  },

  stop: async () => {
    setImmediate(quit)
    return {}
  }
}

const say = object => process.stdout.write(JSON.stringify(object) + '\n')

// js-libp2p may hang in stop() while peers vanish around it, so the end is bounded.
let quitting = false
async function quit () {
  if (quitting) return
  quitting = true
  setTimeout(() => process.exit(0), 2000).unref()
  await node.stop().catch(() => {})
  process.exit(0)
}

async function run (line) {
  let request
  try {
    request = JSON.parse(line)
    const command = commands[request.cmd]
    if (command == null) throw new Error(`no command "${request.cmd}" (known: ${Object.keys(commands).join(', ')})`)
    const options = { signal: AbortSignal.timeout(request.timeout ?? 20_000) }
    say({ id: request.id, result: await command(request.args ?? {}, options) })
  } catch (err) {
    say({ id: request?.id ?? 0, error: `${err.name}: ${err.message}` })
  }
}

// A rejected promise that nobody awaited belongs to the stack's own upkeep; it is shown and must not end the peer.
process.on('unhandledRejection', err => console.error('unhandled:', err))
process.on('SIGTERM', quit)

say({ event: 'ready', peer: node.peerId.toString(), addrs: node.getMultiaddrs().map(a => a.toString()) })
createInterface({ input: process.stdin }).on('line', run).on('close', quit)
