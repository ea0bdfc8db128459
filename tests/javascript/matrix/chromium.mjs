import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';
import { PageServer } from './page-server.mjs';

const FLAGS = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const HOST = ['cut', 'block', 'unblock', 'requests', 'token'];

function executable() {
  const onPath = (process.env.PATH ?? '').split(delimiter).map(folder => join(folder, 'chromium'));
  const places = process.env.HUBLINE_CHROMIUM ? [process.env.HUBLINE_CHROMIUM] : ['/usr/bin/chromium', ...onPath];
  const found = places.find(path => existsSync(path));
  if (!found) throw new Error(`Chromium is needed and is not at ${places.join(', ')}: install it, or let HUBLINE_CHROMIUM name the program`);
  return found;
}

/** A headless Chromium with a profile of its own, and what its pages load. Starts when it is first needed. */
export class Browser {
  #started;
  /** `flags`: more for its command line. */
  constructor(...flags) { this.flags = [...FLAGS, ...flags]; }

  start() { return this.#started ??= this.#start(); }
  async #start() {
    this.process = await chromium.launch({ executablePath: executable(), headless: true, chromiumSandbox: false, args: this.flags });
    this.files = await PageServer.start();
  }
  async end() {
    await this.process?.close();
    await this.files?.end();
  }
}

/** The client in pages of a browser, one page for each version. */
export class Chromium {
  #pages = new Map();

  /** `fromFile`: the pages are opened from a file, so that their origin is "null". */
  constructor(browser, { fromFile = false } = {}) {
    this.browser = browser;
    this.fromFile = fromFile;
    this.name = fromFile ? 'Chromium, page from a file' : 'Chromium';
  }

  async run(version, options, host) {
    await this.browser.start();
    this.host = host;
    const page = await this.#page(version);
    return page.evaluate(async ({ options, cell, names }) => {
      const { runCell } = await import(cell);
      const host = Object.fromEntries(names.map(name => [name, (...args) => globalThis.askHost(name, ...args)]));
      const { signalR } = globalThis;
      return runCell({ signalR, messagePack: signalR.protocols.msgpack }, options, host);
    }, { options, cell: `${this.browser.files.url}/matrix/cell.mjs`, names: HOST });
  }

  async #page({ version, scripts }) {
    if (this.#pages.has(version)) return this.#pages.get(version);
    const { process, files } = this.browser;
    const page = await process.newPage();
    await page.exposeFunction('askHost', (name, ...args) => this.host[name](...args));
    await page.goto(this.fromFile ? new URL('page.html', import.meta.url).href : `${files.url}/matrix/page.html`);
    for (const script of scripts) await page.addScriptTag({ url: `${files.url}/node_modules/${script}` });
    this.#pages.set(version, page);
    return page;
  }
}
