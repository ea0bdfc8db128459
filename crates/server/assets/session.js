// Who uses a page, on which instance, and the connection to a hub.
const STORED = "hubline-session";

/** The parts of the page that say who is there. */
const find = selector => document.querySelector(selector);

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
 * Shows the sign-in until somebody has, then calls `enter({ user, token, origin })` on each sign-in and `leave()` when it ends.
 */
export function signIn(enter, leave) {
  const form = find("#sign-in"), page = find("#page"), me = find(".me"), error = find("#sign-in .error");
  const instance = find("#instance");
  instance.value = location.origin;

  async function begin(session) {
    sessionStorage.setItem(STORED, JSON.stringify(session));
    form.hidden = true;
    page.hidden = me.hidden = false;
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
  const session = stored();
  if ("user" in session) begin(session);
  else { form.hidden = false; find("#user").focus(); }
}

/**
 * A connection to a hub of an instance. Another instance than the page's own is reached by a WebSocket alone, which needs no
 * permission beforehand.
 */
export function connect(origin, path, token, retries = [0, 500, 1000, 2000, 5000, 10000, 10000, 10000]) {
  const foreign = new URL(origin).origin !== location.origin;
  const options = foreign ? { skipNegotiation: true, transport: signalR.HttpTransportType.WebSockets } : {};
  if (token) options.accessTokenFactory = () => token;
  const builder = new signalR.HubConnectionBuilder().withUrl(origin + path, options);
  return builder.withAutomaticReconnect(retries).configureLogging(signalR.LogLevel.Warning).build();
}

/** Shows how the connection is. */
export function showStatus(state) {
  const status = find("#status");
  status.textContent = state;
  status.className = `status ${state}`;
}

/** An error as a person can use it. */
export function said(error) {
  const text = error?.message ?? String(error);
  if (/\b401\b/.test(text)) return "The server wants a token it believes: sign out and in again.";
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
