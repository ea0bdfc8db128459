import { dirname, join } from 'node:path';
import { freePort } from './port.mjs';
import { Process } from './process.mjs';

/** The program that a variable names; `cargo xtask test` sets them. */
export function program(variable) {
  const path = process.env[variable];
  if (!path) throw new Error(`${variable} must name the program to test; cargo xtask test sets it`);
  return path;
}

/** A program of the real thing: HUBLINE_PEER names ASP.NET Core 10, the others are beside it. */
export const besidePeer = name => join(dirname(program('HUBLINE_PEER')), name);

/** A server program under test, on a port that it keeps. */
export class Server {
  constructor(command, args, port, scheme = 'http') {
    Object.assign(this, { command, port, url: `${scheme}://127.0.0.1:${port}` });
    this.args = [...args, '--urls', this.url];
  }
  /** The server with the recorded hubs: `/conformance` and the routes that send from outside a hub. */
  static async conformance(...args) { return new Server(program('HUBLINE_CONFORMANCE_SERVER'), args, await freePort()); }
  /** ASP.NET Core 10 itself with the same hubs and paths. */
  static async peer(...args) { return new Server(program('HUBLINE_PEER'), ['serve', ...args], await freePort()); }
  /** The same of ASP.NET Core 11. */
  static async peer11(...args) { return new Server(besidePeer('peer11'), ['serve', ...args], await freePort()); }
  /** The program that people install, with its two applications, as people start it who try it: for development. */
  static hubline(...args) { return Server.hublineIn('Development', ...args); }
  /** The same in an environment. */
  static async hublineIn(environment, ...args) {
    const started = environment === 'Development' ? ['--dev'] : ['--environment', environment];
    return new Server(program('HUBLINE_SERVER'), ['serve', ...started, ...args], await freePort());
  }

  /** The same over TLS, for development, with a certificate that Node trusts as `cargo xtask test` starts it. */
  static async hublineOverTls() {
    const [path, key] = ['HUBLINE_TEST_CERTIFICATE', 'HUBLINE_TEST_CERTIFICATE_KEY'].map(program);
    const settings = [`--Kestrel:Certificates:Default:Path=${path}`, `--Kestrel:Certificates:Default:KeyPath=${key}`];
    return new Server(program('HUBLINE_SERVER'), ['serve', '--dev', ...settings], await freePort(), 'https');
  }

  launch() {
    // In memory, so that no run finds what another one has left.
    const env = { ConnectionStrings__Database: ':memory:', Drain__Delay: '0', ...process.env };
    this.process = new Process(this.command, this.args, { env });
    return this.process;
  }
  async start() {
    await this.launch().ready(() => fetch(`${this.url}/health`).then((answer) => answer.ok, () => false));
    return this;
  }
  async health() { return (await fetch(`${this.url}/health`)).text(); }
  /** The word that `/health` of the hubline program answers. */
  async status() { return JSON.parse(await this.health()).status; }
  async post(path) {
    const response = await fetch(this.url + path, { method: 'POST' });
    if (!response.ok) throw new Error(`POST ${path} answered ${response.status}`);
  }
  /** SIGTERM; returns the exit code. */
  stop() { return this.process.stop(); }
}
