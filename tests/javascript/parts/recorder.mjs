import { answered, Changing } from './until.mjs';

/** A connection of the official client, with what it received and what became of it. Runs in Node and in a browser. */
export class Recorder extends Changing {
  received = {};
  events = [];

  /** `methods`: the methods that the server may call. */
  constructor(connection, methods = ['Receive']) {
    super();
    this.connection = connection;
    for (const method of methods) {
      this.received[method] = [];
      connection.on(method, (...args) => { this.received[method].push(args); this.changed(); });
    }
    connection.onclose(error => this.#event('closed', error?.message));
    connection.onreconnecting(error => this.#event('reconnecting', error?.message));
    connection.onreconnected(id => this.#event('reconnected', id));
  }
  #event(name, detail) { this.events.push({ name, detail }); this.changed(); }

  invoke(method, ...args) { return answered(this.connection.invoke(method, ...args), method); }
  send(method, ...args) { return this.connection.send(method, ...args); }
  stop() { return this.connection.stop(); }

  /** What calls of `method` came with, in the order they came. */
  of(method) { return this.received[method]; }
  /** The texts of the conformance hub's messages. */
  get texts() { return this.of('Receive').map(([, text]) => text); }

  async calls(method, count = 1) {
    await this.until(() => this.of(method).length >= count, () => JSON.stringify(this.received));
    return this.of(method);
  }
  async text(text, count = 1) {
    await this.until(() => this.texts.filter(t => t === text).length >= count, () => `${text} in ${JSON.stringify(this.texts)}`);
  }
  async event(name) {
    await this.until(() => this.events.some(e => e.name === name), () => `${name} in ${JSON.stringify(this.events)}`);
    return this.events.find(e => e.name === name).detail;
  }
}
