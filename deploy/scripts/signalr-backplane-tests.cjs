#!/usr/bin/env node
// The scenarios of SignalRBackplaneTests.cs with the JavaScript client: what is triggered at one instance reaches the clients of all of
// them, through Redis. Run `npm install @microsoft/signalr` first.
//
//   node signalr-backplane-tests.cjs [--urls A,B,C] [--redis HOST:PORT] [--prefix conduit_signalr:] [--admin-key KEY] [--seconds 10]
const net = require('node:net');
const { parseArgs } = require('node:util');
const signalR = require('@microsoft/signalr');

const { values: options } = parseArgs({
  options: {
    urls: { type: 'string', default: 'http://localhost:5000,http://localhost:5001,http://localhost:5002' },
    redis: { type: 'string', default: 'localhost:6379' },
    prefix: { type: 'string', default: 'conduit_signalr:' },
    // What an instance in Development without configured keys takes.
    'admin-key': { type: 'string', default: 'your-admin-key' },
    seconds: { type: 'string', default: '10' },
  },
});
const urls = options.urls.split(',');

/** Waits no longer than `--seconds`. */
function inTime(promise, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: nothing within ${options.seconds} s`)), Number(options.seconds) * 1000); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function trigger() {
  const headers = { Authorization: `Bearer ${options['admin-key']}`, 'Content-Type': 'application/json' };
  const answer = await fetch(`${urls[0]}/api/admin/trigger-navigation-update`, { method: 'POST', headers, body: JSON.stringify({ test: true }) });
  if (!answer.ok) throw new Error(`${urls[0]} does not trigger: ${answer.status} ${await answer.text()}`);
}

const connect = url => new signalR.HubConnectionBuilder().withUrl(`${url}/hubs/navigation-state`).configureLogging(signalR.LogLevel.None).build();

async function SignalR_MessagesPropagateAcrossInstances() {
  const connections = urls.map(connect);
  try {
    const received = connections.map((connection, index) => new Promise(resolve => connection.on('NavigationStateChanged', () => resolve(urls[index]))));
    await Promise.all(connections.map(connection => inTime(connection.start(), 'connecting')));
    await trigger();
    await Promise.all(received.map((message, index) => inTime(message, `a client of ${urls[index]}`)));
  } finally {
    await Promise.all(connections.map(connection => connection.stop()));
  }
}

async function SignalR_UsesRedisBackplane() {
  const [host, port] = options.redis.split(':');
  const redis = net.connect(Number(port ?? 6379), host);
  const connection = connect(urls[0]);
  let text = '';
  const waiting = [];
  redis.on('data', data => { text += data; for (const check of waiting) check(); });
  const said = (pattern, what) => inTime(new Promise((resolve, reject) => {
    const check = () => { if (pattern.test(text)) resolve(); };
    waiting.push(check);
    redis.once('error', reject);
    check();
  }), what);
  try {
    redis.write(`PSUBSCRIBE ${options.prefix}*\r\n`);
    await said(/psubscribe/, `Redis at ${options.redis}`);
    await inTime(connection.start(), 'connecting');
    await trigger();
    await said(/pmessage/, `a message on a channel ${options.prefix}*`);
  } finally {
    redis.destroy();
    await connection.stop();
  }
}

(async () => {
  let failed = 0;
  const tests = [SignalR_MessagesPropagateAcrossInstances, SignalR_UsesRedisBackplane];
  for (const test of tests) {
    await test().then(() => console.log(`✓ ${test.name}`), error => { failed += 1; console.log(`✗ ${test.name}\n  ${error.message}`); });
  }
  console.log(`${tests.length - failed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
})();
