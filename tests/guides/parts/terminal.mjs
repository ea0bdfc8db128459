// Runs what documents show, each section in a directory of its own, on ports that nobody else uses.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort, listens } from '../../javascript/parts/port.mjs';
import { contains, isOutput } from './compare.mjs';

const PATIENCE_MS = 30_000;
const ROOT = resolve(import.meta.dirname, '../../..');
const MODULES = join(ROOT, 'tests/javascript/node_modules');
/** Ports that documents use, where they stand as one. */
const PORT = /(:|--port |-p )(50\d\d|5432|63\d\d|8080)(?!\d)/g;
/** Lists of ports. */
const PORTS = /\bfor \w+ in [\d ]+/g;
const [SERVER, STORE] = [/\bhubline serve\b|\bcargo run\b.* serve\b/, /^redis-server\b/];
/** Commands that do not end by themselves, unless something is wrong. */
const stays = command => SERVER.test(command) || STORE.test(command) || command.endsWith('&');

const CARGO = '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec hubline "$@"\n';

const groups = new Set();
process.on('exit', () => { for (const pid of groups) end(pid, 'SIGKILL'); });
const end = (pid, signal) => { try { process.kill(-pid, signal); } catch { /* it has ended */ } };

export class Terminal {
  #ports = new Map();
  #running = [];

  /** `above`: the terminal whose programs, ports and directory this one shares with its own. */
  static async open(program, above) {
    const terminal = new Terminal();
    if (above) {
      [terminal.#ports, terminal.directory] = [above.#ports, above.directory];
      terminal.above = above;
      return terminal;
    }
    terminal.directory = await mkdtemp(join(tmpdir(), 'hubline-guides-'));
    await symlink(resolve(program), join(terminal.directory, 'hubline'));
    // What `cargo run` would build and start has been built.
    await writeFile(join(terminal.directory, 'cargo'), CARGO, { mode: 0o755 });
    // As in a checkout: its files, and what `npm install` would have put beside them.
    await symlink(join(ROOT, 'deploy'), join(terminal.directory, 'deploy'));
    if (existsSync(MODULES)) await symlink(MODULES, join(terminal.directory, 'node_modules'));
    return terminal;
  }

  async close() {
    // What is still connected is nobody's any more, so nothing is waited for.
    for (const { child } of this.#running) end(child.pid, 'SIGKILL');
    await Promise.all(this.#running.map(program => program.ended));
    if (!this.above) await rm(this.directory, { recursive: true, force: true });
  }

  /** Does what a step of a document says; throws what differs. */
  async run(step) {
    try {
      if (step.kind === 'file') await writeFile(join(this.directory, step.name), await this.#mapped(step.text));
      else if (step.kind === 'log') await this.#log(step.output);
      else if (step.command.startsWith('until ')) await this.#until(step.command.slice(6));
      else if (stays(step.command)) await this.#stay(step);
      else await this.#once(step);
    } catch (error) {
      error.message = `line ${step.line}: ${error.message}`;
      throw error;
    }
  }

  async #once({ command, output }) {
    const started = await this.#start(command);
    const code = await within(started.ended, `${command} did not end`);
    const printed = this.#shown(started.text());
    if (!output && code !== 0) throw new Error(`$ ${command}\nended with ${code}:\n${printed}`);
    if (output && !isOutput(output, printed)) throw new Error(`$ ${command}\nis to print\n${output.join('\n')}\nand printed\n${printed}`);
  }

  async #stay({ command, output }) {
    const program = await this.#start(command.replace(/ *&$/, ''));
    this.#running.push(program);
    const mapped = await this.#mapped(command);
    const given = /--urls[ =]\S*?:(\d+)|--port (\d+)/.exec(mapped);
    const port = given?.[1] ?? given?.[2] ?? this.#ports.get('5000');
    const answers = SERVER.test(command) ? () => serves(port) : STORE.test(command) ? () => listens(Number(port)) : () => true;
    const ready = async () => program.exited
      ? output?.length > 0 && isOutput(output, this.#shown(program.text()))
      : (!output?.length || contains(output, this.#shown(program.text()))) && answers();
    const told = () => `$ ${command}\nis to print\n${output?.join('\n') ?? 'something, and to go on'}\nand printed\n${this.#shown(program.text())}`;
    await this.#eventually(ready, told, () => program.exited);
  }

  async #until(command) {
    let last = '';
    await this.#eventually(async () => {
      const started = await this.#start(command);
      const code = await within(started.ended, `${command} did not end`);
      last = this.#shown(started.text());
      return code === 0;
    }, () => `$ ${command}\ndoes not succeed:\n${last}`);
  }

  async #log(output) {
    const text = () => this.#shown([...(this.above?.#running ?? []), ...this.#running].map(program => program.text()).join('\n'));
    await this.#eventually(async () => contains(output, text()), () => `${output.join('\n')}\nis not in the log:\n${text()}`);
  }

  async #eventually(condition, told, hopeless = () => false) {
    for (const limit = Date.now() + PATIENCE_MS; Date.now() < limit && !hopeless();) {
      if (await condition()) return;
      await new Promise(after => setTimeout(after, 20));
    }
    if (!await condition()) throw new Error(told());
  }

