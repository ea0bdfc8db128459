import { Client } from './client.mjs';
import { Redis } from './redis.mjs';
import { Server } from './server.mjs';

/** Several instances of one server over a Redis of their own, and the clients connected to them. */
export class Fleet {
  servers = [];
  clients = [];
  #marks = 0;

  /** Instances of the conformance server, with Redis if there is more than one. */
  static async conformance(instances, { redis = instances > 1, args = [] } = {}) {
    return new Fleet().start(instances, redis, (...more) => Server.conformance(...args, ...more));
  }
  /** Instances of the hubline program, with Redis if there is more than one. */
  static async hubline(instances, { redis = instances > 1, args = [] } = {}) {
    return new Fleet().start(instances, redis, (...more) => Server.hubline(...args, ...more));
  }
  async start(instances, redis, server) {
    try {
      if (redis) this.redis = await Redis.start();
      const where = redis ? ['--redis', this.redis.connectionString] : [];
      for (let i = 0; i < instances; i++) this.servers.push(await server(...where));
      await Promise.all(this.servers.map(s => s.start()));
      return this;
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  /** A client of the conformance hub on an instance; numbers beyond the last begin again with the first. */
  async client(instance, options) {
    return this.keep(await Client.conformance(this.servers[instance % this.servers.length], options));
  }
  /** A client of any hub. */
  async clientOf(instance, path, options) {
    return this.keep(await Client.connect(this.servers[instance % this.servers.length].url + path, options));
  }
  keep(client) {
    this.clients.push(client);
    return client;
  }

  /**
   * Returns when everything sent so far has arrived: a message that is sent to all afterwards is everywhere. It makes
   * "did not receive" something to wait for.
   */
  async settled(clients = this.clients) {
    const mark = `mark ${++this.#marks}`;
    await clients[0].invoke('SendAll', mark);
    await Promise.all(clients.map(c => c.text(mark)));
  }

  async end() {
    await Promise.all(this.clients.map(c => c.stop()));
    await Promise.all(this.servers.map(s => s.process?.stop()));
    await this.redis?.stop();
  }
}
