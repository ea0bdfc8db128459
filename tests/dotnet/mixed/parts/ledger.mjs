import assert from 'node:assert/strict';

/** Which texts each client has to receive. */
export class Ledger {
  #owed = new Map();

  owes(client, text) { this.#owed.set(client, [...this.#owed.get(client) ?? [], text]); }
  /** Nothing is missing, nothing is there twice, and nothing else has come. */
  check(client) { assert.deepEqual(client.texts.toSorted(), (this.#owed.get(client) ?? []).toSorted(), client.title); }
}
