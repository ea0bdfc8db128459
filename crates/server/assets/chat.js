import { connect, element, find, problem, said, showStatus, signIn, time } from "/session.js";

const PAGE = 30;
const TYPING_SHOWN_MS = 4000, TYPING_SENT_MS = 2000;
// The page lives by MessageReceived, which it asks for; the users' own events come as well, and the client warns of each that nobody handles.
const UNUSED = ["ReceiveMessage", "ReceiveRoomMessage", "MessageSent"];

let me = "", token, hub, cursor, open, moving = Promise.resolve();
/** By key: `{ key, with | room, messages: Map by id, pending: Map by clientMessageId, last, unread, partnerRead, partnerDelivered, complete }`. */
const conversations = new Map();

const keyOf = ({ with: user, room }) => room ? `#${room}` : `@${user}`;
const nameOf = conversation => conversation.room ? `#${conversation.room}` : conversation.with;
const named = conversation => conversation.room ? { room: conversation.room } : { with: conversation.with };

function conversationOf(which) {
  const key = keyOf(which);
  if (!conversations.has(key)) {
    conversations.set(key, { key, ...named(which), messages: new Map(), pending: new Map(), unread: 0, partnerRead: 0, partnerDelivered: 0, complete: false, events: [] });
  }
  return conversations.get(key);
}

// --- the connection

async function enter(session) {
  ({ token } = session);
  me = session.user;
  find("#connected-to").value = session.origin;
  for (const origin of new Set([location.origin, session.origin])) find("#instances").append(new Option("", origin));
  await start(session.origin);
}

async function start(origin) {
  const handlers = {
    MessageReceived: received,
    UserTyping: typing,
    MessagesRead: user => read(user),
    UserJoined: (user, at) => presence(user, at, "joined"),
    UserLeft: (user, at) => presence(user, at, "left"),
  };
  for (const event of UNUSED) handlers[event] = () => {};
  hub = connect(origin, "/chathub", token, { handlers, reconnected: catchUp, isCurrent: one => one === hub });
  try {
    await hub.start();
    await catchUp();
  } catch (error) {
    showStatus("disconnected");
    problem(error);
  }
}

/** What every connection begins with: events, rooms, and everything that was missed since the last one. */
async function catchUp() {
  const current = hub;
  await current.invoke("EnableEvents");
  if (!me) me = current.connectionId ?? "";
  if (cursor === undefined) cursor = (await current.invoke("GetSince", { after: "now" })).next;
  for (const overview of await current.invoke("GetConversations")) listed(overview);
  for (const conversation of conversations.values()) if (conversation.room) await current.invoke("JoinRoom", conversation.room);
  for (let more = true; more;) {
    const page = await current.invoke("GetSince", { after: cursor, limit: 100 });
    page.messages.forEach(received);
    cursor = page.next;
    more = page.hasMore;
  }
  showStatus("connected");
  find("#problem").textContent = "";
  if (open && open.messages.size === 0) await history();
  for (const conversation of conversations.values()) for (const message of conversation.pending.values()) await deliver(conversation, message);
  show();
}

function listed({ with: user, room, lastMessage, unreadCount, partnerReadId, partnerDeliveredId }) {
  const conversation = conversationOf({ with: user, room });
  conversation.unread = unreadCount;
  conversation.partnerRead = Math.max(conversation.partnerRead, partnerReadId ?? 0);
  conversation.partnerDelivered = Math.max(conversation.partnerDelivered, partnerDeliveredId ?? 0);
  if (lastMessage) conversation.last = lastMessage;
}

// --- what comes

function received(message) {
  const other = message.from === me ? message.to : message.from;
  const conversation = conversationOf({ with: other, room: message.room });
  const isNew = !conversation.messages.has(message.id) && message.id > (conversation.last?.id ?? 0);
  conversation.messages.set(message.id, message);
  if (isNew) {
    conversation.last = message;
    if (message.from !== me) conversation.unread += 1;
    hideTyping(message.from);
  }
  if (message.from !== me) mark(conversation);
  if (conversation === open && !isAtEnd()) showWithout(() => {});
  show();
}

/** Tells that messages are here, and that they are read if somebody looks at them. */
function mark(conversation) {
  const isLookedAt = conversation === open && document.visibilityState === "visible";
  if (!conversation.last || hub.state !== "Connected") return;
  const request = { ...named(conversation), id: conversation.last.id };
  if (isLookedAt) conversation.unread = 0;
  hub.invoke(isLookedAt ? "MarkRead" : "MarkDelivered", request).catch(problem);
}
document.addEventListener("visibilitychange", () => { if (open) { mark(open); show(); } });

