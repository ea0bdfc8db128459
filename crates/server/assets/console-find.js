// Finding a connection, there or gone, and what happened to it.
import { element, find } from "/session.js";
import { PROTOCOLS, TRANSPORTS, Table, clock, exactly, facts, give, keepingFocus, lasting, many, options, plain, spelt, state, taken, unheard, write, writeTwo } from "/console-parts.js";

const LIMIT = 100;
const AGAIN_MS = 5000;
const LIST = new Intl.ListFormat("en-GB", { type: "conjunction" });
/** Whether it never was a connection: its request or its handshake was refused. */
const isRefused = ({ endedAt, transport }) => Boolean(endedAt) && !transport;
const LABELS = { user: "User", id: "Connection id", group: "Group", address: "Address" };

/** `invoke(method, ...args)` asks the hub, `act(act)` begins an act, which somebody has to confirm. */
export class Finder {
  #isAsking = false;
  constructor({ invoke, act, compose }) {
    Object.assign(this, { invoke, act, compose });
    this.table = new Table(find("#found-table"), this.#columns(), ({ id, connectedAt }) => `${id} ${connectedAt}`);
    find("#find").onsubmit = event => { event.preventDefault(); this.#find(); };
    find("#find-by").onchange = () => write(find("#find-label"), LABELS[find("#find-by").value]);
  }

  /** Hubs that connections may be of. */
  hubs(names) { options(find("#find-hub"), [["", "any"], ...names.map(name => [name, name])]); }

  /** Looks for something that was chosen elsewhere. */
  look(by, value) {
    find("#find-by").value = by;
    find("#find-by").onchange();
    give(find("#find-value"), value);
    find("#find-hub").value = "";
    this.#find();
  }

  /** Asks the same again, as something has been done; what is open stays open. */
  async again() {
    if (!this.query || find("#connections").hidden) return;
    try {
      this.#list(this.query, await this.invoke("Find", this.query, LIMIT));
      if (this.open) await this.#timeline();
      // What was done may take a moment to be seen.
      this.asked = -Infinity;
    } catch {
      // What is shown says of when it is.
    }
  }

  async #find() {
    const by = find("#find-by").value, value = taken(find("#find-value"));
    const query = { by, value: by === "id" || by === "address" ? value.trim() : value, hub: find("#find-hub").value || null };
    write(find("#find-error"), "");
    try {
      const found = await this.invoke("Find", query, LIMIT);
      this.query = query;
      this.open = undefined;
      this.#list(query, found);
      find("#found-title").focus();
      if (found.connections.length === 1) await this.#open(found.connections[0]);
      else this.#close();
    } catch (error) {
      write(find("#find-error"), error.message);
    }
  }

  #list(query, { connections, isMore, silent }) {
    this.found = connections;
    this.open = connections.find(({ id }) => id === this.open?.id) ?? this.open;
    find("#found").hidden = false;
    find("#find-hint").hidden = true;
    const there = connections.filter(({ endedAt }) => !endedAt).length, refused = connections.filter(isRefused).length, ended = connections.length - there - refused;
    const kinds = [many(there, "connection"), ended && `${ended} that ended`, refused && `${refused} refused`].filter(Boolean);
    const counted = connections.length === 0 ? `Nothing of ${query.value}` : LIST.format(kinds);
    write(find("#found-title"), `${counted}, as of ${clock(Date.now())}`);
    const nothing = query.by === "group" ? "Only connections that are there now are found by their group." : "One that ended is found as long as its instance remembers it, and has not gone itself.";
    const rest = [isMore && `These are the newest ${connections.length}; look for something narrower to see others.`, unheard(silent), connections.length === 0 && nothing];
    write(find("#found-note"), rest.filter(Boolean).join(" "));
    find("#found .scroll").hidden = connections.length === 0;
    this.table.show(connections);
  }

  #columns() {
    return [
      { head: "Connection", show: (cell, { id }, row) => this.#openButton(cell, id, row) },
      { head: "State", show: (cell, connection) => showState(cell, connection) },
      { head: "Connected", number: true, show: (cell, connection) => write(cell, connection.connectedAt && !isRefused(connection) ? clock(connection.connectedAt) : "–") },
      { head: "Ended", number: true, show: (cell, { endedAt }) => write(cell, endedAt ? clock(endedAt) : "–") },
      { head: "User", className: "after-number", show: (cell, { user }) => write(cell, user ?? "–") },
      { head: "Instance", show: (cell, { instance }) => write(cell, instance.name || instance.id) },
      { head: "Hub", show: (cell, { hub, isConsole }) => writeTwo(cell, hub ?? "–", isConsole ? "console" : "") },
      { head: "Over", show: (cell, { transport }) => write(cell, TRANSPORTS[transport] ?? transport ?? "–") },
      { head: "Address", show: (cell, { address }) => write(cell, address ?? "–") },
    ];
  }

  #openButton(cell, id, row) {
    if (!cell.firstElementChild) {
      const button = element("button", "link id");
      button.type = "button";
      button.onclick = async () => { await this.#open(row.item); find("#timeline-title").focus(); };
      cell.append(button);
    }
    write(cell.firstElementChild, id);
    cell.title = plain(id);
    if (id === this.open?.id) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }

