import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { besidePeer } from '../../javascript/parts/server.mjs';

const PROTOCOLS = ['json', 'messagepack', 'newtonsoft'];

/** A release of the official .NET client: what it can do, and the program that drives it. */
class DotNetClient {
  /** `drive`: the program's name and arguments. */
  constructor(version, { drive, protocols = PROTOCOLS, runtime = 10 }) {
    Object.assign(this, { version, drive, protocols, major: Number.parseInt(version, 10) });
    this.result = { client: '.NET', version, environment: `.NET ${runtime}` };
  }

  /** What to spawn. */
  get command() {
    const [name, ...args] = this.drive;
    return [name === 'peer' ? process.env.HUBLINE_PEER : besidePeer(name), ...args];
  }
  /** Why it cannot be run here; `undefined` if it can. */
  get absent() {
    if (!process.env.HUBLINE_PEER) return 'HUBLINE_PEER names no .NET client';
    const [program] = this.command;
    if (!existsSync(program)) return `there is no ${basename(program)} beside the program that HUBLINE_PEER names`;
  }
  /** Why it lacks what came with a later major version; false if it does not. */
  before(major, what) { return this.major < major && `version ${this.version} has no ${what}`; }
}

const older = (version, name, more) => new DotNetClient(version, { drive: ['client', name], ...more });

export const NET_11 = new DotNetClient('11.0.0', { drive: ['peer11', 'client'], runtime: 11 });
export const NET_10 = new DotNetClient('10.0.15', { drive: ['peer', 'client'] });
/** All of them, those that can do most first. */
export const CLIENTS = [
  NET_11,
  NET_10,
  older('9.0.23', '9.0'),
  older('8.0.34', '8.0'),
  older('6.0.1', '6.0', { protocols: ['json'] }),
  older('1.2.14', '1.2', { protocols: ['json'] }),
];
