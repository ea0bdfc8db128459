// Replays recorded SignalR cases against a server and compares what it answers. See README.md.
import { createHmac, randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { accepts, difference, same } from './compare.mjs';
import { Failure, HttpConnection, WebSocketConnection, packed, request } from './connections.mjs';
import { Exceptions } from './exceptions.mjs';

const KEY = 'conformance-signing-key-of-32-bytes-or-more';
const RS = '\x1e';
const PATIENCE = 5000;
const REQUEST_LIMIT = 10_000;
const sleep = ms => new Promise(r => setTimeout(r, ms));
const show = text => text.replaceAll(RS, '␞');
const unshow = text => text.replaceAll('␞', RS);

const shortened = (text, run) => text.replace(run, (whole, one) => `‹${one}×${whole.length / one.length}›`);

// ---- one case ------------------------------------------------------------------------------

class CaseRun {
  constructor(base, server, patience) {
    Object.assign(this, { base, server, patience, vars: { unique: randomBytes(4).toString('hex') }, connections: {}, background: {}, requests: [] });
  }

  fill(value) {
    if (typeof value === 'string') return value.replace(/\$\{([^}]+)\}/g, (_, name) => {
      if (!(name in this.vars)) throw new Failure(`variable ${name} has no value`);
      return this.vars[name];
    });
    if (Array.isArray(value)) return value.map(v => this.fill(v));
    if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, this.fill(v)]));
    return value;
  }

  /** Replaces what varies between runs by the name of the variable that holds it. */
  normal(value, hex = false) {
    if (Array.isArray(value)) return value.map(v => this.normal(v));
    if (value && typeof value === 'object') {
      const out = Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined).map(([k, v]) => [k, this.normal(v, k === 'hex')]));
      // A variable id of another length changes the length prefixes, so only the value can be compared.
      if (typeof out.hex === 'string' && 'value' in out && this.shortIn(value.value)) delete out.hex;
      return out;
    }
    if (typeof value !== 'string') return value;
    let text = shortened(show(value), hex ? /([0-9a-f]{2})\1{199,}/g : /(.)\1{199,}/gs).replace(/'\d\d\/\d\d\/\d{4} \d\d:\d\d:\d\d'/g, "'<date>'")
      .replace(/BytePositionInLine: \d+/g, 'BytePositionInLine: ‹n›')
      .replace(/"tokenLifetimeSeconds":(\d+)/g, (_, n) => `"tokenLifetimeSeconds":${n < 1e9 ? Math.ceil(n / 10) * 10 : n}`);
    for (const [name, v] of this.byLength()) {
      if (v.length >= 16) text = text.replaceAll(v, `\${${name}}`).replaceAll(Buffer.from(v).toString('hex'), `\${${name}}`);
      else if (text === v) text = `\${${name}}`;
      else text = text.replaceAll(`"${v}"`, `"\${${name}}"`).replaceAll(`'${v}'`, `'\${${name}}'`);
    }
    return text;
  }
  byLength() { return Object.entries(this.vars).filter(([n, v]) => n !== 'unique' && v).sort((a, b) => b[1].length - a[1].length); }
  shortIn(value) {
    const text = JSON.stringify(value) ?? '';
    return this.byLength().some(([, v]) => v.length < 16 && (text.includes(`"${v}"`) || text.includes(`'${v}'`)));
  }

  payload(step) {
    if (step.pack) return Buffer.concat(this.fill(step.pack).map(packed));
    const long = text => (step.repeat ? text.replace('@@', step.repeat[0].repeat(step.repeat[1])) : text);
    if (step.hex !== undefined) return Buffer.from(long(step.hex).replace(/\$\{([^}]+)\}/g, (_, n) => Buffer.from(this.vars[n]).toString('hex')), 'hex');
    return Buffer.from(long(unshow(this.fill(step.text ?? ''))), 'utf8');
  }
  url(step) { return this.base + this.fill(step.path); }
  headers(step) { return { ...this.fill(step.headers ?? {}), ...(step.bearer ? { Authorization: `Bearer ${this.fill(step.bearer)}` } : {}) }; }
  on(step) {
    const c = this.connections[step.on];
    if (!c) throw new Failure(`no connection named ${step.on}`);
    return c;
  }

  /** Takes messages that count: pings and acks come at moments that no case fixes. */
  take(c, step, count) {
    const counts = m => {
      const type = m.hex !== undefined ? Array.isArray(m.value) && m.value[0] : /^\{"type":(\d+)/.exec(m.text)?.[1];
      return !(Number(type) === 6 && !step.pings) && !(Number(type) === 8 && !step.acks);
    };
    const taken = [];
    while (c.messages.length > 0 && taken.length < count) {
      const m = c.messages.shift();
      if (counts(m)) taken.push(m);
    }
    return taken;
  }
  seen(c, taken, step) {
    const messages = taken.map(m => m.hex !== undefined ? { hex: m.hex, value: m.value } : m.text);
    if (step.unordered) messages.sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
    for (const [name, [index, ...keys]] of Object.entries(step.save ?? {})) {
      const m = messages[index];
      const value = keys.reduce((v, k) => v?.[k], typeof m === 'string' ? JSON.parse(m) : m?.value);
      if (typeof value !== 'string') throw new Failure(`nothing to save as ${name} in ${JSON.stringify(m)}`);
      this.vars[name] = value;
    }
    const opcode = [...new Set(taken.map(m => m.opcode).filter(Boolean))].sort().join('+');
    return { ...(opcode ? { opcode } : {}), messages };
  }
  async receive(c, step, count, ms) {
    const taken = [];
    const full = () => { taken.push(...this.take(c, step, count - taken.length)); return taken.length >= count || (c.closed && c.messages.length === 0); };
    const inTime = await c.until(full, ms);
    return { taken, inTime };
  }

  async open(step) {
    const options = { protocol: step.protocol, handshake: step.handshake, passive: step.passive, headers: this.headers(step) };
    const c = step.do === 'ws' ? await WebSocketConnection.open(this.url(step), options)
      : step.do === 'sse' ? await HttpConnection.sse(this.url(step), options)
      : await HttpConnection.longPolling(this.url(step), options);
    this.connections[step.as] = c;
    return c;
  }
  async negotiate(step) {
    const url = new URL(this.url(step));
    url.pathname += '/negotiate';
    const r = await request(url, { method: 'POST', headers: this.headers(step) });
    const body = r.bytes.toString('utf8');
    if (r.status === 200) {
      const { connectionId, connectionToken } = JSON.parse(body);
      if (connectionId !== undefined && !/^[\w-]{22}$/.test(connectionId)) throw new Failure(`not an id: ${connectionId}`);
      if (connectionToken !== undefined && !/^[\w.~-]{22,512}$/.test(connectionToken)) throw new Failure(`not a token: ${connectionToken}`);
      if (connectionId && connectionId === connectionToken) throw new Failure('the connection token equals the connection id');
      if (connectionId) { this.vars[`${step.as}.id`] = connectionId; this.vars[`${step.as}.token`] = connectionToken ?? connectionId; }
    }
    return { status: r.status, headers: r.headers, body };
  }

  steps = {
    negotiate: step => this.negotiate(step),
    ws: async step => (await this.open(step)).response,
    sse: async step => (await this.open(step)).response,
    lp: async step => (await this.open(step)).response,
    // negotiate, open the transport, shake hands: what nearly every case starts with.
    connect: async step => {
      const { as, hub = '/conformance', transport = 'ws', protocol = 'json', version = 1, query = '' } = step;
      const answer = await this.negotiate({ ...step, as, path: `${hub}?negotiateVersion=1${query}` });
      if (answer.status !== 200) throw new Failure(`negotiate answered ${answer.status}`);
      const c = await this.open({ ...step, do: transport, protocol, path: `${hub}?id=\${${as}.token}${query}` });
      if (c.response.status !== (transport === 'ws' ? 101 : 200)) throw new Failure(`${transport} answered ${c.response.status}`);
      const hello = Buffer.from(`{"protocol":"${protocol}","version":${version}}${RS}`);
      await c.send(hello);
      await c.until(() => c.messages.length > 0 || c.closed, this.patience);
      const reply = c.messages.shift()?.text;
      if (reply !== '{}') throw new Failure(`handshake answered ${reply}`);
    },
    http: async step => {
      const promise = request(this.url(step), { method: step.method, headers: this.headers(step), body: 'text' in step || 'hex' in step || 'pack' in step ? this.payload(step) : undefined })
        .then(r => ({ status: r.status, headers: r.headers, body: r.bytes.toString(step.binary ? 'hex' : 'utf8') }), e => ({ error: e.code ?? e.message }));
      if (!step.background) return promise;
      this.background[step.as] = promise;
    },
    response: async step => {
      const late = sleep(step.within ?? this.patience).then(() => ({ timeout: true }));
      return Promise.race([this.background[step.of], late]);
    },
    send: async step => { await this.on(step).send(this.payload(step), step); },
    recv: async step => {
      const c = this.on(step);
      const { taken, inTime } = await this.receive(c, step, step.count ?? 1, step.within ?? this.patience);
      const short = taken.length < (step.count ?? 1);
      return { ...this.seen(c, taken, step), ...(short && c.closed ? { closed: c.closed } : {}), ...(inTime ? {} : { timeout: true }) };
    },
    quiet: async step => {
      const c = this.on(step);
      const { taken } = await this.receive(c, step, Infinity, step.ms);
      return { ...this.seen(c, taken, step), ...(c.closed ? { closed: c.closed } : {}) };
    },
    closed: async step => {
      const c = this.on(step);
      const inTime = await c.until(() => c.closed, step.within ?? this.patience);
      return { ...this.seen(c, this.take(c, step, Infinity), step), ...(inTime ? { closed: c.closed } : { timeout: true }) };
    },
    raw: async step => {
      const c = this.on(step);
      const inTime = await c.until(() => c.closed || c.raw.includes(unshow(step.until)), step.within ?? this.patience);
      const raw = Buffer.from(c.raw, 'latin1').toString('utf8');
      c.raw = '';
      c.messages.length = 0;
      return { raw, ...(inTime ? {} : { timeout: true }) };
    },
    pong: async step => {
      const c = this.on(step);
      await c.until(() => c.pongs.length > 0 || c.closed, step.within ?? this.patience);
      return { payload: c.pongs.shift() ?? null };
    },
    close: async step => { this.on(step).close(step.code, step.reason); },
    kill: async step => { this.on(step).kill(step.how); },
    wait: async step => { await sleep(step.ms); },
    token: async step => { this.on(step).headers = this.headers(step); },
    jwt: async step => {
      const now = Math.floor(Date.now() / 1000);
      const part = value => Buffer.from(JSON.stringify(value)).toString('base64url');
      const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ ...this.fill(step.claims), iat: now - 10, nbf: now - 10, exp: now + (step.expires ?? 600) })}`;
      this.vars[step.as] = `${text}.${createHmac('sha256', step.key ?? KEY).update(text).digest('base64url')}`;
    },
    // The hub keeps one log for everybody, so it is read until the lines of this case are there.
    log: async step => {
      const c = this.on(step), lines = [], name = this.fill(step.name);
      for (const limit = Date.now() + (step.within ?? this.patience); Date.now() < limit && lines.length < step.count; await sleep(50)) {
        await c.send(Buffer.from(`{"type":1,"invocationId":"log","target":"TakeLog","arguments":[]}${RS}`));
        const { taken } = await this.receive(c, step, 1, this.patience);
        if (taken.length === 0) break;
        lines.push(...JSON.parse(taken[0].text).result.filter(l => l.includes(name)));
      }
      return lines.map(l => l.replaceAll(name, step.name));
    },
    'stop-server': async () => { this.server.stop(); },
  };

  /** Runs the steps, to the end or to the first whose answer is not `expected(step, answer)`. */
  async run(steps, expected) {
    const seen = [];
    try {
      for (const step of steps) {
        const result = await this.inTime(step, this.steps[step.do](step));
        seen.push(step.ignore || result === undefined ? undefined : this.normal(JSON.parse(JSON.stringify(result))));
        if (!expected(step, seen.at(-1))) return { seen };
      }
      for (const [name, c] of Object.entries(this.connections)) if (c.problems.length > 0) throw new Failure(`${name}: ${c.problems[0]}`);
      return { seen };
    } catch (e) {
      return { seen, error: e instanceof Failure ? e.message : e.stack };
    } finally {
      for (const c of Object.values(this.connections)) c.dispose();
    }
  }
  /** Requests that are never answered must not hold up the run. */
  async inTime(step, result) {
    const limit = (step.within ?? step.ms ?? 0) + REQUEST_LIMIT;
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Failure(`no answer within ${limit} ms`)), limit); });
    try { return await Promise.race([result, late]); } finally { clearTimeout(timer); }
  }
}

// ---- many cases ----------------------------------------------------------------------------

function parseArguments(argv) {
  const options = { cases: path.join(import.meta.dirname, 'cases'), jobs: '12', release: '11' };
  for (let i = 0; i < argv.length; i++) {
    const name = argv[i].replace(/^--/, '');
    if (['record', 'exact', 'verbose', 'skip-quirks'].includes(name)) options[name] = true; else options[name] = argv[++i];
  }
  return options;
}

function load(options) {
  return readdirSync(options.cases).filter(f => f.endsWith('.json')).sort().map(name => {
    const file = path.join(options.cases, name);
    return { file, ...JSON.parse(readFileSync(file, 'utf8')) };
  });
}

const freePort = () => new Promise(resolve => {
  const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)); });
});
let nextPort = 0;
async function startServer(template, server, ports) {
  const port = ports ? Number(ports.split('-')[0]) + nextPort++ : await freePort();
  const flags = Object.entries(server).map(([k, v]) => `--${k} ${v}`).join(' ');
  const [command, ...args] = template.replace('{url}', `http://127.0.0.1:${port}`).replace('{port}', port).replace('{options}', flags).split(/\s+/).filter(Boolean);
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = new Promise(r => child.on('exit', r));
  for (let tries = 0; ; tries++) {
    const up = await new Promise(r => { const s = net.connect(port, '127.0.0.1', () => { s.destroy(); r(true); }); s.on('error', () => r(false)); });
    if (up) break;
    if (tries > 200 || child.exitCode !== null) throw new Error(`the server did not start: ${command} ${args.join(' ')}`);
    await sleep(100);
  }
  return { url: `http://127.0.0.1:${port}`, stop: () => child.kill('SIGTERM'), async end() { child.kill('SIGTERM'); const t = setTimeout(() => child.kill('SIGKILL'), 8000); await exited; clearTimeout(t); } };
}

