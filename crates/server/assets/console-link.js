// The console's connection: to whoever answers at the page's own address, again and again.
import { said } from "/session.js";

const HUB = "/console/hub";
const DELAYS_MS = [200, 500, 1000, 2000, 3000];
// A snapshot comes every 2 s: after these many milliseconds without one the instance is left for another.
const SILENT_MS = 15_000;
// A connection that has not signed in by then is left for another.
const STARTING_MS = 20_000;
const OLD_MS = 6_000;
const HIDDEN_MS = 60_000;
const DISABLED = "This instance serves no console: Console:Enabled is false.";
const FOREIGN = "The console's hub takes this page for one of another server. A proxy in front has to pass the Host header as it came.";
const CUT = /underlying connection being closed/i;
const NOT_BELIEVED = /admin key/i, OFF = /console is off/i, NEEDED = /needs an admin key/i;

/**
 * `told`: what the page does about it: `signedIn(who)`, `needsKey(why)`, `isOff(why, forWantOfKey)`, `snapshot(snapshot)`, `state(name, why)` with `connecting`, `live`, `old`, `away`.
 * The key is held here alone, in the memory of the tab.
 */
export class Link {
  #key = null;
  #hub;
  #begun;
  #stream;
  #attempts = 0;
  #timer;
  #isWanted = false;
  #wasIn = false;
  #heard = 0;
  #hiding;
  /** Whether the hub can be asked. */
  isSignedIn = false;

  constructor(told) {
    this.told = told;
    setInterval(() => this.#look(), 1000);
    addEventListener("online", () => this.#soon(0));
    document.addEventListener("visibilitychange", () => this.#watched());
  }

  /** Begins with a key, or without one, where none is needed. */
  start(key) {
    this.#key = key;
    this.#isWanted = true;
    this.#attempts = 0;
    this.#soon(0);
  }

  /** Calls a method of the hub; errors have a text for people. */
  async invoke(method, ...args) {
    if (this.#hub?.state !== "Connected" || !this.isSignedIn) throw new Error("There is no connection now. It is being made again.");
    try {
      return await this.#hub.invoke(method, ...args);
    } catch (error) {
      if (CUT.test(error.message)) throw new Error("The connection ended before there was an answer, so it may be done or not: look before you do it again.");
      throw new Error(said(error));
    }
  }

  /** Milliseconds since the last snapshot came. */
  get age() { return this.#heard ? performance.now() - this.#heard : 0; }

  #soon(delay) {
    if (!this.#isWanted || this.#hub) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  async #connect() {
    const builder = new signalR.HubConnectionBuilder().withUrl(HUB).configureLogging(signalR.LogLevel.None);
    const hub = this.#hub = builder.build();
    this.#begun = performance.now();
    hub.onclose(() => this.#gone(hub));
    try {
      await hub.start();
    } catch (error) {
      if (this.#hub !== hub) return undefined;
      if (/\b404\b/.test(error) && !this.#wasIn) return this.#off(hub, DISABLED);
      return this.#gone(hub, /\b403\b/.test(error) ? FOREIGN : said(error));
    }
    if (this.#hub !== hub) return hub.stop();
    let who;
    try {
      who = await hub.invoke("SignIn", this.#key);
    } catch (error) {
      return this.#refused(hub, said(error));
    }
    if (this.#hub !== hub) return hub.stop();
    this.isSignedIn = this.#wasIn = true;
    this.#heard = performance.now();
    this.told.signedIn(who);
    this.#watch();
  }

  /** The connection is not, or no longer. */
  #gone(hub, why = "") {
    if (this.#hub !== hub) return;
    this.#hub = this.#stream = undefined;
    this.isSignedIn = false;
    if (!this.#isWanted) return;
    this.told.state(this.#wasIn ? "away" : "connecting", why);
    const delay = DELAYS_MS[Math.min(this.#attempts++, DELAYS_MS.length - 1)];
    this.#soon(delay * (0.75 + Math.random() / 2));
  }

  /** What is no fault of the key is tried again by itself, once it was believed. */
  #refused(hub, why) {
    if (this.#hub !== hub || CUT.test(why)) return this.#gone(hub, why);
    const isOff = OFF.test(why), isAboutKey = NOT_BELIEVED.test(why) && !/database|too many/i.test(why);
    if (this.#wasIn && !isOff && !isAboutKey) {
      this.#gone(hub, why);
      return hub.stop();
    }
    if (isOff) return this.#off(hub, why);
    const hadKey = this.#key !== null;
    this.#end(hub);
    return this.told.needsKey(!hadKey && NEEDED.test(why) ? "" : why);
  }

  #off(hub, why) {
    this.#end(hub);
    this.told.isOff(why, why !== DISABLED);
  }

  #end(hub) {
    this.#hub = undefined;
    this.#isWanted = this.#wasIn = false;
    this.#key = null;
    hub.stop();
  }

  #watch() {
    const hub = this.#hub;
    if (!this.isSignedIn || this.#stream) return;
    const next = snapshot => {
      if (this.#hub !== hub) return;
      this.#heard = performance.now();
      // One that signs in and tells nothing is not asked again at once.
      this.#attempts = 0;
      this.told.snapshot(snapshot);
      this.told.state("live", "");
    };
    const over = error => {
      if (this.#hub !== hub || !this.#stream) return;
      this.#gone(hub, error ? said(error) : "");
      hub.stop();
    };
    this.#stream = hub.stream("Watch").subscribe({ next, error: over, complete: () => over() });
    this.#watched();
  }

  /** A tab that nobody sees asks for nothing after a while. */
  #watched() {
    clearTimeout(this.#hiding);
    if (document.hidden) {
      if (!this.#stream) return;
      this.#hiding = setTimeout(() => {
        const stream = this.#stream;
        this.#stream = undefined;
        stream?.dispose();
      }, HIDDEN_MS);
    } else if (this.isSignedIn && !this.#stream) {
      this.#heard = performance.now();
      this.#watch();
    }
  }

  /** Leaves a connection without waiting for its end, which may take long on a line that is cut. */
  #leave(why) {
    const hub = this.#hub;
    this.#gone(hub, why);
    hub.stop();
  }

  #look() {
    if (this.#hub && !this.isSignedIn && performance.now() - this.#begun > STARTING_MS) return this.#leave("It does not answer.");
    if (!this.isSignedIn || !this.#stream) return;
    if (this.age > SILENT_MS) this.#leave("It does not answer.");
    else if (this.age > OLD_MS) this.told.state("old", "");
  }
}
