// Asks a kdht node over HTTP as Helia does, with its delegated routing client.
//
//   node delegated.mjs '{"url": "http://127.0.0.1:5380/", "content": "bafk…", "nobodys": "bafk…", "peer": "bafz…", "name": "bafz…", "record": "<base64>"}'
//
// stdout  one JSON object: providers, none, filtered, peers, closest (ids as CIDs), before (an error's name), record (base64), and how a
//         web page of another origin is answered
import './polyfill.mjs'
import { delegatedRoutingV1HttpApiClient } from '@helia/delegated-routing-v1-http-api-client'
import { CID } from 'multiformats/cid'

const { url, content, nobodys, peer, name, record } = JSON.parse(process.argv[2])
const log = Object.assign(() => {}, { enabled: false, trace: () => {}, error: () => {}, newScope: () => log })
const client = delegatedRoutingV1HttpApiClient({ url, timeout: 20000, cacheTTL: 0 })({ logger: { forComponent: () => log } })
await client.start()

async function all (records) {
  const found = []
  for await (const r of records) found.push({ id: r.ID.toString(), addrs: r.Addrs.map(a => a.toString()) })
  return found
}

const told = {
  providers: await all(client.getProviders(CID.parse(content))),
  none: await all(client.getProviders(CID.parse(nobodys))),
  filtered: await all(client.getProviders(CID.parse(content), { filterAddrs: ['webtransport'] })),
  peers: await all(client.getPeers(CID.parse(peer))),
  closest: await all(client.getClosestPeers(CID.parse(content)))
}
told.before = await client.getIPNS(CID.parse(name)).then(() => 'found', err => err.name)
await client.putIPNS(CID.parse(name), new Uint8Array(Buffer.from(record, 'base64')))
told.record = Buffer.from(await client.getIPNS(CID.parse(name))).toString('base64')
await client.stop()

// What a browser does before a page of another origin may put a record.
const asked = await fetch(url + 'routing/v1/ipns/' + name, {
  method: 'OPTIONS',
  headers: { Origin: 'https://page.example', 'Access-Control-Request-Method': 'PUT', 'Access-Control-Request-Headers': 'content-type' }
})
told.page = {
  status: asked.status,
  origin: asked.headers.get('access-control-allow-origin'),
  methods: asked.headers.get('access-control-allow-methods'),
  headers: asked.headers.get('access-control-allow-headers')
}
console.log(JSON.stringify(told))