/** Writes down what was seen: of release 10 only what differs from 11. A step whose answers vary (`or`) stays as it is. */
function record({ got, got10, ...step }, seen, release) {
  if (release === '11') return { ...step, ...(seen === undefined ? {} : { got: seen }), ...(got10 === undefined ? {} : { got10 }) };
  const differs = got !== undefined && ![got, ...(step.or ?? [])].some(g => same(g, seen, false));
  return { ...step, ...(got === undefined ? {} : { got }), ...(differs && seen !== undefined ? { got10: seen } : {}) };
}

async function runCases(tests, url, server, options, results) {
  const one = async test => {
    const started = Date.now();
    const run = new CaseRun(url, server, PATIENCE);
    const whole = options.record || options.answers || options.excepted.has(test.name);
    const outcome = await run.run(test.steps, (step, answer) => whole || accepts(step, answer, options));
    options.observed[test.name] = outcome;
    if (options.record) {
      test.steps = test.steps.map((step, i) => record(step, outcome.seen[i], options.release));
      const odd = outcome.error ?? (/"timeout":true/.test(JSON.stringify(outcome.seen)) ? `timed out: ${JSON.stringify(outcome.seen.find(s => s?.timeout))}` : null);
      results.push({ name: test.name, failure: odd });
    } else {
      const differs = difference(test, outcome, options);
      const ms = Date.now() - started;
      results.push(options.excepted.has(test.name) ? { name: test.name, ms, ...options.excepted.judge(test, outcome, differs, options) } : { name: test.name, ms, failure: differs });
    }
    const r = results.at(-1);
    if (r.exception) { if (options.verbose) console.log(`else ${r.name} ${r.ms} ms: ${r.exception}`); }
    else if (r.failure) console.log(`FAIL ${r.name}: ${r.failure}`); else if (options.verbose) console.log(`ok   ${r.name} ${r.ms} ms`);
  };
  const [jobs, queue] = [Number(options.jobs), tests.filter(t => !t.alone)];
  await Promise.all(Array.from({ length: jobs }, async () => { while (queue.length > 0) await one(queue.shift()); }));
  for (const test of tests.filter(t => t.alone)) await one(test);
}

