// Replays recorded SignalR cases against a server and compares what it answers. See README.md.
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { accepts, difference, same } from './compare.mjs';
import { Exceptions } from './exceptions.mjs';
import { decode, encode } from './msgpack.mjs';

const KEY = 'conformance-signing-key-of-32-bytes-or-more';
const HEADERS = ['access-control-allow-credentials', 'access-control-allow-headers', 'access-control-allow-methods',
  'access-control-allow-origin', 'allow', 'cache-control', 'content-encoding', 'content-length', 'content-type', 'expires',
  'pragma', 'sec-websocket-extensions', 'sec-websocket-protocol', 'www-authenticate'];
const OPCODES = ['continuation', 'text', 'binary', 'reserved', , , , , 'close', 'ping', 'pong'];
const RS = '\x1e';
const PATIENCE = 5000;
const REQUEST_LIMIT = 10_000;
const sleep = ms => new Promise(r => setTimeout(r, ms));
const show = text => text.replaceAll(RS, '␞');
const unshow = text => text.replaceAll('␞', RS);

const shortened = (text, run) => text.replace(run, (whole, one) => `‹${one}×${whole.length / one.length}›`);

class Failure extends Error {}

// ---- connections ---------------------------------------------------------------------------

/** Splits what a server sends into hub messages; every unit (frame, event, body) must hold only whole ones. */
class Inbox {
  constructor({ protocol = 'json', handshake = true, passive = false }) {
    Object.assign(this, { protocol, passive, handshaking: handshake, messages: [], opcodes: [], pongs: [], raw: '', closed: null, problems: [], waiters: [] });
  }
  unit(bytes, opcode) {
    let rest = bytes;
    while (rest.length > 0) {
      const binary = this.protocol === 'messagepack' && !this.handshaking;
      const size = binary ? packedSize(rest) : rest.indexOf(0x1e) + 1;
      if (size <= 0 || size > rest.length) { this.problems.push(`a unit does not end with a whole hub message: ${rest.toString('hex').slice(0, 80)}`); break; }
      const body = rest.subarray(0, size);
      this.messages.push({ ...(binary ? unpacked(body) : { text: body.subarray(0, -1).toString('utf8') }), opcode });
      this.handshaking = false;
      rest = rest.subarray(size);
    }
    this.wake();
  }
  end(how) { this.closed ??= how; this.wake(); }
  wake() { for (const w of this.waiters.splice(0)) w(); }
  async until(done, ms) {
    const limit = Date.now() + ms;
    while (!done()) {
      const left = limit - Date.now();
      if (left <= 0) return false;
      let timer;
      await Promise.race([new Promise(r => this.waiters.push(r)), new Promise(r => { timer = setTimeout(r, left); })]);
      clearTimeout(timer);
    }
    return true;
  }
}

function varInt(bytes) {
  let size = 0, n = 0;
  for (; n < Math.min(5, bytes.length); n++) {
    size += (bytes[n] & 0x7f) * 2 ** (7 * n);
    if (bytes[n] < 0x80) return [size, n + 1];
  }
  return [NaN, n];
}
function packedSize(bytes) { const [size, prefix] = varInt(bytes); return Number.isNaN(size) ? -1 : prefix + size; }
function unpacked(bytes) {
  const [, prefix] = varInt(bytes);
  return { hex: bytes.toString('hex'), value: decode(bytes.subarray(prefix)) };
}
function packed(message) {
  const body = encode(message), prefix = [];
  let n = body.length;
  do { prefix.push((n & 0x7f) | (n > 127 ? 0x80 : 0)); n >>= 7; } while (n > 0);
  return Buffer.concat([Buffer.from(prefix), body]);
}

