import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { Browser } from '../matrix/chromium.mjs';
import { Fleet } from '../parts/fleet.mjs';
import { Page } from '../parts/page.mjs';
import { Server } from '../parts/server.mjs';
import { SCHEMES, WIDTHS } from './table.mjs';

/** What the clock of every page says, and what servers say the time is. */
const CLOCK = '2026-11-28T09:41:00.000Z';
const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)/g;
/** Ids of connections that have not signed in, which are others each time. */
const SENDER = /("target":"Receive\w+","arguments":\[")[\w-]{22}"/g, SHOWN = '$1Jx7kQ2mVbT0wLr9sYcEaHg"';
const HEIGHTS = { 360: 780, 1400: 900 };
/** Where pages find the instances, whatever ports these really have. */
const FIRST_PORT = 5000;
/** The one in Production, which serves alone. */
const PRODUCTION_PORT = 5009;

/** Three instances over a Redis of their own and one in Production, in a state that is the same each time, and a browser that looks at them. */
export class Stage {
  #users = [];
  /** Where the pages find the three. */
  addresses = [0, 1, 2].map(n => `http://localhost:${FIRST_PORT + n}`);
  /** Where they find the one in Production. */
  production = `http://localhost:${PRODUCTION_PORT}`;

  static async start() {
    const stage = new Stage();
    try {
      // One database for all, as a fleet has: ids of messages are its own.
      stage.folder = await mkdtemp(join(tmpdir(), 'views-'));
      stage.fleet = await Fleet.hubline(3, { args: [`--ConnectionStrings:Database=Data Source=${join(stage.folder, 'views.db')}`] });
      stage.closed = await (await Server.hublineIn('Production')).start();
      const ports = [...stage.fleet.servers.map(({ port }, n) => [FIRST_PORT + n, port]), [PRODUCTION_PORT, stage.closed.port]];
      const rules = ports.map(([shown, real]) => `MAP localhost:${shown} 127.0.0.1:${real}`).join(', ');
      stage.browser = new Browser(`--host-resolver-rules=${rules}`);
      await stage.browser.start();
      return stage;
    } catch (error) {
      await stage.end();
      throw error;
    }
  }

  /**
   * Opens a view, and calls `look(page, scheme, width)` for each scheme and width. `page` is one of playwright's. Returns what the page
   * has complained of.
   */
  async each(view, look) {
    const address = view.environment === 'Production' ? this.production : this.addresses[0];
    const opened = await Page.open(this.browser, address + view.path, {
      context: { timezoneId: 'UTC', locale: 'en-GB', reducedMotion: 'reduce', viewport: { width: WIDTHS.at(-1), height: HEIGHTS[WIDTHS.at(-1)] } },
      prepare: async page => {
        await page.clock.setFixedTime(CLOCK);
        // The test page knows states by their time, so what it shows of them is the clock's own.
        await page.routeWebSocket(/chathub/, socket => {
          const server = socket.connectToServer();
          server.onMessage(message => socket.send(typeof message === 'string' ? message.replaceAll(TIME, CLOCK).replaceAll(SENDER, SHOWN) : message));
        });
        await view.prepare?.(page, this);
      },
    });
    try {
      await view.show(opened, this);
      for (const width of WIDTHS) {
        await opened.page.setViewportSize({ width, height: HEIGHTS[width] });
        for (const colorScheme of SCHEMES) {
          await opened.page.emulateMedia({ colorScheme });
          await look(opened.page, colorScheme, width);
        }
      }
      return opened.complaints.filter(text => !view.complaints?.test(text));
    } finally {
      await opened.close();
      await Promise.all(this.#users.splice(0).map(user => user.stop()));
    }
  }

  /** The official client of somebody who has signed in, on an instance; it stays until the view has been looked at. */
  async user(name, hub, instance) {
    const { url } = this.fleet.servers[instance];
    const answer = await fetch(`${url}/dev/token`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ user: name }) });
    const { token } = await answer.json();
    const user = new HubConnectionBuilder().withUrl(url + hub, { accessTokenFactory: () => token }).configureLogging(LogLevel.None).build();
    this.#users.push(user);
    await user.start();
    return user;
  }

  async end() {
    await this.browser?.end();
    await this.fleet?.end();
    await this.closed?.stop();
    if (this.folder) await rm(this.folder, { recursive: true });
  }
}
