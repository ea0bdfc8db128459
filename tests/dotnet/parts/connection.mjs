import { Changing } from '../../javascript/parts/until.mjs';

/** One connection of the .NET client, with all that happened to it. */
export class Connection extends Changing {
  events = [];
  #calls = new Map();
  #streams = 0;

  constructor(driver, name) {
    super();
    Object.assign(this, { driver, name });
  }
  happened(event) {
    this.events.push(event);
    if (event.event === 'invoked') this.calls(event.method).push(event.args);
    this.changed();
  }

  command(op, fields = {}, patienceMs) { return this.driver.command({ op, connection: this.name, ...fields }, patienceMs); }
  /** Renews the connection's token: to the server it is whoever this token names from then on. */
  async refresh(token) {
    await this.command('token', { token });
    await this.command('refresh');
  }
  invoke(method, ...args) { return this.command('invoke', { method, args }); }
  send(method, ...args) { return this.command('send', { method, args }); }
  state() { return this.command('state'); }
  stop() { return this.command('stop'); }

  /** Starts a stream: its items so far, what ends it, and the promise of its end. */
  stream(method, ...args) {
    const stream = `${this.name} ${++this.#streams}`;
    const items = () => this.events.filter(e => e.event === 'item' && e.stream === stream).map(e => e.item);
    return { items, ended: this.command('stream', { stream, method, args }), cancel: () => this.command('cancel', { stream }) };
  }

  /** What the server called `method` with, in order. */
  calls(method) { return this.#calls.get(method) ?? this.#calls.set(method, []).get(method); }
  /** The texts of the hub's messages, in order. */
  get texts() { return this.calls('Receive').map(([, text]) => text); }
  /** The details of the events of a kind. */
  of(event) { return this.events.filter(e => e.event === event).map(e => e.detail); }

  async event(name) {
    await this.until(() => this.of(name).length > 0, () => JSON.stringify(this.events));
    return this.of(name)[0];
  }
  async text(text) {
    await this.until(() => this.texts.includes(text), () => `${text} in ${JSON.stringify(this.texts)}`);
  }
}
