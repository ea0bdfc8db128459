// The console: who is signed in, which view is shown, and how old what it shows is.
import { find } from "/session.js";
import { Actor } from "/console-act.js";
import { Charts } from "/console-charts.js";
import { Finder } from "/console-find.js";
import { Fleet } from "/console-fleet.js";
import { Link } from "/console-link.js";
import { clock, heading, lasting, write } from "/console-parts.js";

const VIEWS = ["fleet", "connections", "act"];
const STATUS = { connecting: ["connecting", ""], live: ["live", "connected"], old: ["no news", "reconnecting"], away: ["reconnecting", "reconnecting"] };

let who, snapshot, isOld = false, hasEntered = false;

const link = new Link({ signedIn, needsKey, isOff, snapshot: received, state: status });
const invoke = (method, ...args) => link.invoke(method, ...args);
const actor = new Actor({ invoke, show: () => go("act"), done: () => finder.again() });
const fleet = new Fleet({
  drain: instance => actor.preview({ kind: "drain", instance }),
  look: (by, value) => { go("connections"); finder.look(by, value); },
});
const charts = new Charts(find("#charts"), minutes => link.invoke("History", minutes));
const finder = new Finder({ invoke, act: act => actor.preview(act), compose: (kind, fields) => actor.compose(kind, fields) });

// --- who is signed in

function signedIn(session) {
  who = session;
  hasEntered = !find("#enter").hidden;
  find("#open").hidden = !who.isOpen;
  find("#leave").hidden = who.isOpen;
  for (const id of ["#enter", "#closed", "#waiting"]) find(id).hidden = true;
  find("#tools").hidden = false;
  find("#key").value = "";
  finder.hubs(who.hubs);
  actor.signedIn(who);
  charts.again();
  show();
}

/** Nothing of what was seen stays for somebody without a key. */
function forget() {
  who = snapshot = undefined;
  isOld = hasEntered = false;
  for (const part of [actor, finder, charts, fleet]) part.forget();
  for (const id of [...VIEWS.map(view => `#${view}`), "#tools", "#open", "#waiting", "#enter", "#closed"]) find(id).hidden = true;
}

function needsKey(why) {
  forget();
  find("#enter").hidden = false;
  find("#enter button").disabled = false;
  write(find("#refused"), why);
  find("#key").focus();
}

function isOff(why, forWantOfKey) {
  forget();
  find("#key").value = "";
  find("#closed-cure").hidden = !forWantOfKey;
  find("#closed").hidden = false;
  write(find("#closed-why"), why);
}

find("#enter").onsubmit = event => {
  event.preventDefault();
  write(find("#refused"), "");
  find("#enter button").disabled = true;
  link.start(find("#key").value.trim());
};
find("#leave").onclick = () => location.reload();
find("#look-again").onclick = () => location.reload();

// --- what is shown

function received(news) {
  snapshot = news;
  actor.fleet(snapshot.instances);
  show();
  // The form that had the focus is gone.
  if (hasEntered) heading()?.focus({ preventScroll: true });
  hasEntered = false;
  charts.refresh();
  finder.refresh();
}

function go(view) {
  location.hash = `#${view}`;
  show();
}

function show() {
  const asked = location.hash.slice(1), view = VIEWS.includes(asked) ? asked : "fleet";
  for (const name of VIEWS) find(`#${name}`).hidden = !who || !snapshot || name !== view;
  find("#waiting").hidden = Boolean(snapshot) || !who;
  for (const anchor of document.querySelectorAll(".tools a")) {
    if (anchor.hash === `#${view}`) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  if (who && snapshot && view === "fleet") fleet.show(snapshot, who);
  return view;
}
addEventListener("hashchange", () => {
  const view = show();
  charts.draw();
  if (!document.querySelector("dialog[open]") && !find(`#${view}`).contains(document.activeElement)) find(`#${view}-title`).focus({ preventScroll: true });
});

function status(state, why) {
  const [text, className] = STATUS[state];
  const shown = find("#status");
  write(shown, text);
  shown.className = `status ${className}`;
  isOld = state !== "live";
  const trying = why ? `${why} Trying again…` : "";
  if (!snapshot) write(find("#waiting"), trying || "Connecting to this instance…");
  if (!find("#enter").hidden) write(find("#refused"), trying);
  age();
}

/** Says of when the figures are, and how old, where they are. */
function age() {
  if (!snapshot) return write(find("#fresh"), "");
  find("#page").classList.toggle("old", isOld);
  const by = snapshot.instances.find(({ id }) => id === snapshot.by);
  const old = isOld ? `, ${lasting(link.age)} old` : by ? `, by ${by.name || by.id}` : "";
  write(find("#fresh"), `as of ${clock(snapshot.at)}${old}`);
}
setInterval(age, 1000);
// Whoever went elsewhere has left; a page that the browser had kept comes back without its key.
addEventListener("pageshow", ({ persisted }) => { if (persisted) location.reload(); });

link.start(null);
