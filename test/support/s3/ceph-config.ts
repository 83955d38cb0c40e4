/** Configuration and keys of a Ceph of one monitor, one store and its S3 gateways, all on loopback. */
import { randomBytes } from 'node:crypto';

export interface CephPorts {
  readonly monitor: number;
  readonly http: number;
  readonly https: number;
  /** The gateway that knows temporary keys. */
  readonly tokens: number;
}

/** Parts of Ceph whose log is written, or kept in memory, at every request. */
const quiet = ['auth', 'monc', 'ms', 'objclass', 'objecter', 'osd', 'rados', 'rgw', 'throttle', 'timer'];

export const loopback = '127.0.0.1';

/** @param folder holds everything of the Ceph @param clusterId a UUID */
export function cephConfig(folder: string, clusterId: string, dnsName: string, ports: CephPorts): string {
  return `[global]
fsid = ${clusterId}
mon host = [v2:${loopback}:${ports.monitor}/0]
public network = 127.0.0.0/8
ms bind ipv4 = true
ms bind ipv6 = false
keyring = ${folder}/keyring
auth allow insecure global id reclaim = false
admin socket =
run dir = ${folder}/run
crash dir = ${folder}/crash
log file = ${folder}/log/$name.log
mon cluster log file = ${folder}/log/cluster.log
log to syslog = false
log to stderr = false
err to stderr = true
# One copy of everything, and nobody warns about it.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
# A tenth of its work by default.
${quiet.map(part => `debug ${part} = 0/0\n`).join('')}ms crc data = false
mon allow pool size one = true
mon allow pool delete = true
mon max pg per osd = 2000
mon data avail warn = 1
mon data avail crit = 0
# Ceph gathers changes for a second, its clients ask for a new map every five, and the gateway makes pool after pool at its first start.
paxos propose interval = 0.02
paxos min wait = 0.01
objecter tick interval = 0.5
[mon.a]
mon data = ${folder}/mon
[osd.0]
osd data = ${folder}/osd
osd objectstore = memstore
memstore page set = true
memstore page size = 65536
memstore device bytes = 17179869184
osd op num shards = 2
osd op num threads per shard = 2
${gateway(folder, 'rgw', dnsName, [
  `endpoint=${loopback}:${ports.http}`,
  `ssl_endpoint=${loopback}:${ports.https}`,
  `ssl_certificate=${folder}/tls/server.pem`,
  `ssl_private_key=${folder}/tls/server.key`,
])}${gateway(folder, 'tokens', dnsName, [`endpoint=${loopback}:${ports.tokens}`])}# With it a wrong key or signature answers plain AccessDenied: so it has a gateway of its own.
rgw s3 auth use sts = true
rgw sts key = ${randomBytes(8).toString('hex')}
rgw sts min session duration = 1
`;
}

/** Without tcp_nodelay every answer with a body takes 44 ms. The SSE-KMS key `labkey` and SSE-C work over http too. */
function gateway(folder: string, name: string, dnsName: string, frontend: readonly string[]): string {
  return `[client.${name}]
rgw data = ${folder}/rgw
rgw frontends = beast tcp_nodelay=1 ${frontend.join(' ')}
rgw dns name = ${dnsName}
rgw enable usage log = false
rgw enable ops log = false
# Memory of deleted objects comes back in seconds, not hours.
rgw gc obj min wait = 2
rgw gc processor period = 5
rgw gc max concurrent io = 2
rgw thread pool size = 64
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = labkey=${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}
`;
}

/** Keys and rights of all that speak with the monitor: without them radosgw never gets through to it. */
export function cephKeyring(): string {
  const rights: Record<string, readonly string[]> = {
    'mon.': ['mon = "allow *"'],
    'client.admin': ['mon = "allow *"', 'osd = "allow *"', 'mgr = "allow *"'],
    'client.rgw': ['mon = "allow rw"', 'osd = "allow rwx"'],
    'client.tokens': ['mon = "allow rw"', 'osd = "allow rwx"'],
    'osd.0': ['mon = "allow profile osd"', 'osd = "allow *"'],
  };
  return Object.entries(rights)
    .map(([name, caps]) => `[${name}]\n\tkey = ${cephKey()}\n${caps.map(cap => `\tcaps ${cap}\n`).join('')}`)
    .join('');
}

/** A secret as Ceph spells it: type AES, time of creation, length, 16 bytes. */
function cephKey(): string {
  const head = Buffer.alloc(12);
  head.writeUInt16LE(1, 0);
  head.writeUInt32LE(Math.floor(Date.now() / 1000), 2);
  head.writeUInt16LE(16, 10);
  return Buffer.concat([head, randomBytes(16)]).toString('base64');
}
