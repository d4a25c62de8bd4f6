// Completes package-lock.json after `npm install --package-lock-only`: node lock.mjs
//
// The QUIC transport ships one binary package per platform as an optional dependency. npm leaves out of the lock file those that the
// machine or its registry does not offer, and `npm ci` then refuses the lock file everywhere. This writes the missing ones, without
// a hash, so that `npm ci` installs exactly what is locked and skips what is for other platforms.
import { readFileSync, writeFileSync } from 'node:fs'

const file = new URL('./package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(file))
const quic = '@chainsafe/libp2p-quic'
for (const [name, version] of Object.entries(lock.packages['node_modules/' + quic].optionalDependencies)) {
  const at = 'node_modules/' + name
  if (lock.packages[at] != null) continue
  const [os, cpu, libc] = name.slice(quic.length + 1).split('-')
  lock.packages[at] = { version, cpu: [cpu], license: 'MIT', optional: true, os: [os] }
  if (os === 'linux') lock.packages[at].libc = [libc === 'gnu' ? 'glibc' : 'musl']
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a < b ? -1 : 1))
writeFileSync(file, JSON.stringify(lock, null, 2) + '\n')