/** The user has read something: how far is asked for, since the event does not say. */
async function read(user) {
  try {
    for (const overview of await hub.invoke("GetConversations")) if (overview.with === user) listed({ ...overview, unreadCount: conversationOf(overview).unread });
    show();
  } catch (error) { problem(error); }
}

const typists = new Map();
function typing(user) {
  hideTyping(user);
  typists.set(user, setTimeout(() => { hideTyping(user); showTyping(); }, TYPING_SHOWN_MS));
  showTyping();
}
function hideTyping(user) {
  clearTimeout(typists.get(user));
  typists.delete(user);
}
function showTyping() {
  find("#typing").textContent = open?.with && typists.has(open.with) ? `${open.with} is typing…` : open?.presence ?? "";
}

function presence(user, at, what) {
  // The event does not say which room: it is told where a room is looked at.
  if (open?.room && user !== me) open.presence = `${user} ${what} at ${time(at)}`;
  showTyping();
}

// --- what is sent

async function compose(event) {
  event.preventDefault();
  const text = find("#text").value.trim();
  if (!text || !open) return;
  const message = { clientMessageId: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, text, sentAt: new Date().toISOString() };
  open.pending.set(message.clientMessageId, message);
  find("#text").value = "";
  show(true);
  await deliver(open, message);
}

/** Sends a message, perhaps for the second time: its own id lets the server store it once. */
async function deliver(conversation, message) {
  message.failed = "";
  try {
    const to = conversation.room ? { room: conversation.room } : { to: conversation.with };
    const { id, sentAt } = await hub.invoke("Send", { ...to, text: message.text, clientMessageId: message.clientMessageId });
    conversation.pending.delete(message.clientMessageId);
    received({ id, from: me, to: conversation.with ?? null, room: conversation.room ?? null, text: message.text, sentAt });
  } catch (error) {
    message.failed = hub?.state === "Connected" ? `not sent: ${said(error)}` : "not sent yet: it goes as soon as there is a connection.";
    show();
  }
}

let typed = 0;
find("#text").addEventListener("input", () => {
  if (!open?.with || hub.state !== "Connected" || Date.now() - typed < TYPING_SENT_MS) return;
  typed = Date.now();
  hub.invoke("UserTyping", open.with).catch(() => {});
});
find("#text").addEventListener("keydown", event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  find("#compose").requestSubmit();
});

// --- conversations

async function openConversation(conversation) {
  open = conversation;
  find("#problem").textContent = "";
  find("main").classList.add("reading");
  find("#text").disabled = find("#send").disabled = false;
  try {
    if (conversation.room) await hub.invoke("JoinRoom", conversation.room);
    if (!conversation.isRead) await history();
    mark(conversation);
  } catch (error) { problem(error); }
  show(true);
  find("#text").focus();
}

/** The messages before those that are here. */
async function history() {
  const conversation = open;
  const before = conversation.isRead ? Math.min(...conversation.messages.keys()) : undefined;
  const messages = await hub.invoke("GetHistory", { ...named(conversation), limit: PAGE, ...(Number.isFinite(before) && { before }) });
  conversation.isRead = true;
  // A page of long messages is shorter.
  conversation.complete = messages.length === 0 || messages.at(-1).id === 1;
  for (const message of messages) conversation.messages.set(message.id, message);
  if (messages.length && !conversation.last) conversation.last = messages[0];
}

async function leaveRoom() {
  const room = open;
  try {
    await hub.invoke("LeaveRoom", room.room);
    conversations.delete(room.key);
    back();
  } catch (error) { problem(error); }
}

function back() {
  const key = open?.key;
  open = undefined;
  find("main").classList.remove("reading");
  find("#text").disabled = find("#send").disabled = true;
  show();
  // What had the focus is not there any more.
  ([...find("#list").querySelectorAll("button")].find(button => button.dataset.key === key) ?? find("#partner")).focus();
}

find("#open").onsubmit = event => {
  event.preventDefault();
  const text = find("#partner").value.trim();
  find("#partner").value = "";
  const isRoom = text.startsWith("#"), name = isRoom ? text.slice(1).trim() : text;
  if (name) openConversation(conversationOf(isRoom ? { room: name } : { with: name }));
};
find("#compose").onsubmit = compose;
find("#back").onclick = back;
find("#leave-room").onclick = leaveRoom;
find("#earlier").onclick = async () => {
  try { await history(); } catch (error) { problem(error); }
  showWithout(() => show());
  if (find("#earlier").hidden) scroll.focus();
};
/** Connects to the instance that is named, in the place of the connection that there is. */
function move() {
  const origin = find("#connected-to").value.trim().replace(/\/+$/, "") || location.origin;
  return moving = moving.then(async () => {
    const before = hub;
    hub = undefined;
    await before?.stop();
    await start(origin);
  }).catch(problem);
}
find("#move").onclick = move;