class WebSocketConnection extends Inbox {
  static async open(url, options) {
    const c = new WebSocketConnection(options);
    const u = new URL(url), key = randomBytes(16).toString('base64');
    c.socket = net.connect(u.port, u.hostname);
    c.socket.setNoDelay(true);
    const headers = { Host: u.host, Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key, ...options.headers };
    const response = new Promise((resolve, reject) => {
      let buffer = Buffer.alloc(0);
      c.socket.on('data', data => {
        buffer = Buffer.concat([buffer, data]);
        if (c.open) { buffer = c.frames(buffer); return; }
        const end = buffer.indexOf('\r\n\r\n');
        if (end < 0) return;
        const head = parseHead(buffer.subarray(0, end).toString('latin1'));
        if (head.status === 101) {
          const want = createHash('sha1').update(key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
          if (head.all['sec-websocket-accept'] !== want) c.problems.push('wrong Sec-WebSocket-Accept');
          c.open = true;
          buffer = c.frames(buffer.subarray(end + 4));
          resolve({ status: 101, headers: head.headers });
        } else {
          const body = wholeBody(head, buffer.subarray(end + 4).toString('latin1'));
          if (body === null) return;
          resolve({ status: head.status, headers: head.headers, body });
          c.socket.destroy();
        }
      });
      c.socket.on('error', e => { c.end({ eof: true }); reject(new Failure(`websocket: ${e.message}`)); });
      c.socket.on('close', () => { c.end({ eof: true }); reject(new Failure('websocket: connection closed before the response')); });
    });
    c.socket.write(`GET ${u.pathname}${u.search} HTTP/1.1\r\n${Object.entries(headers).map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`);
    c.response = await response;
    return c;
  }
  frames(buffer) {
    for (;;) {
      if (buffer.length < 2) return buffer;
      let size = buffer[1] & 0x7f, at = 2;
      if (size === 126) { if (buffer.length < 4) return buffer; size = buffer.readUInt16BE(2); at = 4; }
      else if (size === 127) { if (buffer.length < 10) return buffer; size = Number(buffer.readBigUInt64BE(2)); at = 10; }
      if (buffer.length < at + size) return buffer;
      this.frame(buffer[0] & 0x0f, (buffer[0] & 0x80) !== 0, buffer.subarray(at, at + size));
      buffer = buffer.subarray(at + size);
    }
  }
  frame(opcode, fin, payload) {
    if (opcode === 9) return this.writeFrame({ opcode: 10, payload });
    if (opcode === 10) { this.pongs.push(payload.toString('hex')); return this.wake(); }
    if (opcode === 8) {
      if (!this.closed && !this.closing && !this.passive) this.writeFrame({ opcode: 8, payload: payload.subarray(0, 2) });
      return this.end(payload.length < 2 ? { code: 1005 } : { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString('utf8') });
    }
    if (opcode !== 0) { this.parts = []; this.partsOpcode = opcode; }
    this.parts.push(payload);
    if (fin) this.unit(Buffer.concat(this.parts), OPCODES[this.partsOpcode]);
  }
  writeFrame({ opcode, payload = Buffer.alloc(0), fin = true, rsv = 0, masked = true }) {
    if (this.socket.destroyed) return;
    const n = payload.length, mask = masked ? randomBytes(4) : null;
    const head = n < 126 ? Buffer.from([0, n]) : n < 65536 ? Buffer.from([0, 126, n >> 8, n & 255]) : Buffer.alloc(10);
    if (n >= 65536) { head[1] = 127; head.writeBigUInt64BE(BigInt(n), 2); }
    head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
    if (!mask) { this.socket.write(Buffer.concat([head, payload])); return; }
    head[1] |= 0x80;
    const body = Buffer.from(payload);
    for (let i = 0; i < n; i++) body[i] ^= mask[i & 3];
    this.socket.write(Buffer.concat([head, mask, body]));
  }
  send(payload, { opcode = this.protocol === 'messagepack' ? 'binary' : 'text', fin, rsv, masked } = {}) {
    this.writeFrame({ opcode: OPCODES.indexOf(opcode), payload, fin, rsv, masked });
  }
  close(code, reason = '') {
    const payload = Buffer.alloc(code ? 2 + Buffer.byteLength(reason) : 0);
    if (code) { payload.writeUInt16BE(code); payload.write(reason, 2); }
    this.closing = true;
    this.writeFrame({ opcode: 8, payload });
  }
  kill(how) { if (how === 'fin') this.socket.destroy(); else this.socket.resetAndDestroy(); }
  dispose() { this.socket.destroy(); }
}

/** The body of a refused upgrade, or null while some of it is missing. */
function wholeBody(head, text) {
  if (head.all['transfer-encoding'] !== 'chunked') return text.length >= Number(head.all['content-length'] ?? 0) ? text : null;
  if (!text.endsWith('0\r\n\r\n')) return null;
  let body = '';
  for (let at = 0; ;) {
    const line = text.indexOf('\r\n', at), size = parseInt(text.slice(at, line), 16);
    if (size === 0) return body;
    body += text.slice(line + 2, line + 2 + size);
    at = line + 4 + size;
  }
}
function parseHead(text) {
  const [first, ...lines] = text.split('\r\n');
  const all = Object.fromEntries(lines.map(l => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 1).trim()]));
  return { status: Number(first.split(' ')[1]), headers: kept(all), all };
}
function kept(headers) {
  return Object.fromEntries(HEADERS.filter(h => headers[h] !== undefined).map(h => [h, String(headers[h])]));
}

