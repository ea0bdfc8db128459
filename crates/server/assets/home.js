"use strict";
const ROOM = "front-page";
const panels = [];

class Panel {
  constructor(name) {
    const root = document.getElementById("connection").content.cloneNode(true).firstElementChild;
    document.getElementById("connections").append(root);
    this.find = selector => root.querySelector(selector);
    this.hubs = [];
    this.room = `${ROOM}/${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
    this.find(".name").textContent = name;
    this.find(".instance").value = location.origin;
    this.find(".connect").onclick = () => this.connect();
    this.find("form").onsubmit = event => { event.preventDefault(); this.send(false); };
    this.find(".room").onclick = () => this.send(true);
    this.connect();
  }

  async connect() {
    await Promise.all(this.hubs.map(hub => hub.stop()));
    const origin = this.find(".instance").value.replace(/\/+$/, "");
    this.status("connecting");
    this.chat = this.hub(`${origin}/chathub`);
    const navigation = this.hub(`${origin}/hubs/navigation-state`);
    this.hubs = [this.chat, navigation];
    this.chat.on("ReceiveMessage", (sender, message) => this.log(`${short(sender)}: ${message}`));
    this.chat.on("ReceiveRoomMessage", (sender, message) => {
      if (message === this.whispered) this.whispered = undefined;
      else this.log(`room, ${short(sender)}: ${message}`);
    });
    // The client warns of events without a handler. Who comes and goes is not shown here.
    for (const event of ["MessageSent", "UserJoined", "UserLeft"]) this.chat.on(event, () => {});
    navigation.on("NavigationStateChanged", state => this.log(`navigation state of ${new Date(state.timestamp * 1000).toLocaleTimeString()}`));
    this.chat.onreconnecting(() => this.status("reconnecting"));
    this.chat.onreconnected(() => this.joined());
    this.chat.onclose(error => this.status("disconnected", error));
    try {
      await Promise.all(this.hubs.map(hub => hub.start()));
      await this.joined();
    } catch (error) {
      this.status("disconnected", error);
      if (/\b401\b/.test(error)) this.log("The chat wants a token, since there are keys to verify one with. Authentication:AllowAnonymous=true lets in everybody.");
      if (origin !== location.origin) this.log(`Is ${origin} an instance that lets in pages of ${location.origin}? Cors:AllowedOrigins and --dev do.`);
    }
  }

  // WebSockets alone need no permission of another origin, so another instance can be named without set-up.
  hub(url) {
    const foreign = new URL(url).origin !== location.origin;
    const options = foreign ? { skipNegotiation: true, transport: signalR.HttpTransportType.WebSockets } : {};
    return new signalR.HubConnectionBuilder().withUrl(url, options).withAutomaticReconnect().build();
  }

  async joined() {
    for (const room of [ROOM, this.room]) await this.chat.invoke("JoinRoom", room);
    this.status("connected");
  }

  // Who is not signed in is known by the connection's id, which a client learns when it negotiates; without
  // it the other side is reached through a room of its own.
  async send(toRoom) {
    const text = this.find(".text").value.trim();
    if (!text) return;
    const other = panels.find(panel => panel !== this), id = other.chat.connectionId;
    try {
      if (toRoom) await this.chat.invoke("SendToRoom", ROOM, text);
      else if (id) await this.chat.invoke("SendMessage", id, text);
      else await this.whisper(other.room, text);
      if (!toRoom) this.log(`to the other: ${text}`);
      this.find(".text").value = "";
    } catch (error) {
      this.log(`not sent: ${error.message}`);
    }
  }

  // Only who is in a room may send to it, and gets the message too.
  async whisper(room, text) {
    await this.chat.invoke("JoinRoom", room);
    this.whispered = text;
    await this.chat.invoke("SendToRoom", room, text);
    await this.chat.invoke("LeaveRoom", room);
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

panels.push(new Panel("Connection A"), new Panel("Connection B"));
document.getElementById("trigger").onclick = async () => {
  const response = await fetch("/api/test/trigger-navigation-update", { method: "POST" });
  document.getElementById("triggered").textContent = response.ok ? "sent" : `refused with status ${response.status}: not there in Production, start with --dev`;
};
