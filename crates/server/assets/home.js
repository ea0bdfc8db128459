const ROOM = "front-page";
// After these milliseconds each, and then no more: whoever looks again loads the page again.
const RETRIES = [0, 1000, 2000, 5000, 10000, 10000, 10000];
const KINDS = { redis: "Redis", "in-process": "alone, without Redis", sqlite: "SQLite", postgresql: "PostgreSQL" };
const panels = [];

class Panel {
  constructor(name) {
    const root = document.getElementById("connection").content.cloneNode(true).firstElementChild;
    document.getElementById("connections").append(root);
    this.find = selector => root.querySelector(selector);
    root.setAttribute("aria-label", name);
    this.find(".name").textContent = name;
    this.find(".text").value = `Hello from ${name.slice(-1)}`;
    this.find("form").onsubmit = event => { event.preventDefault(); this.send(false); };
    this.find(".room").onclick = () => this.send(true);
    this.connect();
  }

  async connect() {
    this.chat = this.hub("/chathub");
    const navigation = this.hub("/hubs/navigation-state");
    this.chat.on("ReceiveMessage", (sender, message) => this.log(`${short(sender)}: ${message}`));
    this.chat.on("ReceiveRoomMessage", (sender, message) => this.log(`room, ${short(sender)}: ${message}`));
    // The client warns of events without a handler. Who comes and goes is not shown here.
    for (const event of ["MessageSent", "UserJoined", "UserLeft"]) this.chat.on(event, () => {});
    for (const event of ["ModelMappingChanged", "ProviderHealthChanged"]) navigation.on(event, () => {});
    navigation.on("NavigationStateChanged", state => this.log(`navigation state, version ${state.version}`));
    this.chat.onreconnecting(() => this.status("reconnecting"));
    this.chat.onreconnected(() => this.joined());
    this.chat.onclose(error => this.status("disconnected", error));
    try {
      await Promise.all([this.chat.start(), navigation.start()]);
      await this.joined();
    } catch (error) {
      this.status("disconnected", error);
      if (/\b401\b/.test(error)) this.log("A hub wants a token: the table below says which, and what lets everybody in.");
    }
  }

  hub(path) {
    return new signalR.HubConnectionBuilder().withUrl(path).withAutomaticReconnect(RETRIES).configureLogging(signalR.LogLevel.Warning).build();
  }

  async joined() {
    await this.chat.invoke("JoinRoom", ROOM);
    this.status("connected");
  }

  // Who is not signed in is known by the connection's id.
  async send(toRoom) {
    const text = this.find(".text").value.trim();
    if (!text) return;
    const other = panels.find(panel => panel !== this);
    try {
      if (toRoom) await this.chat.invoke("SendToRoom", ROOM, text);
      else await this.chat.invoke("SendMessage", other.chat.connectionId, text);
      if (!toRoom) this.log(`to the other: ${text}`);
      this.find(".text").value = "";
    } catch (error) {
      this.log(`not sent: ${error.message}`);
    }
  }

  status(state, error) {
    this.find(".status").textContent = state;
    this.find(".status").className = `status ${state}`;
    if (error) this.log(error.message);
  }

  log(text) {
    const item = document.createElement("li"), time = document.createElement("time");
    time.textContent = new Date().toLocaleTimeString();
    item.append(time, text);
    const list = this.find("ol");
    list.prepend(item);
    while (list.children.length > 50) list.lastChild.remove();
  }
}

const short = id => id.length > 10 ? `${id.slice(0, 6)}…` : id;

/** How the instance is, in the words of /health. */
async function health() {
  const shown = document.getElementById("health");
  const show = (text, state) => { shown.textContent = text; shown.className = `status ${state}`; };
  try {
    const { status, reason, backplane, database } = await (await fetch("/health")).json();
    const part = one => one && `${KINDS[one.kind] ?? one.kind}${one.connected === false ? " away" : ""}`;
    const parts = [status, part(backplane), part(database), reason].filter(Boolean);
    show(parts.join(" · "), { Healthy: "connected", Degraded: "reconnecting" }[status] ?? "disconnected");
  } catch {
    show("/health does not answer", "disconnected");
  }
}

for (const origin of document.querySelectorAll(".origin")) origin.textContent = location.origin;
panels.push(new Panel("Connection A"), new Panel("Connection B"));
document.getElementById("trigger").onclick = async () => {
  const tell = text => { document.getElementById("triggered").textContent = text; };
  try {
    const { ok, status } = await fetch("/api/test/trigger-navigation-update", { method: "POST" });
    tell(ok ? "sent" : `refused with status ${status}: not there in Production, start with --dev`);
  } catch {
    tell("not sent: the server does not answer");
  }
};
health();
