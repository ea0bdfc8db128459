import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { answered } from '../../javascript/parts/until.mjs';
import { Connection } from './connection.mjs';

/** The official .NET client: a program that takes a command a line and answers with replies and events. */
export class Driver {
  #replies = new Map();
  #connections = new Map();
  #ids = 0;

  /** `client`: one of `clients.mjs`. */
  constructor(client) {
    const [program, ...args] = client.command;
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.child.stdout }).on('line', line => this.#line(JSON.parse(line)));
    this.ended = new Promise(resolve => this.child.on('close', resolve));
    // What still waits for an answer would otherwise say only that none came.
    this.ended.then(code => { for (const { reject } of this.#replies.values()) reject(new Error(`the .NET client ended with ${code}`)); });
  }

  #line(message) {
    if (message.event) return this.#connections.get(message.connection)?.happened(message);
    const reply = this.#replies.get(message.id);
    if (!reply) return; // nobody waits any more
    if (message.ok) reply.resolve(message.result ?? null);
    else reply.reject(new Error(message.error));
  }

  /** Runs a command; its error is the exception's message. `patienceMs`: how long an answer may take. */
  async command(command, patienceMs) {
    const id = ++this.#ids;
    const reply = new Promise((resolve, reject) => this.#replies.set(id, { resolve, reject }));
    this.child.stdin.write(`${JSON.stringify({ id, ...command })}\n`);
    try { return await answered(reply, `${command.op} ${command.method ?? ''}`, patienceMs); } finally { this.#replies.delete(id); }
  }

  /** A started connection; `options` are those of the driver's `connect`. */
  async connect(options) {
    const connection = new Connection(this, `connection ${++this.#ids}`);
    this.#connections.set(connection.name, connection);
    const { connectionId } = await connection.command('connect', options);
    connection.negotiatedId = connectionId;
    return connection;
  }

  /** Ends the program, which disposes of every connection first. */
  async end() {
    this.child.stdin.end();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 5000);
    await this.ended;
    clearTimeout(timer);
  }
}
