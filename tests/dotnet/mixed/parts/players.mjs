// The official clients behind one face, so that every row is played with each of them, or with all at once.
import { readFileSync } from 'node:fs';
import { answered } from '../../../javascript/parts/until.mjs';
import { Client } from '../../../javascript/parts/client.mjs';
import { token } from '../../../javascript/parts/token.mjs';
import { NET_10, NET_11 } from '../../parts/clients.mjs';
import { Driver } from '../../parts/driver.mjs';

const METHODS = { Receive: 2, ReceivePerson: 1, ReceiveAny: 1 };
const RETRIES_MS = Array.from({ length: 100 }, () => 50);
const PROTOCOLS = ['json', 'messagepack'];
const npm = new URL('../../../javascript/node_modules/@microsoft/signalr/package.json', import.meta.url);

/**
 * `connect(server, { messagePack, user, ask, reconnect })` starts a client that the server has finished connecting. `ask` is
 * what its `Ask` does: `{ answer }`, `{ throws }` or `{ silent: true }`. `connectTo` starts one of any hub.
 */
export class JavaScriptPlayers {
  static result = { client: 'JavaScript', version: JSON.parse(readFileSync(npm)).version, environment: `Node ${process.versions.node.split('.')[0]}` };
  #clients = [];

  async connect(server, { ask = { answer: 'yes' }, ...options } = {}) {
    const client = this.#joined(await Client.conformance(server, { events: Object.keys(METHODS), ...options }));
    client.asked = 0;
    client.connection.on('Ask', () => {
      client.asked++;
      client.changed();
      if (ask.silent) return new Promise(() => {});
      // The client sends what a thrown value reads as.
      if (ask.throws) throw { toString: () => ask.throws };
      return ask.answer;
    });
    return client;
  }
  /** `methods`: how many arguments each has that the server may call. */
  async connectTo(url, { methods = {}, ...options } = {}) {
    return this.#joined(await Client.connect(url, { events: Object.keys(methods), ...options }));
  }
  #joined(client) {
    client.called = method => client.of(method);
    client.invokeFor = (patienceMs, method, ...args) => answered(client.connection.invoke(method, ...args), method, patienceMs);
    Object.defineProperty(client, 'changes', { get: () => client.events.map(({ name, detail }) => [name, detail]) });
    this.#clients.push(client);
    return client;
  }
  async end() { await Promise.allSettled(this.#clients.map(client => client.stop())); }
}

/** See there. Those who play with one client at the same time share its program. */
export class DotNetPlayers {
  static client = NET_10;
  static result = NET_10.result;
  static #shared = new Map();
  #clients = [];
  #program;

  constructor() {
    const { client } = this.constructor;
    const shared = DotNetPlayers.#shared;
    this.#program = shared.get(client) ?? shared.set(client, { driver: new Driver(client), players: 0 }).get(client);
    this.#program.players++;
  }

  async connect(server, { ask = { answer: 'yes' }, ...options } = {}) {
    const answers = { method: 'Ask', arity: 1, answer: ask.answer ?? '', ...(ask.silent && { afterMs: -1 }), ...(ask.throws && { throw: ask.throws }) };
    const client = await this.connectTo(`${server.url}/conformance`, { methods: METHODS, answers, ...options });
    const { connectionId, ConnectionId = connectionId } = await client.invoke('WhoAmI');
    client.id = ConnectionId;
    Object.defineProperty(client, 'asked', { get: () => client.calls('Ask').length });
    return client;
  }
  async connectTo(url, { methods = {}, answers, messagePack = false, user, reconnect = false } = {}) {
    const listen = [...Object.entries(methods).map(([method, arity]) => ({ method, arity })), ...(answers ? [answers] : [])];
    const client = await this.#program.driver.connect({
      url, transport: 'WebSockets', protocol: messagePack ? 'messagepack' : 'json', listen,
      ...(user && { token: token(user) }), ...(reconnect && { reconnectMs: RETRIES_MS }),
    });
    client.called = method => client.calls(method);
    client.invokeFor = (patienceMs, method, ...args) => client.command('invoke', { method, args }, patienceMs);
    Object.defineProperty(client, 'changes', { get: () => client.events.filter(e => 'detail' in e).map(e => [e.event, e.detail]) });
    this.#clients.push(client);
    return client;
  }
  async end() {
    await Promise.allSettled(this.#clients.map(client => client.stop()));
    if (--this.#program.players > 0) return;
    DotNetPlayers.#shared.delete(this.constructor.client);
    await this.#program.driver.end();
  }
}

export class DotNet11Players extends DotNetPlayers {
  static client = NET_11;
  static result = NET_11.result;
}

/** Both official clients side by side, with both protocols: what one sees, all have to see. `DotNet`: which of the .NET clients. */
export class Crew {
  #players;

  constructor(DotNet = DotNetPlayers) { this.#players = [['JavaScript', new JavaScriptPlayers()], ['dotnet', new DotNet()]]; }
  static results(DotNet = DotNetPlayers) { return [JavaScriptPlayers.result, DotNet.result]; }

  /** Connects each client with each of the protocols to each of the servers, `{ name: server }`: see `players`. */
  join(servers, { protocols = PROTOCOLS, ...options } = {}) {
    return Promise.all(this.#each(servers, protocols, (players, server, messagePack) => players.connect(server, { messagePack, ...options })));
  }
  /** The same with another hub. */
  joinHub(servers, path, options) {
    return Promise.all(this.attempts(servers, path, options));
  }
  /** The same, as promises of which some may fail. */
  attempts(servers, path, options) {
    return this.#each(servers, PROTOCOLS, (players, { url }, messagePack) => players.connectTo(url + path, { messagePack, ...options }));
  }
  #each(servers, protocols, connect) {
    return Object.entries(servers).flatMap(([at, server]) => this.#players.flatMap(([name, players]) => protocols.map(protocol => {
      const made = connect(players, server, protocol === 'messagepack');
      return made.then(client => Object.assign(client, { at, protocol, title: `${at} ${name} ${protocol}` }));
    })));
  }

  async end() { await Promise.all(this.#players.map(([, players]) => players.end())); }
}
