// What the console costs a fleet with many connections, and how soon its page has them: cargo xtask bench console.
//   HUBLINE_SERVER=… HUBLINE_LOAD=… node console-figures.mjs CONNECTIONS SECONDS
// Prints one line of JSON, which xtask/src/bench/console.rs makes a table of.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { Browser } from './matrix/chromium.mjs';
import { Fleet } from './parts/fleet.mjs';
import { program } from './parts/server.mjs';

const INSTANCES = 3;
/** What connecting leaves to be done, and as long until an instance has a point of its history. */
const SETTLE_MS = 12_000;
const OPENED = 3;
/** `getconf CLK_TCK`: fixed for user space on every Linux. */
const TICK_MS = 10;
const [connections, seconds] = process.argv.slice(2).map(Number);

/** Connections that only keep alive, until they are killed. */
async function crowd(server, count) {
  const child = spawn(program('HUBLINE_LOAD'), ['--json', '--threads=1', `--url=${server.url}/chathub`, 'idle', `--connections=${count}`, '--seconds=3600'], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) {
    if (JSON.parse(line).phase === 'connected') return child;
  }
  throw new Error('the load client did not connect');
}

/** CPU time of each instance so far. */
const cpuMs = fleet => fleet.servers.map(({ process: { child } }) => {
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
});

/** In percent of a processor, of each instance, from now on. */
async function cpuPercent(fleet) {
  const [before, began] = [cpuMs(fleet), performance.now()];
  await pause(seconds * 1000);
  const took = performance.now() - began;
  return cpuMs(fleet).map((now, n) => (now - before[n]) / took * 100);
}

/** Opens the page in a profile of its own. Returns the page, when it had what, and each snapshot that came. */
async function open(browser, fleet) {
  const context = await browser.process.newContext({ viewport: { width: 1400, height: 900 } });
  const page = await context.newPage();
  const snapshots = [];
  page.on('websocket', socket => socket.on('framereceived', ({ payload }) => {
    const came = Date.now();
    for (const message of String(payload).split('\u001e').filter(Boolean).map(JSON.parse)) {
      if (message.type === 2) snapshots.push({ came, at: message.item.at, connections: message.item.total.connections });
    }
  }));
  await page.addInitScript(() => {
    const look = () => {
      if (!globalThis.figuresAt && /\d/.test(document.querySelector('#figures dd')?.textContent ?? '')) globalThis.figuresAt = performance.now();
      if (!globalThis.chartsAt && document.querySelector('.uplot')) globalThis.chartsAt = performance.now();
    };
    addEventListener('DOMContentLoaded', () => new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true }));
  });
  await page.goto(`${fleet.servers[0].url}/console`);
  await page.waitForFunction(() => globalThis.figuresAt && globalThis.chartsAt && performance.getEntriesByName('first-contentful-paint').length);
  const times = await page.evaluate(() => ({ paintMs: performance.getEntriesByName('first-contentful-paint')[0].startTime, figuresMs: globalThis.figuresAt, chartsMs: globalThis.chartsAt }));
  return { context, times, snapshots };
}

const browser = new Browser();
const fleet = await Fleet.hubline(INSTANCES, { args: ['--Logging:LogLevel:Default=Warning', '--Limits:ConnectionsPerSecond=0'] });
const crowds = [];
try {
  await browser.start();
  for (const server of fleet.servers) crowds.push(await crowd(server, Math.ceil(connections / INSTANCES)));
  await pause(SETTLE_MS);
  const unwatched = await cpuPercent(fleet);
  const opened = [];
  let last;
  for (let n = 0; n < OPENED; n++) {
    await last?.context.close();
    last = await open(browser, fleet);
    opened.push(last.times);
  }
  const watched = await cpuPercent(fleet);
  const { snapshots } = last;
  const ages = snapshots.map(({ came, at }) => came - at), shown = snapshots.slice(1).map(({ came }, n) => came - snapshots[n].at);
  console.log(JSON.stringify({
    opened, unwatched, watched, snapshots: snapshots.length, connections: snapshots.at(-1).connections,
    oldestWhenItCameMs: Math.max(...ages), oldestWhenReplacedMs: Math.max(...shown),
  }));
} finally {
  for (const child of crowds) child.kill();
  await browser.end();
  await fleet.end();
}
