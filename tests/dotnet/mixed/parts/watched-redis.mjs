import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Process } from '../../../javascript/parts/process.mjs';
import { Redis } from '../../../javascript/parts/redis.mjs';
import { RedisLink } from './redis-link.mjs';

const LINE = /^([\d.]+) \[\d+ (\S+)\] (.*)$/;
const WORD = /"((?:[^"\\]|\\.)*)"/g;

/**
 * A Redis that tells what it was asked, from the first command on: its port opens when it is being watched. Unlike a tap it
 * breaks no link off later than Redis does, and it says in which order Redis itself took what came over several links.
 */
export class WatchedRedis extends Redis {
  /** Since it was last started, in its order: `{ ms, by, words }`; `ms`: its own clock, `by`: the name that a link gave itself. */
  asked = [];
  #names = new Map();

  async start() {
    const socket = this.socket = join(tmpdir(), `watched-redis-${this.port}.sock`);
    const args = ['--port', '0', '--unixsocket', socket, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const opened = () => RedisLink.open(socket).then(link => { this.link = link; return true; }, () => false);
    this.process = await new Process('redis-server', args, { cwd: tmpdir() }).ready(opened);
    this.asked = [];
    this.#names.clear();
    await this.link.monitor(line => this.#saw(line));
    const other = await RedisLink.open(socket);
    [, this.openedMs] = [await other.call('CONFIG', 'SET', 'port', String(this.port)), milliseconds(await other.call('TIME'))];
    other.end();
    return this;
  }
  async stop() {
    await super.stop();
    this.link?.end();
    if (this.socket) await rm(this.socket, { force: true });
  }

  #saw(line) {
    const [, seconds, address, all] = LINE.exec(line);
    const words = [...all.matchAll(WORD)].map(([, word]) => word);
    if (words[1] === 'SETNAME') this.#names.set(address, words[2]);
    this.asked.push({ ms: Number(seconds) * 1000, by: this.#names.get(address), words });
  }
}

const milliseconds = ([seconds, micros]) => Number(seconds) * 1000 + Number(micros) / 1000;
