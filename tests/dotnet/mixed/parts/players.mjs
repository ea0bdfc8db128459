// The official clients behind one face, so that every row is played with each of them.
import { readFileSync } from 'node:fs';
import { answered } from '../../../javascript/parts/until.mjs';
import { Client } from '../../../javascript/parts/client.mjs';
import { token } from '../../../javascript/parts/token.mjs';
import { Driver } from '../../parts/driver.mjs';

const METHODS = { Receive: 2, ReceivePerson: 1, ReceiveAny: 1 };
const RETRIES_MS = Array.from({ length: 100 }, () => 50);
const npm = new URL('../../../javascript/node_modules/@microsoft/signalr/package.json', import.meta.url);

/**
 * `connect(server, { messagePack, user, ask, reconnect })` starts a client that the server has finished connecting. `ask` is
 * what its `Ask` does: `{ answer }`, `{ throws }` or `{ silent: true }`.
 */
export class JavaScriptPlayers {
  static result = { client: 'JavaScript', version: JSON.parse(readFileSync(npm)).version, environment: `Node ${process.versions.node.split('.')[0]}` };
  #clients = [];

  async connect(server, { ask = { answer: 'yes' }, ...options } = {}) {
    const client = await Client.conformance(server, { events: Object.keys(METHODS), ...options });
    client.called = method => client.of(method);
    client.asked = 0;
    client.connection.on('Ask', () => {
      client.asked++;
      client.changed();
      if (ask.silent) return new Promise(() => {});
      // The client sends what a thrown value reads as.
      if (ask.throws) throw { toString: () => ask.throws };
      return ask.answer;
    });
    client.invokeFor = (patienceMs, method, ...args) => answered(client.connection.invoke(method, ...args), method, patienceMs);
    this.#clients.push(client);
    return client;
  }
  /** One of any hub, which does nothing but receive. */
  async connectTo(url, options) {
    const client = await Client.connect(url, options);
    this.#clients.push(client);
    return client;
  }
  async end() { await Promise.all(this.#clients.map(client => client.stop())); }
}

/** See there. */
export class DotNetPlayers {
  static result = { client: '.NET', version: '10.0.15', environment: '.NET 10' };
  #driver = new Driver(process.env.HUBLINE_PEER);

  async connect(server, { ask = { answer: 'yes' }, messagePack = false, user, reconnect = false } = {}) {
    const answers = { method: 'Ask', arity: 1, answer: ask.answer ?? '', ...(ask.silent && { afterMs: -1 }), ...(ask.throws && { throw: ask.throws }) };
    const client = await this.#driver.connect({
      url: `${server.url}/conformance`, transport: 'WebSockets', protocol: messagePack ? 'messagepack' : 'json',
      listen: [...Object.entries(METHODS).map(([method, arity]) => ({ method, arity })), answers],
      ...(user && { token: token(user) }), ...(reconnect && { reconnectMs: RETRIES_MS }),
    });
    const { connectionId, ConnectionId = connectionId } = await client.invoke('WhoAmI');
    client.id = ConnectionId;
    client.called = method => client.calls(method);
    Object.defineProperty(client, 'asked', { get: () => client.calls('Ask').length });
    client.invokeFor = (patienceMs, method, ...args) => client.command('invoke', { method, args }, patienceMs);
    return client;
  }
  end() { return this.#driver.end(); }
}