  async #start(command) {
    // Variables last, as in a terminal.
    const variable = /^([A-Za-z_]+)=(?!.*; )/.exec(command)?.[1];
    const kept = variable ? `declare -p ${variable} >> .variables` : ':';
    const script = `touch .variables; . ./.variables; { ${await this.#mapped(command)}\n} 2>&1; code=$?; ${kept}; exit $code`;
    const child = spawn('bash', ['-c', script], { cwd: this.directory, detached: true, env: await this.#environment(), stdio: ['ignore', 'pipe', 'inherit'] });
    groups.add(child.pid);
    const pieces = [];
    child.stdout.on('data', piece => pieces.push(piece));
    const started = { child, text: () => Buffer.concat(pieces).toString(), exited: false };
    started.ended = new Promise(done => child.on('close', code => { groups.delete(child.pid); started.exited = true; done(code); }));
    return started;
  }

  async #environment() {
    await this.#mapped(':5000');
    const found = Object.entries(process.env).filter(([name]) => !/^(HUBLINE_|NODE_TEST|ConnectionStrings)/.test(name));
    // The address that a program listens at of which nothing else is said; and modules for what is linked from elsewhere.
    return { ...Object.fromEntries(found), NODE_PATH: MODULES, PATH: `${this.directory}:${process.env.PATH}`, ASPNETCORE_URLS: `http://localhost:${this.#ports.get('5000')}` };
  }

  async #mapped(text) {
    const lists = [...text.matchAll(PORTS)].flatMap(([list]) => list.match(/\d+/g));
    for (const port of [...[...text.matchAll(PORT)].map(found => found[2]), ...lists]) {
      if (!this.#ports.has(port)) this.#ports.set(port, String(await freePort()));
    }
    return text.replace(PORT, (_, before, port) => before + this.#ports.get(port))
      .replace(PORTS, list => list.replace(/\d+/g, port => this.#ports.get(port)));
  }

  #shown(text) {
    let shown = text.replaceAll(this.directory, '.');
    for (const [port, used] of this.#ports) shown = shown.replace(new RegExp(`(?<!\\d)${used}(?!\\d)`, 'g'), port);
    return shown;
  }
}

/** Whether the applications answer, be it to say what is missing. */
async function serves(port) {
  const asked = http.get(`http://127.0.0.1:${port}/health/ready`, { agent: false, timeout: 2_000 });
  try {
    const [answer] = await once(asked, 'response', { signal: AbortSignal.timeout(2_000) });
    let said = '';
    for await (const piece of answer) said += piece;
    return !/it is starting|migrations run/.test(said);
  } catch {
    return false;
  } finally {
    asked.destroy();
  }
}

async function within(promise, told) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(told)), PATIENCE_MS); });
  try { return await Promise.race([promise, late]); } finally { clearTimeout(timer); }
}
