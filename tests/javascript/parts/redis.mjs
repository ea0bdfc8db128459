import net from 'node:net';
import { tmpdir } from 'node:os';
import { freePort } from './port.mjs';
import { Process } from './process.mjs';

/** A real redis-server without persistence, on a port that it keeps. */
export class Redis {
  static async start() { return (await this.absent()).start(); }
  /** One that is not there until `start`. `options`: more of redis-server. */
  static async absent(...options) {
    const redis = new this();
    redis.options = options;
    redis.port = await freePort();
    redis.connectionString = `127.0.0.1:${redis.port}`;
    return redis;
  }
  /** `first`: a configuration file and what has to follow it. */
  async start(...first) {
    const args = [...first, '--port', this.port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...this.options].map(String);
    this.process = await new Process('redis-server', args, { cwd: tmpdir() }).ready(() => this.answers());
    return this;
  }
  /** Ends it as a crash would. */
  async stop() {
    await this.process?.kill();
    this.process = undefined;
  }
  answers() {
    return new Promise(resolve => {
      const socket = net.connect(this.port, '127.0.0.1', () => socket.write('PING\r\n'));
      socket.on('data', data => { socket.destroy(); resolve(data.toString() === '+PONG\r\n'); });
      socket.on('error', () => resolve(false));
    });
  }
}
