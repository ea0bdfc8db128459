// Who uses a page, on which instance, and the connection to a hub.
const STORED = "hubline-session";
// After these milliseconds each; then the page offers to connect again.
const RETRIES = [0, 500, 1000, 2000, 5000, 10000, 10000, 10000];

export const find = selector => document.querySelector(selector);

/** The person who has signed in, in this tab: `{ user, token }`, without a token for whoever came without. */
function stored() {
  try { return JSON.parse(sessionStorage.getItem(STORED)) ?? {}; } catch { return {}; }
}

async function tokenFor(user, roles) {
  const response = await fetch("/dev/token", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ user, roles }),
  });
  if (response.status === 404) throw new Error("This server issues no tokens, as it does not run in Development (hubline serve --dev). Bring a token of your own, or come without one.");
  if (!response.ok) throw new Error((await response.text()).trim() || `The server answered ${response.status}.`);
  return (await response.json()).token;
}

/** The user that a token names, for people to read; the server decides by the token itself. */
function userOf(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), c => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return claims.sub ?? claims.nameid ?? "";
  } catch { return ""; }
}

/**
 * Shows the sign-in until somebody has, then calls `enter({ user, token, origin })` on each sign-in and `leave()` when it ends;
 * `again()` when somebody wants a connection in the place of one that is gone.
 */
export function signIn(enter, leave, again) {
  const entrance = find("#sign-in"), form = find("#sign-in form"), page = find("#page"), me = find(".me"), error = find("#sign-in .error");
  const instance = find("#instance");
  instance.value = location.origin;

  async function begin(session) {
    sessionStorage.setItem(STORED, JSON.stringify(session));
    const hasFocus = form.contains(document.activeElement);
    entrance.hidden = true;
    page.hidden = me.hidden = false;
    if (hasFocus) [...page.querySelectorAll("input, button")].find(one => one.checkVisibility())?.focus();
    find(".who").textContent = session.user || "anonymous";
    await enter({ ...session, origin: instance.value.trim().replace(/\/+$/, "") || location.origin });
  }
  async function attempt(makeSession) {
    error.textContent = "";
    try { await begin(await makeSession()); } catch (problem) { error.textContent = problem.message; }
  }

  form.onsubmit = event => {
    event.preventDefault();
    const user = find("#user").value.trim(), role = find("#role").value, token = find("#token").value.trim();
    attempt(async () => {
      if (token) return { user: userOf(token), token };
      if (!user) throw new Error("Say who you are.");
      return { user, token: await tokenFor(user, role ? [role] : []) };
    });
  };
  find("#anonymous").onclick = () => attempt(async () => ({ user: "" }));
  find("#leave").onclick = async () => {
    sessionStorage.removeItem(STORED);
    await leave();
    location.reload();
  };
  find("#again").onclick = () => again().catch(problem);
  const session = stored();
  if ("user" in session) begin(session).catch(problem);
  else { entrance.hidden = false; find("#user").focus(); }
}

/**
 * A connection to a hub of an instance, whose state the page shows; to be started. Another instance than the page's own is reached by a
 * WebSocket alone, which needs no permission beforehand. `handlers` by event, `reconnected()`, and `isCurrent(hub)` says whether the page
 * still uses it.
 */
export function connect(origin, path, token, { handlers, reconnected, isCurrent }) {
  showStatus("connecting");
  const foreign = new URL(origin).origin !== location.origin;
  const options = foreign ? { skipNegotiation: true, transport: signalR.HttpTransportType.WebSockets } : {};
  if (token) options.accessTokenFactory = () => token;
  const builder = new signalR.HubConnectionBuilder().withUrl(origin + path, options);
  const hub = builder.withAutomaticReconnect(RETRIES).configureLogging(signalR.LogLevel.Warning).build();
  for (const [event, handle] of Object.entries(handlers)) hub.on(event, handle);
  hub.onreconnecting(() => showStatus("reconnecting"));
  hub.onreconnected(() => reconnected().catch(problem));
  hub.onclose(error => {
    if (!isCurrent(hub)) return;
    showStatus("disconnected");
    problem(error ?? new Error("The connection has ended, or the instance cannot be reached. Connect makes another one."));
  });
  return hub;
}

/** Shows how the connection is. */
export function showStatus(state) {
  const status = find("#status");
  status.textContent = state;
  status.className = `status ${state}`;
  find("#again").hidden = state !== "disconnected";
}

/** Shows an error. */
export function problem(error) {
  find("#problem").textContent = said(error);
}

/** Why the last connection was not even tried: what the policy of the page lets it connect to. */
let keptIn = "";
addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
  if (effectiveDirective === "connect-src") keptIn = `This page connects to its own server alone, and in Development to others on the same machine. Open the page at ${blockedURI.replace(/^ws/, "http").split("/").slice(0, 3).join("/")} instead.`;
});

/** An error as a person can use it. */
export function said(error) {
  const text = error?.message ?? String(error);
  if (/\b401\b/.test(text)) return "The server wants a token it believes: sign out and in again.";
  if (/WebSocket failed to connect|Failed to complete negotiation|Failed to fetch/.test(text)) return keptIn || "The instance cannot be reached.";
  if (/not in the 'Connected' State/.test(text)) return "There is no connection now.";
  return text.replace(/^An unexpected error occurred invoking '\w+' on the server\. (HubException: )?/, "");
}

/** Time of day, with the day if it is not today's. */
export function time(at) {
  const date = new Date(at), today = new Date();
  const day = date.toDateString() === today.toDateString() ? "" : `${date.toLocaleDateString([], { day: "numeric", month: "short" })} `;
  return day + date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/** An element with a class and text in it: nothing that comes from others is ever read as HTML. */
export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
