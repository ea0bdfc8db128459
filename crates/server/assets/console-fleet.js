// The fleet at a glance: figures, instances, what the connections are, what went wrong, Redis and the database.
import { element, find } from "/session.js";
import {
  PROTOCOLS, TRANSPORTS, Table, bytes, clock, count, facts, largest, lasting, many, milliseconds, plain, rate, spelt, state, sum, write, writeTwo,
} from "/console-parts.js";

const TONES = { up: "good", draining: "wait", drained: "wait", silent: "bad", gone: "soft" };
// Notes that are shown; more of them have nothing more to say.
const MOST_NOTES = 6;
const isThere = ({ state }) => state !== "gone" && state !== "silent";

/** `drain(instance)` is asked for by the button of an instance, `look(by, value)` by the name of a user or an address. */
export class Fleet {
  constructor({ drain, look }) {
    this.drain = drain;
    this.tiles = new Tiles(find("#figures"));
    this.instances = new Table(find("#instances"), this.#columns(), ({ id }) => id);
    const [first, second, third] = ["", "", ""].map(() => find("#breakdowns").appendChild(element("div")));
    this.transports = new Breakdown(first, "By transport", "Transport");
    this.protocols = new Breakdown(first, "By protocol", "Protocol");
    this.hubs = new Breakdown(first, "By hub", "Hub");
    this.redis = new Facts(first, "Redis");
    this.database = new Facts(first, "Database");
    this.users = new Breakdown(second, "Users", "User", { last: ON, choose: name => look("user", name) });
    this.addresses = new Breakdown(third, "Addresses", "Address", { last: ON, choose: name => look("address", name) });
    this.refusals = new Breakdown(third, "Refused", "Reason", { note: "since the start" });
    this.dropped = new Breakdown(third, "Dropped between instances", "Reason", { note: "since the start" });
    this.closed = new Breakdown(third, "Closed", "Reason", { note: "since the start" });
  }

  /** `who` may do what, and shows what there is. */
  show(snapshot, who) {
    this.who = who;
    this.at = snapshot.at;
    const there = snapshot.instances.filter(isThere);
    this.#notes(snapshot);
    this.tiles.show(snapshot, there);
    this.instances.show(snapshot.instances);
    this.#breakdowns(snapshot.total, snapshot);
    this.#redis(snapshot, there);
    const databases = there.map(({ figures }) => figures?.database).filter(Boolean);
    this.database.show([
      ["Connected", ofAll(databases)],
      ["Why not", databases.find(({ why }) => why)?.why],
    ]);
  }

  /** Leaves nothing of what was shown. */
  forget() {
    this.who = undefined;
    find("#notes").replaceChildren();
    this.tiles.list.replaceChildren();
    this.instances.show([]);
    for (const one of [this.transports, this.protocols, this.hubs, this.users, this.addresses, this.refusals, this.dropped, this.closed]) one.show([], "");
    for (const one of [this.redis, this.database]) one.show([]);
  }

  #columns() {
    const figure = (head, of, text = count) => ({ head, number: true, show: (cell, { figures }) => write(cell, figures ? text(of(figures)) : "–") });
    return [
      { head: "Instance", show: (cell, { name, id }) => writeTwo(cell, name || id, name ? id : "") },
      { head: "State", show: (cell, { state: is, heardAt }) => state(cell, isThere({ state: is }) ? is : `${is}, ${lasting(this.at - heardAt)}`, TONES[is] ?? "soft") },
      figure("Connections", ({ connections }) => connections),
      figure("In/s", figures => figures.messagesInPerSecond, rate),
      figure("Out/s", figures => figures.messagesOutPerSecond, rate),
      figure("Call p50", ({ calls }) => calls?.p50Ms, ms => milliseconds(ms, "≤ ")),
      figure("Call p99", ({ calls }) => calls?.p99Ms, ms => milliseconds(ms, "≤ ")),
      figure("Delivery p99", ({ deliveries }) => deliveries?.p99Ms, ms => milliseconds(ms, "≤ ")),
      { head: "From here", number: true, show: (cell, { id, roundTripMs, state: is }) => write(cell, id === this.who?.instance.id ? "here" : isThere({ state: is }) ? milliseconds(roundTripMs) : "–") },
      { head: "Redis", number: true, show: (cell, { figures }) => write(cell, ofRedis(figures?.redis)) },
      figure("Outbox", ({ redis }) => redis?.outboxMessages),
      figure("Slow", ({ slowClients }) => slowClients),
      figure("Dropped", ({ dropped }) => total(dropped)),
      figure("Refused", ({ refusals }) => total(refusals)),
      { head: "Up for", number: true, show: (cell, { startedAt, heardAt, state: is }) => write(cell, startedAt ? lasting((isThere({ state: is }) ? this.at : heardAt) - startedAt) : "–") },
      { head: "Version", className: "after-number", show: (cell, { version }) => write(cell, version ?? "–") },
      { head: "Act", isHidden: true, show: (cell, instance, row) => this.#drainButton(cell, instance, row) },
    ];
  }

  #drainButton(cell, { name, id, state: is }, row) {
    if (!cell.firstElementChild) {
      const button = element("button", "quiet", "Drain…");
      button.type = "button";
      button.onclick = () => this.drain(row.item.id);
      cell.append(button);
    }
    const button = cell.firstElementChild;
    button.setAttribute("aria-label", `Drain ${plain(name ? `${name} (${id})` : id)}…`);
    button.hidden = is !== "up" || this.who?.scope !== "full";
    row.className = isThere({ state: is }) ? "" : "gone";
  }

