import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from '../../../javascript/parts/redis.mjs';
import { poll } from '../../../javascript/parts/until.mjs';
import { RedisLink } from './redis-link.mjs';

const SERVICE = 'mymaster';
const SLOTS = 16_384;

/** Asks once on a connection of its own. */
async function ask(redis, ...words) {
  const link = await RedisLink.open(redis.port);
  try { return await link.call(...words); } finally { link.end(); }
}
const told = (redis, words, good) => poll(async () => String(await ask(redis, ...words)), good, words.join(' '));

/** How many subscribe to a channel on this node. */
export async function subscribers(redis, channel) { return (await ask(redis, 'PUBSUB', 'NUMSUB', channel))[1]; }

/** A master with a replica, and a Sentinel that watches both. */
export class Sentinel {
  static async start() {
    const made = new Sentinel();
    made.folder = await mkdtemp(join(tmpdir(), 'sentinel-'));
    made.master = await Redis.start();
    made.replica = await (await Redis.absent('--replicaof', '127.0.0.1', String(made.master.port))).start();
    const file = join(made.folder, 'sentinel.conf');
    const lines = [`monitor ${SERVICE} 127.0.0.1 ${made.master.port} 1`, `down-after-milliseconds ${SERVICE} 500`, `failover-timeout ${SERVICE} 3000`];
    await writeFile(file, lines.map(line => `sentinel ${line}\n`).join(''));
    made.sentinel = await (await Redis.absent()).start(file, '--sentinel');
    await told(made.replica, ['ROLE'], role => role.includes('connected'));
    await told(made.sentinel, ['INFO', 'sentinel'], info => /slaves=1/.test(info));
    made.connection = `127.0.0.1:${made.sentinel.port},serviceName=${SERVICE}`;
    return made;
  }

  /** Kills the master; returns when the replica has its place. */
  async failOver() {
    await this.master.stop();
    await told(this.replica, ['ROLE'], role => role.startsWith('master'));
  }

  async stop() {
    await Promise.all([this.sentinel, this.replica, this.master].map(redis => redis?.stop()));
    await rm(this.folder, { recursive: true });
  }
}

/** Three masters. */
export class Cluster {
  masters = [];

  static async start() {
    const made = new Cluster();
    for (let place = 0; place < 3; place++) {
      const folder = await mkdtemp(join(tmpdir(), 'cluster-'));
      const bus = await Redis.absent();
      const master = await (await Redis.absent('--cluster-enabled', 'yes', '--dir', folder, '--cluster-port', String(bus.port))).start();
      Object.assign(master, { folder });
      made.masters.push(master);
      const [first, next] = [place, place + 1].map(n => Math.floor(n * SLOTS / 3));
      await ask(master, 'CLUSTER', 'ADDSLOTSRANGE', String(first), String(next - 1));
      await ask(master, 'CLUSTER', 'SET-CONFIG-EPOCH', String(place + 1));
      await ask(made.masters[0], 'CLUSTER', 'MEET', '127.0.0.1', String(master.port), String(bus.port));
    }
    for (const master of made.masters) await told(master, ['CLUSTER', 'INFO'], info => info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3'));
    made.connection = made.masters.map(master => `127.0.0.1:${master.port}`).join(',');
    return made;
  }

  /** The master that owns the slot of this name. */
  async ownerOf(name) {
    const slot = await ask(this.masters[0], 'CLUSTER', 'KEYSLOT', name);
    return this.masters[[0, 1, 2].findLast(place => slot >= Math.floor(place * SLOTS / 3))];
  }

  async stop() {
    await Promise.all(this.masters.map(master => master.stop()));
    await Promise.all(this.masters.map(master => rm(master.folder, { recursive: true })));
  }
}