function request(url, { method = 'GET', headers = {}, body, onResponse, signal } = {}) {
  return new Promise((resolve, reject) => {
    const h = { ...headers };
    if (body !== undefined || method === 'POST') h['Content-Length'] ??= body?.length ?? 0;
    const req = http.request(url, { method, headers: h, agent: false, signal }, res => {
      const head = { status: res.statusCode, headers: kept(res.headers) };
      const chunks = [];
      onResponse?.(head, res);
      res.on('data', d => chunks.push(d));
      res.on('end', () => resolve({ ...head, bytes: Buffer.concat(chunks) }));
      res.on('error', reject);
      res.on('aborted', () => resolve({ ...head, bytes: Buffer.concat(chunks), aborted: true }));
    });
    req.on('error', reject);
    req.end(body);
  });
}

/** Server-sent events or long polling: receives by GET, sends by POST. */
class HttpConnection extends Inbox {
  constructor(url, options) { super(options); this.url = url; this.headers = options.headers; this.abort = new AbortController(); }
  static async sse(url, options) {
    const c = new HttpConnection(url, options);
    let pending = '';
    await new Promise((resolve, reject) => {
      const onResponse = (head, res) => {
        c.response = head;
        res.on('data', d => {
          c.raw += d.toString('latin1');
          pending += d.toString('latin1');
          for (let at; (at = pending.indexOf('\r\n\r\n')) >= 0; pending = pending.slice(at + 4)) {
            const data = pending.slice(0, at).split('\r\n').filter(l => l.startsWith('data: ')).map(l => l.slice(6)).join('\n');
            c.unit(Buffer.from(data, 'latin1'));
          }
          c.wake();
        });
        if (head.status === 200) resolve();
      };
      request(url, { headers: { Accept: 'text/event-stream', ...c.headers }, onResponse, signal: c.abort.signal })
        .then(r => { if (r.status !== 200) c.response.body = r.bytes.toString('utf8'); c.end(r.aborted ? { aborted: true } : { eof: true }); resolve(); },
          e => { c.end({ aborted: true }); reject(e); });
    });
    return c;
  }
  static async longPolling(url, options) {
    const c = new HttpConnection(url, options);
    const poll = () => request(url, { headers: c.headers, signal: c.abort.signal });
    const first = await poll();
    c.response = { status: first.status, headers: first.headers, body: first.bytes.toString('utf8') };
    (async () => {
      let r = first;
      for (; r.status === 200; r = await poll()) c.unit(r.bytes);
      c.end({ status: r.status });
    })().catch(() => c.end({ aborted: true }));
    return c;
  }
  async send(payload) {
    const r = await request(this.url, { method: 'POST', headers: this.headers, body: payload });
    if (r.status !== 200) throw new Failure(`POST answered ${r.status} ${r.bytes}`);
  }
  kill() { this.abort.abort(); }
  dispose() { this.abort.abort(); request(this.url, { method: 'DELETE', headers: this.headers }).catch(() => {}); }
}

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
