import { Changing } from '../../../javascript/parts/until.mjs';

const BETWEEN_MS = 500;
const PATIENCE_MS = 30_000;

/** What a client sends to all each half second until it is told to stop, and how each went. */
export class Sender extends Changing {
  /** `{ text, outcome }`, in order; no outcome yet while the hub waits for Redis. */
  sends = [];
  #going = true;
  #answers = [];

  constructor(client) {
    super();
    Object.assign(this, { client, at: client.at, title: client.title });
    this.ended = this.#run();
  }
  async #run() {
    for (;;) {
      // What is sent before the link is known to be gone may be lost with it.
      await new Promise(resolve => setTimeout(resolve, BETWEEN_MS));
      if (!this.#going) break;
      const sent = { text: `${this.title} ${this.sends.length}` };
      this.sends.push(sent);
      const answer = this.client.invokeFor(PATIENCE_MS, 'Try', 'all', '', sent.text).catch(error => error.message);
      this.#answers.push(answer.then(outcome => { sent.outcome = outcome; this.changed(); }));
    }
  }

  get texts() { return this.sends.map(({ text }) => text); }
  /** Those of its texts that a client has received, in the order it did. */
  textsAt(client) { return client.texts.filter(text => text.startsWith(`${this.title} `)); }

  /** Waits until everything sent so far has reached these clients. */
  async isHeardBy(clients) {
    const { texts } = this;
    await Promise.all(clients.map(client => {
      const missing = () => { const had = new Set(client.texts); return texts.filter(text => !had.has(text)); };
      return client.until(() => missing().length === 0, () => `${missing()} at ${client.title}`);
    }));
  }
  /** Waits until the first so many have failed. */
  async gaveUp(count) {
    const first = () => this.sends.slice(0, count);
    const failed = ({ outcome }) => outcome !== undefined && !outcome.endsWith(' ms ok');
    await this.until(() => first().length === count && first().every(failed), () => JSON.stringify(first()));
  }
  /** Waits until one that is sent from now on succeeds. */
  async succeeds() {
    const from = this.sends.length;
    await this.until(() => this.sends.slice(from).some(({ outcome }) => outcome?.endsWith(' ms ok')), () => JSON.stringify(this.sends.slice(from)));
  }

  /** Sends no more; returns when it knows how each went. */
  async stop() {
    this.#going = false;
    await this.ended;
    await Promise.all(this.#answers);
  }
}
