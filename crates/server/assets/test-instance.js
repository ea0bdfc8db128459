// One instance on the test page: its connection, what it has sent, and why it refuses.
import { Counts, figures } from "/test-counts.js";

const HUB = "/hubs/navigation-state";
// A page that is left open finds its instances again, however long they were away.
const RETRIES = [0, 500, 1000, 2000, 5000], RETRY_AGAIN_MS = 10000;
const LONGEST_SHOWN = 4000, LONGEST_TEXT = 300;

export class Instance {
  counts = new Counts();
  state = "Disconnected";
  #hub;
  /** Counts what is asked of the connection: what was asked last counts. */
  #turn = 0;
  #away;
  /** States that came while one was asked for: which of them is the answer is known with its result. */
  #held;

  /** `settings`: those of the page, looked at whenever a connection is made. `acts`: what its buttons do, by name. */
  constructor(origin, settings, acts) {
    this.origin = origin;
    this.settings = settings;
    this.root = document.getElementById("instance").content.cloneNode(true).firstElementChild;
    this.find = selector => this.root.querySelector(selector);
    this.root.setAttribute("aria-label", origin);
    this.find(".name").textContent = origin.replace(/^http:\/\//, "");
    this.find("ol").setAttribute("aria-label", `Messages of ${origin}, newest first`);
    this.find(".toggle").onclick = () => this.#hub ? this.stop() : this.start();
    this.find(".from").onclick = () => acts.broadcast(this);
    this.find(".remove").onclick = () => acts.remove(this);
    this.#show("Disconnected");
  }

  /** Whether a broadcast has to arrive: also while it is reconnecting, which is when something gets lost. */
  get isExpected() { return this.state === "Connected" || this.state === "Reconnecting..."; }

  async start() {
    const stopped = this.stop(), turn = this.#turn;
    await stopped;
    if (turn !== this.#turn) return;
    const hub = this.#hub = this.#build();
    this.find(".refused").hidden = true;
    this.find(".gap").textContent = "";
    this.#show("Disconnected", "connecting");
    try {
      await hub.start();
      if (hub !== this.#hub) return;
      this.#show("Connected");
      await this.#ask();
    } catch (error) {
      if (hub !== this.#hub) return;
      this.#hub = undefined;
      this.#show("Connection Failed", error.message);
      await hub.stop();
      await this.#explain(error);
    }
  }

  async stop() {
    this.#turn += 1;
    const hub = this.#hub;
    this.#hub = undefined;
    if (hub) this.#show("Disconnected", "stopped");
    await hub?.stop();
  }

  /** Waits for a broadcast that began at this time. Returns when it has arrived, or whether it did not. */
  expect(timestamp, at) {
    this.counts.expect(timestamp, at);
    this.#showCounts();
  }
  giveUp(timestamp) {
    if (this.counts.giveUp(timestamp)) this.#log("A broadcast did not come");
    this.#showCounts();
  }

  #build() {
    const { transport, protocol, token } = this.settings();
    const { HubConnectionBuilder, HttpTransportType, LogLevel } = signalR;
    const options = transport === "auto" ? {} : { transport: HttpTransportType[transport === "direct" ? "WebSockets" : transport] };
    if (transport === "direct") options.skipNegotiation = true;
    if (token) options.accessTokenFactory = () => token;
    const policy = { nextRetryDelayInMilliseconds: ({ previousRetryCount: n }) => RETRIES[n] ?? RETRY_AGAIN_MS };
    const builder = new HubConnectionBuilder().withUrl(this.origin + HUB, options).withAutomaticReconnect(policy).configureLogging(LogLevel.None);
    if (protocol === "messagepack") builder.withHubProtocol(new signalR.protocols.msgpack.MessagePackHubProtocol());
    const hub = builder.build();
    hub.on("NavigationStateChanged", state => this.#held ? this.#held.push([state, performance.now()]) : this.#pushed(state, performance.now()));
    hub.on("ModelMappingChanged", mapping => this.#changed("Model mapping changed", mapping, mapping.virtualModelName));
    hub.on("ProviderHealthChanged", provider => this.#changed("Provider health changed", provider, provider.name));
    hub.onreconnecting(error => {
      if (hub !== this.#hub) return;
      this.#away = performance.now();
      this.#show("Reconnecting...", error?.message);
    });
    hub.onreconnected(() => {
      if (hub !== this.#hub) return;
      this.#show("Connected");
      this.#close().catch(error => this.#log(`The state could not be asked for: ${error.message}`));
    });
    hub.onclose(error => {
      if (hub !== this.#hub) return;
      this.#hub = undefined;
      this.#show("Disconnected", error?.message ?? "closed by the server");
    });
    return hub;
  }

  /** Asks for the state after a reconnect, and says what was missed meanwhile. */
  async #close() {
    const { version: before, missed } = this.counts, seconds = (performance.now() - this.#away) / 1000;
    const news = await this.#ask();
    const changes = news ? `version ${before} → ${this.counts.version}, ${news} change${news === 1 ? "" : "s"} caught up` : `nothing has changed (version ${before})`;
    this.find(".gap").textContent = `Gap closed: away for ${seconds.toFixed(1)} s; ${changes}${missed ? `; broadcasts missed: ${missed}` : ""}.`;
  }

  /** Asks for the state. Returns how many changes were not known. */
  async #ask() {
    const held = this.#held = [];
    let answer;
    try {
      answer = await this.#hub.invoke("RequestCurrentState");
      const news = this.counts.asked(answer);
      this.#log(`State asked for: version ${answer.version}`, answer);
      return news;
    } finally {
      if (held === this.#held) this.#held = undefined;
      for (const [state, at] of held) if (state.timestamp !== answer?.timestamp) this.#pushed(state, at);
      this.#showCounts();
    }
  }

  #pushed(state, at) {
    this.counts.state(state, at);
    this.#log(`Navigation state changed: version ${state.version}`, state);
    this.#showCounts();
  }
  #changed(what, value, name) {
    this.counts.change(what, value);
    this.#log(`${what}: ${name}, ${value.changeType ?? value.health}, version ${value.version}`, value);
    this.#showCounts();
  }

  #log(whatever, value) {
    const text = whatever.length > LONGEST_TEXT ? `${whatever.slice(0, LONGEST_TEXT)}…` : whatever;
    const item = document.createElement("li"), time = document.createElement("time");
    time.textContent = new Date().toLocaleTimeString();
    if (value) {
      const details = document.createElement("details"), summary = document.createElement("summary"), whole = document.createElement("pre");
      summary.append(time, text);
      const json = JSON.stringify(value, undefined, 1);
      whole.textContent = json.length > LONGEST_SHOWN ? `${json.slice(0, LONGEST_SHOWN)}…` : json;
      details.append(summary, whole);
      item.append(details);
    } else {
      item.append(time, text);
    }
    this.find("ol").prepend(item);
    this.trim();
  }
  /** Keeps as many messages as the page says. */
  trim() {
    const list = this.find("ol");
    while (list.children.length > this.settings().keep) {
      const hasFocus = list.lastChild.contains(document.activeElement);
      list.lastChild.remove();
      if (hasFocus) list.focus({ preventScroll: true });
    }
  }

  #show(state, note = "") {
    this.state = this.root.dataset.state = state;
    const status = this.find(".status");
    status.textContent = state;
    status.className = `status ${{ Connected: "connected", "Reconnecting...": "reconnecting" }[state] ?? "disconnected"}`;
    this.find(".note").textContent = note;
    this.find(".toggle").textContent = this.#hub ? "Stop" : "Start";
  }

  #showCounts() {
    for (const shown of this.root.querySelectorAll("[data-count]")) {
      const count = this.counts[shown.dataset.count];
      shown.textContent = count;
      shown.classList.toggle("wrong", count > 0 && shown.dataset.count !== "received");
    }
    const { last, median, largest } = figures(this.counts.latencies);
    if (last !== undefined) this.find(".figures").textContent = `${last.toFixed(1)} ms · median ${median.toFixed(1)} · largest ${largest.toFixed(1)}`;
  }

  /** Says why the instance cannot be used, and what to set. */
  async #explain(error) {
    const { text, setting } = await reason(this.origin, error);
    this.find(".refused p").textContent = text;
    this.find(".refused pre").textContent = setting;
    this.find(".refused").hidden = false;
  }
}

/** Why an instance could not be connected to, and the setting that lets this page in. */
async function reason(origin, error) {
  if (location.protocol === "https:" && origin.startsWith("http:")) return { text: "A page that came over https may not connect to http. Open this page over http, or name the https address.", setting: "" };
  if (await answers(origin, "cors")) {
    if (/\b401\b/.test(error)) return { text: "It wants a virtual key or a token: give one under Keys, or let everybody look.", setting: "Navigation__RequireVirtualKey=false" };
    return { text: "It lets this page in, but not to the hub with this transport and protocol. Which it speaks is set by", setting: "SignalR__Transports\nSignalR__SupportedProtocols" };
  }
  if (await answers(origin, "no-cors")) {
    return {
      text: `It answers, and keeps out pages of ${location.origin}. To let them in, set one of these there, or start it with --dev:`,
      setting: `Cors__AllowedOrigins=${location.origin}\n--Cors:AllowedOrigins=${location.origin}`,
    };
  }
  return { text: "Nothing answers there.", setting: "" };
}

async function answers(origin, mode) {
  try {
    await fetch(`${origin}/health/live`, { mode, cache: "no-store", credentials: "omit" });
    return true;
  } catch {
    return false;
  }
}
