import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Changing } from './until.mjs';

const END_MS = 10_000;
const running = new Set();
// A test file that breaks off must not leave servers behind.
process.on('exit', () => { for (const child of running) child.kill('SIGKILL'); });

/** A child process whose printed lines are kept. */
export class Process extends Changing {
  lines = [];
  /** `stdin`: `pipe` for a program that ends with its standard input. */
  constructor(command, args, { stdin = 'ignore', ...options } = {}) {
    super();
    this.name = [command, ...args].join(' ');
    this.child = spawn(command, args, { ...options, stdio: [stdin, 'pipe', 'pipe'] });
    running.add(this.child);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: stream }).on('line', line => { this.lines.push(line); this.changed(); });
    }
    this.ended = new Promise(resolve => {
      this.child.on('error', error => { this.lines.push(error.message); resolve(null); });
      this.child.on('close', resolve);
    }).then(code => { running.delete(this.child); this.exited = true; this.changed(); return code; });
  }

  /** Waits until `ready()` answers true; a process that ends before has failed. */
  async ready(ready) {
    for (const limit = Date.now() + 2 * END_MS; Date.now() < limit; await new Promise(r => setTimeout(r, 20))) {
      if (this.exited) break;
      if (await ready()) return this;
    }
    await this.kill();
    throw new Error(`did not start: ${this.name}\n${this.lines.join('\n')}`);
  }

  /** Waits for a printed line that matches; lines from before count. */
  async line(pattern) {
    await this.until(() => this.lines.some(line => pattern.test(line)), () => `${pattern} in\n${this.lines.join('\n')}`);
    return this.lines.find(line => pattern.test(line));
  }

  signal(name) { this.child.kill(name); }

  /** Asks it to end and returns its exit code; one that does not end in time is killed, and its code is null. */
  async stop() {
    this.signal('SIGTERM');
    return this.exitCode();
  }
  async exitCode() {
    const timer = setTimeout(() => this.signal('SIGKILL'), END_MS);
    try { return await this.ended; } finally { clearTimeout(timer); }
  }
  async kill() { this.signal('SIGKILL'); await this.ended; }
}
