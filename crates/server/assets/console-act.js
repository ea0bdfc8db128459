// Acts: what is to be done, what that means in words, and only then the act.
import { element, find } from "/session.js";
import { clock, give, heading, options, plain, taken, unheard, write } from "/console-parts.js";

const UNITS = { minutes: 60, hours: 3600, days: 86_400 };
const LONGEST_BAN = 10 * 365 * UNITS.days;
const MOST_RECORDED = 50;
const TARGETS = {
  send: { all: "Everybody", group: "A group", user: "A user", connection: "A connection" },
  close: { connection: "One", user: "All of a user", group: "All of a group" },
};
const IDS = { group: "Group", user: "User", connection: "Connection id" };
const KINDS = {
  send: { label: "Send a message", title: "Send this?", go: "Send" },
  close: { label: "Close connections", title: "Close connections?", go: "Close" },
  ban: { label: "Ban a user for a time", title: "Ban this user?", go: "Ban" },
  drain: { label: "Drain an instance", title: "Drain this instance?", go: "Drain" },
  revokeKey: { label: "Revoke a key", title: "Revoke this key?", go: "Revoke" },
};
const HINTS = {
  send: "Clients get an invocation of the method, as if the hub had called it.",
  close: "Clients that connect again by themselves may come back at once.",
  ban: "Closes the user's connections on every instance, and refuses new ones until the time is over.",
  drain: "The instance takes no new connections and sends its clients to others. Its process stays, serves nobody, and waits to be ended.",
  revokeKey: "The key is not believed any more, on any instance.",
};

/** A field of the form: a label with an input in it. */
function field(text, input, id) {
  const label = element("label", "", text);
  input.id = id;
  label.append(input);
  return label;
}
function input(attributes = {}) { return Object.assign(element("input"), { required: true, maxLength: 512, spellcheck: false, ...attributes }); }
function select(pairs) {
  const made = element("select");
  options(made, pairs);
  return made;
}