  async #open(connection) {
    if (connection.id !== this.open?.id) find("#timeline").hidden = true;
    this.open = connection;
    this.isGoingOn = false;
    this.table.show(this.found);
    await this.#timeline();
  }
  #close() {
    this.open = undefined;
    find("#timeline").hidden = true;
  }

  /** The timeline of one that is connected goes on: it is asked for again, as long as somebody looks. */
  refresh() {
    const isOver = !this.open || !this.isGoingOn || performance.now() - this.asked < AGAIN_MS;
    if (!isOver && !this.#isAsking && !find("#connections").hidden) this.#timeline();
  }

  async #timeline() {
    const connection = this.open;
    this.asked = performance.now();
    this.#isAsking = true;
    try {
      const timeline = await this.invoke("Timeline", connection.id);
      if (connection.id === this.open?.id) this.#showTimeline(this.open, timeline);
      write(find("#find-error"), "");
    } catch (error) {
      write(find("#find-error"), error.message);
    } finally {
      this.#isAsking = false;
    }
  }

  #showTimeline(connection, { entries, isConnected, isOn, silent, ...of }) {
    if (this.isGoingOn && !isConnected && !connection.endedAt) this.again();
    this.isGoingOn = isConnected;
    find("#timeline").hidden = false;
    const { user, address, hub } = { ...connection, ...of };
    facts(find("#timeline-facts"), [
      ["Connection", connection.id], ["User", user ?? "not signed in"], ["Hub", hub],
      ["Over", [TRANSPORTS[connection.transport], PROTOCOLS[connection.protocol]].filter(Boolean).join(", ")], ["Address", address],
      ["State", isConnected ? "connected" : connection.endedAt ? `${isRefused(connection) ? "refused" : "ended"} at ${clock(connection.endedAt)}` : "ended"],
    ]);
    const list = find("#timeline-events");
    while (list.children.length > entries.length) list.lastChild.remove();
    entries.forEach((entry, n) => showEntry(list.children[n] ?? list.appendChild(element("li")), entry, entries[n - 1]));
    const notes = [
      !isOn && "This instance keeps no timelines (Console:TimelineBytes is 0).",
      isOn && entries.length === 0 && "Nothing is remembered of it: the oldest is forgotten first (Console:TimelineBytes), and an instance that has gone took its own with it.",
      unheard(silent),
    ];
    write(find("#timeline-note"), notes.filter(Boolean).join(" "));
    this.#acts(connection, user, isConnected);
  }

  #acts({ id, isConsole, hub }, user, isConnected) {
    const wanted = [
      isConnected && ["Close it…", () => this.act({ kind: "close", target: { kind: "connection", id }, hub: null })],
      user && ["Close all of the user…", () => this.act({ kind: "close", target: { kind: "user", id: user }, hub: null })],
      user && ["Ban the user…", () => this.compose("ban", { user })],
      isConnected && !isConsole && ["Send to it…", () => this.compose("send", { target: "connection", id, hub })],
    ].filter(Boolean);
    const place = find("#timeline-acts"), labels = wanted.map(([label]) => label).join();
    wanted.forEach(([, run], n) => { if (place.dataset.labels === labels) place.children[n].onclick = run; });
    if (place.dataset.labels === labels) return;
    place.dataset.labels = labels;
    const made = wanted.map(([label, run]) => {
      const button = element("button", "quiet", label);
      button.type = "button";
      button.onclick = run;
      return button;
    });
    keepingFocus(place, () => place.replaceChildren(...made), () => find("#timeline-title"));
  }

  forget() {
    this.#close();
    this.query = undefined;
    this.isGoingOn = false;
    this.found = [];
    this.table.show([]);
    find("#found").hidden = true;
    find("#find-hint").hidden = false;
    find("#find").reset();
    find("#find-value").given = undefined;
    find("#timeline-acts").dataset.labels = "";
    for (const id of ["facts", "events", "note", "acts"]) find(`#timeline-${id}`).replaceChildren();
    for (const id of ["#found-title", "#found-note", "#find-error"]) find(id).replaceChildren();
  }
}

function showState(cell, connection) {
  const { endedAt, reason } = connection, why = spelt(reason ?? "ended");
  if (isRefused(connection)) return state(cell, why.startsWith("refused") ? why : `refused: ${why}`, "bad");
  return state(cell, endedAt ? why : "connected", endedAt ? "soft" : "good");
}

const TONES = { connected: "good", resumed: "good", slow: "wait", callFailed: "wait", lost: "bad", refused: "bad" };

function showEntry(item, { at, instance, kind, words, detail, isProblem }, before) {
  if (item.children.length === 0) item.append(element("time"), element("div"));
  item.className = isProblem ? TONES[kind] === "wait" ? "wait" : "bad" : TONES[kind] === "good" ? "good" : "";
  const [time, text] = item.children;
  write(time, exactly(at));
  time.dateTime = new Date(at).toISOString();
  const later = before ? `${at - before.at < 1000 ? `${at - before.at} ms` : lasting(at - before.at)} later` : "";
  writeTwo(text, words, [instance?.name || instance?.id, later, detail && !words.includes(detail) ? detail : ""].filter(Boolean).join(" · "));
}