  /** What somebody who looks should see first, as sentences. */
  #notes({ instances, isAlone, at, redis }) {
    const notes = [];
    for (const { name, id, state: is, heardAt, figures } of instances) {
      const instance = name || id;
      if (is === "silent") notes.push(`${instance} has not answered for ${lasting(at - heardAt)}: its figures are those of ${clock(heardAt)}.`);
      if (is === "gone") notes.push(`${instance} is gone since ${clock(heardAt)}, and so is what it had counted.`);
      if (is === "draining") notes.push(`${instance} is draining: it takes no new connections, ${many(figures?.connections ?? 0, "connection")} left.`);
      if (!isThere({ state: is }) || !figures) continue;
      if (figures.redis?.status === "disconnected") notes.push(`${instance} has no link to Redis${because(figures.redis.why)}: ${many(figures.redis.outboxMessages, "message")} wait in its outbox.`);
      if (figures.database?.status === "disconnected") notes.push(`${instance} cannot use the database${because(figures.database.why)}.`);
    }
    if (redis?.why) notes.push(`Redis does not say how it is: ${redis.why}`);
    if (isAlone && instances.length === 1) notes.push("This instance has no Redis, so it is all that is seen here.");
    if (notes.length > MOST_NOTES) notes.splice(MOST_NOTES - 1, Infinity, `And ${notes.length - MOST_NOTES + 1} more like these: see the table of instances.`);
    const place = find("#notes");
    while (place.children.length > notes.length) place.lastChild.remove();
    while (place.children.length < notes.length) place.append(element("p"));
    notes.forEach((note, n) => write(place.children[n], note));
  }

  #breakdowns(all, { users, usersMore, addresses, addressesMore }) {
    const named = (counts, names) => Object.entries(counts ?? {}).map(([name, number]) => ({ name: names[name] ?? name, count: number }));
    this.transports.show(named(all.byTransport, TRANSPORTS));
    this.protocols.show(named(all.byProtocol, PROTOCOLS));
    this.hubs.show((all.byHub ?? []).map(({ hub, connections }) => ({ name: hub, count: connections })));
    const those = list => (list ?? []).map(({ name, connections, instances }) => ({ name, count: connections, instances }));
    const first = (list, isMore) => isMore ? `the ${list.length} with most connections` : "";
    this.users.show(those(users), first(users, usersMore));
    this.addresses.show(those(addresses), first(addresses, addressesMore));
    const reasons = list => (list ?? []).filter(({ count: number }) => number > 0).map(({ reason, count: number }) => ({ name: spelt(reason), count: number }));
    this.refusals.show(reasons(all.refusals));
    this.dropped.show(reasons(all.dropped));
    this.closed.show(reasons(all.closed));
  }

  #redis({ redis, isAlone }, there) {
    const links = there.map(({ figures }) => figures?.redis).filter(Boolean);
    const limit = redis?.memoryLimitBytes ? `of ${bytes(redis.memoryLimitBytes)}` : "";
    this.redis.show(!redis && isAlone ? [["Connected", "not configured"]] : [
      ["Connected", ofAll(links)],
      ["Why not", links.find(({ why }) => why)?.why],
      ["Role", redis?.role, redis?.version ? `Redis ${redis.version}` : ""],
      ["Memory", redis && bytes(redis.memoryBytes), limit],
      ["Clients", redis && count(redis.clients)],
      ["Commands", Number.isFinite(redis?.commandsPerSecond) ? `${rate(redis.commandsPerSecond)} /s` : ""],
      ["Round trip", milliseconds(known(largest(links, ({ roundTripMs }) => roundTripMs))), "slowest"],
      ["Outbox", many(sum(links, link => link.outboxMessages), "message"), bytes(sum(links, link => link.outboxBytes))],
      ["Reconnects", count(sum(links, link => link.reconnects))],
    ]);
  }
}