/** `invoke(method, ...args)` asks the hub, `show()` shows the form, `done()` is called after each act. */
export class Actor {
  constructor({ invoke, show, done }) {
    Object.assign(this, { invoke, show, done, instances: [] });
    options(find("#act-kind"), Object.entries(KINDS).map(([kind, { label }]) => [kind, label]));
    find("#act-kind").onchange = () => this.#fields();
    find("#act-form").onsubmit = event => { event.preventDefault(); this.#submit(); };
    find("#confirm-not").onclick = () => find("#confirm").close();
    find("#confirm-do").onclick = () => this.#do();
    // What had the focus before has it again, unless it is gone by what was done.
    find("#confirm").onclose = () => this.#left();
    this.hubs = [];
    // Count what is previewed, of which the last counts, and who has signed in.
    this.turn = this.session = 0;
  }

  /** Who may do what. */
  signedIn({ scope, hubs }) {
    Object.assign(this, { scope, hubs });
    const allowed = Object.entries(KINDS).filter(([kind]) => scope === "full" || (kind !== "drain" && kind !== "revokeKey"));
    options(find("#act-kind"), allowed.map(([kind, { label }]) => [kind, label]));
    if (!this.kind || !allowed.some(([kind]) => kind === this.kind)) this.#fields();
  }
  /** The instances that may be drained. */
  fleet(instances) {
    this.instances = instances.filter(({ state }) => state === "up");
    if (this.kind !== "drain") return;
    const select = find("#act-instance"), chosen = select.value;
    options(select, this.#instances());
    // Another one is not chosen in the place of one that has gone.
    if (chosen && select.value !== chosen) select.selectedIndex = -1;
  }

  /** Shows the form with something in it already. */
  compose(kind, { user, target, id, hub }) {
    find("#act-kind").value = kind;
    this.#fields();
    if (user) give(find("#act-user"), user);
    if (target) { find("#act-target").value = target; this.#target(); give(find("#act-id"), id); }
    if (this.hubs.includes(hub)) find("#act-hub").value = hub;
    this.show();
    find(kind === "ban" ? "#act-for" : "#act-method").focus();
  }

  /** Says what an act means, and asks for it to be confirmed. */
  async preview(act) {
    if (find("#confirm").open) return;
    write(find("#act-error"), "");
    const turn = ++this.turn;
    let preview, why = "";
    try { preview = await this.invoke("Preview", act); } catch (error) { why = error.message; }
    // What is confirmed is what these words are of.
    if (turn !== this.turn || find("#confirm").open) return;
    this.act = act;
    const { title, go } = KINDS[act.kind];
    write(find("#confirm-title"), preview ? title : "This cannot be done");
    write(find("#confirm-words"), preview?.words ?? "");
    const scope = preview && !preview.isAllowed ? `This needs a key of the scope ${preview.scope}, and yours has ${this.scope}.` : "";
    write(find("#confirm-note"), [preview ? unheard(preview.silent) : "", scope].filter(Boolean).join(" "));
    write(find("#confirm-error"), why);
    this.#buttons(go, preview?.isAllowed ? "ask" : "refused");
    this.from = document.activeElement.closest(".card");
    find("#confirm").showModal();
    find("#confirm-not").focus();
  }

  #left() {
    if (document.activeElement !== document.body && document.activeElement.checkVisibility()) return;
    [this.from?.querySelector(".scroll, h3[tabindex]"), heading()].find(one => one?.checkVisibility())?.focus({ preventScroll: true });
  }

  async #do() {
    const { act, session } = this;
    if (find("#confirm-do").ariaDisabled === "true") return;
    write(find("#confirm-error"), "");
    // It keeps the focus meanwhile, which a button that is disabled would lose.
    find("#confirm-do").ariaDisabled = "true";
    let done, why = "";
    try { done = await this.invoke("Act", act); } catch (error) { why = error.message; }
    if (session !== this.session) return;
    if (act === this.act) this.#tell(act, done, why);
    this.#record(act, done, why);
    if (!done) return;
    this.done();
    if (act.kind === "revokeKey" && this.kind === "revokeKey") this.#loadKeys();
  }

  /** Says in the dialog what was done, or why not. */
  #tell(act, done, why) {
    if (done) {
      write(find("#confirm-title"), "Done");
      write(find("#confirm-words"), done.words);
      write(find("#confirm-note"), unheard(done.silent));
    }
    write(find("#confirm-error"), why);
    this.#buttons(done ? "" : KINDS[act.kind].go, done ? "done" : "ask");
    if (find("#confirm").open) find("#confirm-not").focus();
  }