/** One step a line, so that a case can be read and changes can be compared. */
function write({ file, cases, ...head }) {
  const line = (k, v) => `${JSON.stringify(k)}: ${JSON.stringify(v)}`;
  const text = cases.map(({ steps, ...c }) => {
    const answer = (name, got) => (got === undefined ? '' : `,\n        "${name}":${JSON.stringify(got)}`);
    const lines = steps.map(({ got, got10, ...s }) => `      ${JSON.stringify(s).slice(0, -1)}${answer('got', got)}${answer('got10', got10)}}`);
    return `    {${Object.entries(c).map(e => line(...e)).join(', ')}, "steps": [\n${lines.join(',\n')}\n    ]}`;
  });
  writeFileSync(file, `{\n${Object.entries(head).map(e => `  ${line(...e)},\n`).join('')}  "cases": [\n${text.join(',\n')}\n  ]\n}\n`);
}

async function main() {
  const options = parseArguments(process.argv.slice(2));
  if (!options.url && !options.serve) throw new Error('give --url URL or --serve COMMAND');
  if (!['10', '11'].includes(options.release)) throw new Error('--release is 10 or 11');
  const files = load(options);
  const known = new Set(files.flatMap(f => f.cases).map(t => t.name));
  options.excepted = options.exceptions ? Exceptions.read(options.exceptions) : new Exceptions();
  options.observed = {};
  const profiles = files.reduce((m, f) => m.set(f.profile, [...(m.get(f.profile) ?? []), f]), new Map());
  const results = [];
  await Promise.all([...profiles].map(async ([profile, group]) => {
    if (options.url ? profile !== (options['server-profile'] ?? 'default') : options['server-profile'] && options['server-profile'] !== profile) return;
    const tests = group.flatMap(f => f.cases).filter(t => (!options.only || t.name.includes(options.only)) && !(options['skip-quirks'] && t.quirk)
      && (t.since ?? 10) <= Number(options.release));
    if (tests.length === 0) return;
    let server = { url: options.url, stop() { throw new Failure('needs --serve'); }, async end() {} };
    if (options.serve) {
      try { server = await startServer(options.serve, group[0].server ?? {}, options.ports); } catch (e) {
        console.log(`profile ${profile}: ${e.message}`);
        return void results.push(...tests.map(t => ({ name: t.name, ms: 0, failure: e.message })));
      }
    }
    try { await runCases(tests, server.url, server, options, results); } finally { await server.end(); }
    if (options.record) group.forEach(write);
  }));
  const ran = results.slice();
  results.push(...options.excepted.mistakes(known));
  for (const r of results.slice(ran.length)) console.log(`FAIL ${r.name}: ${r.failure}`);
  const failed = results.filter(r => r.failure), excepted = results.filter(r => r.exception);
  const passed = results.length - failed.length - excepted.length;
  if (options.report) {
    const fileOf = new Map(files.flatMap(f => f.cases.map(test => [test.name, path.basename(f.file, '.json')])));
    const told = results.map(r => ({ file: fileOf.get(r.name), ...r }));
    writeFileSync(options.report, JSON.stringify({ passed, failed: failed.length, exceptions: excepted.length, results: told }, null, 1));
  }
  if (options.answers) writeFileSync(options.answers, JSON.stringify(options.observed));
  for (const g of options.excepted.groups) console.log(`exceptions: ${g.cases.length}, ${g.reason}`);
  console.log(`${passed} passed, ${failed.length} failed, ${excepted.length} skipped`);
  process.exit(failed.length > 0 ? 1 : 0);
}

await main();