// --- what is shown

const scroll = find("#scroll");
const isAtEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
// A keyboard that comes up, or a window that gets smaller, covers older messages and not the newest.
let wasAtEnd = true;
scroll.addEventListener("scroll", () => { wasAtEnd = isAtEnd(); });
new ResizeObserver(() => { if (wasAtEnd) scroll.scrollTop = scroll.scrollHeight; }).observe(scroll);
/** Puts other elements into a list, and leaves the focus on the one that stands for the same, by its `data-key`. */
function refill(list, ...elements) {
  const key = list.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  list.replaceChildren(...elements);
  if (key) [...list.querySelectorAll("[data-key]")].find(one => one.dataset.key === key)?.focus();
}

/** Keeps what is looked at where it is, however much appears above it. */
function showWithout(change) {
  const fromEnd = scroll.scrollHeight - scroll.scrollTop;
  change();
  scroll.scrollTop = scroll.scrollHeight - fromEnd;
}

function show(toEnd = isAtEnd()) {
  showList();
  find("#title").textContent = open ? nameOf(open) : "Nothing is open";
  find("#leave-room").hidden = !open?.room;
  find("#earlier").hidden = !open || open.complete || open.messages.size === 0;
  find("#no-messages").hidden = Boolean(open && (open.messages.size || open.pending.size));
  find("#no-messages").textContent = open ? "Nothing has been written yet." : "Choose a conversation, or open one.";
  showTyping();
  const messages = open ? [...open.messages.values()].sort((a, b) => a.id - b.id) : [];
  let before;
  refill(find("#messages"),
    ...messages.map(message => { const shown = showMessage(message, before); before = message; return shown; }),
    ...(open ? [...open.pending.values()].map(showPending) : []),
  );
  if (toEnd) scroll.scrollTop = scroll.scrollHeight;
}

function showList() {
  const sorted = [...conversations.values()].sort((a, b) => (b.last?.sentAt ?? "9").localeCompare(a.last?.sentAt ?? "9"));
  find("#no-conversations").hidden = sorted.length > 0;
  refill(find("#list"), ...sorted.map(conversation => {
    const button = element("button");
    button.type = "button";
    button.dataset.key = conversation.key;
    if (conversation === open) button.setAttribute("aria-current", "true");
    button.append(element("span", "name", nameOf(conversation)));
    const last = conversation.last;
    button.append(last ? element("time", "", time(last.sentAt)) : element("span"));
    const preview = last ? `${last.from === me ? "You: " : conversation.room ? `${last.from}: ` : ""}${last.text || "(erased)"}` : "";
    button.append(element("span", "preview", preview));
    if (conversation.unread) {
      const unread = element("span", "unread", conversation.unread >= 1000 ? "1000+" : String(conversation.unread));
      unread.setAttribute("aria-label", `${conversation.unread} unread`);
      button.append(unread);
    }
    button.onclick = () => openConversation(conversation);
    const item = element("li");
    item.append(button);
    return item;
  }));
}

function showMessage(message, before) {
  const isMine = message.from === me;
  const item = element("li", isMine ? "mine" : "");
  if (open.room && !isMine && before?.from !== message.from) item.append(element("div", "from", message.from));
  item.append(element("div", "bubble", message.text || "(erased)"));
  const note = element("div", "note");
  note.append(element("time", "", time(message.sentAt)));
  if (isMine && open.with) {
    const state = message.id <= open.partnerRead ? "read" : message.id <= open.partnerDelivered ? "delivered" : "sent";
    note.append(element("span", "mark", state));
  }
  item.append(note);
  return item;
}

function showPending(message) {
  const item = element("li", message.failed ? "mine failed" : "mine");
  item.append(element("div", "bubble", message.text));
  const note = element("div", "note", message.failed || "sending…");
  if (message.failed) {
    const retry = element("button", "link", "Try again");
    retry.dataset.key = message.clientMessageId;
    const conversation = open;
    retry.onclick = () => { deliver(conversation, message); show(); };
    note.append(retry);
  }
  item.append(note);
  return item;
}

signIn(enter, () => hub?.stop(), move);