  #buttons(go, stage) {
    const [act, not] = [find("#confirm-do"), find("#confirm-not")];
    act.hidden = stage !== "ask";
    act.ariaDisabled = "false";
    act.className = this.act.kind === "send" ? "" : "danger";
    write(act, go);
    write(not, stage === "ask" ? "Cancel" : "OK");
  }

  #record(act, done, why) {
    const words = done ? done.words : `${KINDS[act.kind].label}: ${why}`, note = done ? unheard(done.silent) : "";
    const item = element("li", done ? "" : "failed");
    item.append(element("time", "", clock(Date.now())), plain(words));
    if (note) item.append(" ", element("small", "soft", plain(note)));
    find("#done").prepend(item);
    while (find("#done").children.length > MOST_RECORDED) find("#done").lastChild.remove();
    // The dialog says it itself; whoever has left it before hears it too.
    write(find("#announced"), find("#confirm").open && act === this.act ? "" : `${words} ${note}`.trim());
  }

  // --- the form

  #submit() {
    write(find("#act-error"), "");
    try {
      this.preview(this.#read());
    } catch (error) {
      write(find("#act-error"), error.message);
    }
  }

  #read() {
    const value = name => find(`#act-${name}`).value.trim(), exact = name => taken(find(`#act-${name}`));
    const target = () => ({ kind: value("target"), id: value("target") === "all" ? null : value("target") === "connection" ? value("id") : exact("id") });
    switch (this.kind) {
      case "send": return { kind: "send", target: target(), hub: value("hub"), method: value("method"), arguments: argumentsOf(value("arguments")) };
      case "close": return { kind: "close", target: target(), hub: value("hub") || null };
      case "ban": return { kind: "ban", user: exact("user"), seconds: Math.round(Number(value("for")) * UNITS[value("unit")]), reason: value("reason") || null };
      case "drain": return { kind: "drain", instance: value("instance") };
      default: return { kind: "revokeKey", key: value("key") };
    }
  }

  #fields() {
    this.kind = find("#act-kind").value;
    write(find("#act-hint"), HINTS[this.kind]);
    write(find("#act-error"), "");
    const made = { send: () => this.#sendFields(), close: () => this.#closeFields(), ban: banFields, drain: () => this.#drainFields(), revokeKey: () => this.#keyFields() };
    find("#act-fields").replaceChildren(...made[this.kind]());
    if (find("#act-target")) {
      find("#act-target").onchange = () => this.#target();
      this.#target();
    }
    if (this.kind === "ban") this.#longest();
    if (this.kind === "revokeKey") this.#loadKeys();
  }

  #longest() {
    const bound = () => { find("#act-for").max = Math.floor(LONGEST_BAN / UNITS[find("#act-unit").value]); };
    find("#act-unit").onchange = bound;
    bound();
  }

  #sendFields() {
    const text = Object.assign(element("textarea"), { value: "[]", spellcheck: false, rows: 3 });
    return [
      ...targetFields("To whom", TARGETS.send),
      field("Hub", select(this.hubs.map(hub => [hub, hub])), "act-hub"),
      field("Client method", input({ placeholder: "ReceiveMessage" }), "act-method"),
      Object.assign(field("Arguments, a JSON array", text, "act-arguments"), { className: "wide" }),
    ];
  }

  #closeFields() {
    return [...targetFields("Which", TARGETS.close), field("Hub", select([]), "act-hub")];
  }

  #drainFields() { return [field("Instance", Object.assign(select(this.#instances()), { required: true }), "act-instance")]; }
  #instances() {
    if (!this.instances.length) return [["", "there is none that could be drained"]];
    return this.instances.map(({ id, name }) => [id, name ? `${name} (${id})` : id]);
  }

  #keyFields() { return [field("Key", select([["", "asking…"]]), "act-key")]; }
  async #loadKeys() {
    try {
      const usable = (await this.invoke("Keys")).filter(({ isRevoked }) => !isRevoked);
      if (this.kind !== "revokeKey") return;
      const pairs = usable.map(({ id, name, kind, scope, user }) => [id, `${name} (${kind}${scope ? `, ${scope}` : ""}${user ? `, ${user}` : ""})`]);
      options(find("#act-key"), pairs.length ? pairs : [["", "there is none that could be revoked"]]);
      find("#act-key").required = true;
    } catch (error) {
      write(find("#act-error"), error.message);
    }
  }

  /** What goes with who is chosen. */
  #target() {
    const chosen = find("#act-target").value, label = find("#act-id").parentElement;
    label.hidden = chosen === "all";
    find("#act-id").required = chosen !== "all";
    label.firstChild.data = IDS[chosen] ?? "";
    if (this.kind === "close") options(find("#act-hub"), [...(chosen === "group" ? [] : [["", "all hubs"]]), ...this.hubs.map(hub => [hub, hub])]);
  }

  /** Leaves nothing of what was shown, nor of what comes yet. */
  forget() {
    this.turn += 1;
    this.session += 1;
    this.kind = this.act = undefined;
    this.instances = [];
    find("#confirm").close();
    for (const id of ["#done", "#act-fields", "#confirm-words", "#confirm-note", "#confirm-error", "#act-error", "#announced"]) find(id).replaceChildren();
  }
}

function targetFields(label, targets) {
  return [field(label, select(Object.entries(targets)), "act-target"), field("Id", input(), "act-id")];
}

function banFields() {
  const length = input({ type: "number", min: 1, value: 15 }), row = element("div", "two");
  row.append(field("For", length, "act-for"), field("Unit", select(Object.keys(UNITS).map(unit => [unit, unit])), "act-unit"));
  return [field("User", input(), "act-user"), row, field("Reason, for the audit trail", input({ required: false, maxLength: 200 }), "act-reason")];
}

function argumentsOf(text) {
  let value;
  try { value = JSON.parse(text || "[]"); } catch (error) { throw new Error(`The arguments are no JSON: ${error.message}`); }
  if (!Array.isArray(value)) throw new Error('The arguments have to be a JSON array, such as ["Good morning"].');
  return value;
}