/** How long messages take to other instances; while none are sent, how long these take to answer. */
function betweenInstances(deliveries, isAlone, slowest) {
  if (isAlone) return ["Between instances", "–", "", "this instance is alone"];
  if (!Number.isFinite(deliveries?.p50Ms)) return ["Between instances", milliseconds(slowest), "", "there and back, the slowest"];
  return ["Deliveries, p50", milliseconds(deliveries.p50Ms, "≤ "), "", `p99 ${milliseconds(deliveries.p99Ms, "≤ ")}, between instances`];
}

const because = why => why ? ` (${why})` : "";
const known = value => Number.isFinite(value) ? value : null;
const total = list => sum(list ?? [], item => item.count);
/** "3 of 3 instances" that have what they should. */
const ofAll = links => links.length ? `${links.filter(({ status }) => status !== "disconnected").length} of ${many(links.length, "instance")}` : "–";
function ofRedis(redis) {
  if (!redis || redis.status === "alone") return "–";
  return redis.status === "connected" ? milliseconds(redis.roundTripMs) : "no link";
}

/** The figures at the top: `[term, value, unit, below, tone]`. */
class Tiles {
  constructor(list) { this.list = list; }

  show({ total: all, isAlone, redis }, there) {
    const links = there.map(({ figures }) => figures?.redis).filter(Boolean);
    const databases = there.map(({ figures }) => figures?.database).filter(Boolean);
    const lost = list => list.filter(({ status }) => status === "disconnected").length;
    const most = list => [...(list ?? [])].sort((a, b) => b.count - a.count).find(item => item.count);
    const [refused, dropped] = [total(all.refusals), total(all.dropped)];
    const slowest = known(largest(there, ({ roundTripMs }) => roundTripMs));
    this.#write([
      ["Connections", count(all.connections), "", `on ${many(there.length, "instance")}${all.consoleConnections ? `, ${many(all.consoleConnections, "console")}` : ""}`],
      ["Messages in", rate(all.messagesInPerSecond), "/s", `${rate(all.calls?.perSecond)} calls/s`],
      ["Messages out", rate(all.messagesOutPerSecond), "/s", "to clients"],
      ["Calls, p50", milliseconds(all.calls?.p50Ms, "≤ "), "", `p99 ${milliseconds(all.calls?.p99Ms, "≤ ")}`],
      betweenInstances(all.deliveries, isAlone, slowest),
      ["Slow clients", count(all.slowClients), "", "closed since the start", all.slowClients ? "wait" : ""],
      ["Refused", count(refused), "", refused ? `mostly ${spelt(most(all.refusals).reason)}` : "since the start"],
      ["Dropped", count(dropped), "", dropped ? `mostly ${spelt(most(all.dropped).reason)}` : "between instances", dropped ? "bad" : ""],
      ["Redis", isAlone && !redis ? "none" : lost(links) ? "no link" : "connected", "", isAlone && !redis ? "not configured" : lost(links) ? `on ${many(lost(links), "instance")}` : redis?.memoryBytes ? `${bytes(redis.memoryBytes)}, ${redis.role ?? ""}` : "", lost(links) ? "bad" : ""],
      ["Database", lost(databases) ? "away" : databases.length ? "connected" : "–", "", lost(databases) ? `on ${many(lost(databases), "instance")}` : `on ${many(databases.length, "instance")}`, lost(databases) ? "bad" : ""],
    ]);
  }

  #write(tiles) {
    while (this.list.children.length < tiles.length) {
      const tile = element("div");
      tile.append(element("dt"), element("dd"), element("dd", "soft"));
      this.list.append(tile);
    }
    tiles.forEach(([term, value, unit, below, tone = ""], n) => {
      const [head, figure, rest] = this.list.children[n].children;
      this.list.children[n].className = tone;
      write(head, term);
      writeTwo(figure, value, value === "–" ? "" : unit);
      write(rest, below);
    });
  }
}

