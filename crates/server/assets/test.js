import { Instance } from "/test-instance.js";

const STORED = "hubline-test";
const MOST_INSTANCES = 20, MOST_KEPT = 500;
// What has not come by then is missed, until it comes.
const PATIENCE_MS = 5000;
// What is sent within 25 ms is sent as one state.
const APART_MS = 50;

const find = selector => document.querySelector(selector);
const instances = [];
let sent = 0;

function stored() {
  try { return JSON.parse(localStorage.getItem(STORED)) ?? {}; } catch { return {}; }
}
function store() {
  const { transport, protocol, keep } = settings();
  try { localStorage.setItem(STORED, JSON.stringify({ instances: instances.map(({ origin }) => origin), transport, protocol, keep })); } catch { /* then it is asked for again */ }
}

function settings() {
  const keep = Math.min(MOST_KEPT, Math.max(1, Math.trunc(find("#keep").valueAsNumber) || 10));
  return { transport: find("#transport").value, protocol: find("#protocol").value, keep, token: find("#token").value.trim() };
}

/** The origin that somebody names. */
function originOf(text) {
  let url;
  try { url = new URL(text); } catch { throw new Error(`${text} is no address: write it as http://localhost:5001`); }
  if (!/^https?:$/.test(url.protocol)) throw new Error(`${text}: an instance has an http or https address`);
  if (url.username || url.password) throw new Error("An address has no user and no password");
  return url.origin;
}

function add(text) {
  const origin = originOf(text);
  if (instances.some(instance => instance.origin === origin)) throw new Error(`${origin} is there already`);
  if (instances.length === MOST_INSTANCES) throw new Error(`There may be ${MOST_INSTANCES} instances; remove one first`);
  const instance = new Instance(origin, settings, { broadcast, remove });
  instances.push(instance);
  find("#instances").append(instance.root);
  instance.start();
}

function remove(instance) {
  const at = instances.indexOf(instance);
  instances.splice(at, 1);
  instance.root.remove();
  instance.stop();
  changed();
  // What had the focus is gone.
  (instances[at] ?? instances[at - 1])?.root.querySelector(".remove").focus();
  if (!instances.length) find("#address").focus();
}

/** The instances are others: remembered, and the next address is proposed. */
function changed() {
  store();
  find("#none").hidden = instances.length > 0;
  const last = new URL(instances.at(-1)?.origin ?? location.origin);
  if (last.port) last.port = Number(last.port) + 1;
  find("#address").value = last.port && !instances.some(({ origin }) => origin === last.origin) ? last.origin : "";
}

async function broadcast(from) {
  const tell = text => { find("#told").textContent = text; };
  if (find("#broadcast").ariaDisabled === "true") return undefined;
  if (!from) return tell("No instance is connected.");
  const key = find("#admin-key").value.trim(), began = performance.now(), expected = instances.filter(({ isExpected }) => isExpected);
  buttons(true);
  try {
    const path = key ? "/api/admin/trigger-navigation-update" : "/api/test/trigger-navigation-update";
    const response = await fetch(from.origin + path, { method: "POST", headers: key ? { Authorization: `Bearer ${key}` } : {} });
    if (!response.ok) return tell(await refusal(from, response));
    const { timestamp, instances: taken } = await response.json();
    if (!Number.isFinite(timestamp) || !Number.isInteger(taken)) return tell(`${from.origin} answers, and is no Hubline.`);
    sent += 1;
    for (const instance of expected) instance.expect(timestamp, began);
    setTimeout(() => { for (const instance of expected) instance.giveUp(timestamp); }, PATIENCE_MS);
    tell(`Broadcast ${sent}, from ${from.origin}: ${taken} instance${taken === 1 ? " sends" : "s send"} it, ${expected.length} connected here.`);
  } catch {
    tell(`${from.origin} took no broadcast: it does not answer, or refuses pages of ${location.origin} (Cors:AllowedOrigins).`);
  } finally {
    setTimeout(() => buttons(false), APART_MS);
  }
}

async function refusal({ origin }, response) {
  if (response.status === 404) return `${origin} runs in Production, where a broadcast needs an admin key: give it under Keys.`;
  const { detail } = await response.json().catch(() => ({})) ?? {};
  return `${origin} took no broadcast: ${detail ?? `status ${response.status}`}.`;
}

function buttons(areDisabled) {
  // They keep the focus meanwhile, which buttons that are disabled would lose.
  for (const button of document.querySelectorAll("#broadcast, .from")) button.ariaDisabled = areDisabled;
}

const reconnectAll = () => Promise.all(instances.map(instance => instance.start()));

find("#add").onsubmit = event => {
  event.preventDefault();
  find("#problem").textContent = "";
  try {
    add(find("#address").value.trim());
    changed();
  } catch (error) { find("#problem").textContent = error.message; }
};
find("#broadcast").onclick = () => broadcast(instances.find(({ state }) => state === "Connected"));
find("#reconnect").onclick = reconnectAll;
for (const id of ["#transport", "#protocol", "#token"]) find(id).onchange = () => { store(); reconnectAll(); };
find("#keep").onchange = () => {
  find("#keep").value = settings().keep;
  for (const instance of instances) instance.trim();
  store();
};

const known = stored();
for (const name of ["transport", "protocol"]) if ([...find(`#${name}`).options].some(({ value }) => value === known[name])) find(`#${name}`).value = known[name];
if (Number.isInteger(known.keep)) find("#keep").value = known.keep;
const listed = Array.isArray(known.instances) && known.instances.length ? known.instances : [location.origin];
// What another version of this page has stored may be anything.
for (const origin of listed) try { add(String(origin)); } catch { /* no address */ }
changed();
