import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TYPES = { '.html': 'text/html', '.mjs': 'text/javascript', '.js': 'text/javascript' };

/** Serves this folder's pages, modules and client bundles, also to a page that was opened from a file. */
export class PageServer {
  static async start() {
    const pages = new PageServer();
    pages.server = createServer((request, response) => pages.#answer(request, response));
    await new Promise(listening => pages.server.listen(0, '127.0.0.1', listening));
    pages.url = `http://127.0.0.1:${pages.server.address().port}`;
    return pages;
  }

  async #answer(request, response) {
    const path = resolve(ROOT, `.${new URL(request.url, this.url).pathname}`);
    const content = path.startsWith(ROOT + (ROOT.endsWith(sep) ? '' : sep)) && await readFile(path).catch(() => undefined);
    if (!content) return void response.writeHead(404).end();
    response.writeHead(200, { 'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream', 'Access-Control-Allow-Origin': '*' }).end(content);
  }

  async end() {
    this.server.closeAllConnections();
    await new Promise(closed => this.server.close(closed));
  }
}