const ON = { head: "Instances", number: true, className: "on", show: (cell, { instances }) => write(cell, count(instances)) };
const SHARE = { head: "Share", className: "share", show: (cell, { share }) => writeShare(cell, share) };
function writeShare(cell, share) {
  if (!cell.firstElementChild) cell.append(element("span", "bar-of"), element("span", "visually-hidden"));
  cell.firstElementChild.style.width = `${share}%`;
  cell.firstElementChild.hidden = share === 0;
  write(cell.lastElementChild, `${Math.round(share)} %`);
}

/** A name, and what is done with it if it can be chosen. Rows are kept by their names, so it stays the same. */
function writeName(cell, name, choose) {
  cell.title = plain(name);
  if (!choose) return write(cell, name);
  if (cell.firstElementChild) return undefined;
  const button = element("button", "link", plain(name));
  button.type = "button";
  button.onclick = () => choose(name);
  return cell.append(button);
}

/** How many of each, in a table with bars or with another column `last`, whose names can be chosen. It is not there while it has nothing to show. */
class Breakdown {
  constructor(place, title, head, { note = "", last = SHARE, choose } = {}) {
    Object.assign(this, { note, card: element("section", "card"), table: element("table") });
    this.caption = this.table.createCaption();
    this.title = title;
    this.table.createTHead();
    this.table.createTBody();
    this.rows = new Table(this.table, [
      { head, show: (cell, { name }) => writeName(cell, name, choose) },
      { head: last === ON ? "Connections" : "Number", number: true, className: "count", show: (cell, { count: number }) => write(cell, count(number)) },
      last,
    ], ({ name }) => name);
    this.card.append(this.table);
    place.append(this.card);
  }

  show(items, note = this.note) {
    const all = sum(items, item => item.count) || 1;
    const sorted = items.map(item => ({ ...item, share: 100 * item.count / all })).sort((a, b) => b.count - a.count);
    this.card.hidden = sorted.length === 0;
    writeTwo(this.caption, this.title, note);
    this.rows.show(sorted);
  }
}

/** A card with terms and what they stand for. */
class Facts {
  constructor(place, title) {
    const card = element("section", "card");
    this.list = element("dl", "facts");
    card.append(element("h3", "", title), this.list);
    place.append(card);
  }
  show(rows) { facts(this.list, rows); }
}
