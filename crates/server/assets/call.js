import { connect, element, find, problem, said, showStatus, signIn } from "/session.js";

// A description goes the way of candidates once a call is on, in pieces of what a candidate may have.
const PIECE = 2500;

let me = "", token, origin, hub, servers = [], local;
/** The call: `{ id, other, isCaller, peer, early: candidates before the description, isOn }`. */
let call;
/** What rings here: `{ id, caller, offer }`. */
let ringing;

// --- the connection

async function enter(session) {
  ({ token, origin } = session);
  me = session.user;
  await start();
  await offerReturn();
}

async function start() {
  const handlers = {
    IncomingCall: incoming,
    CallAccepted: accepted,
    CallRejected: (id, reason) => over(id, reason ? `The call was not taken: ${reason}.` : "The call was declined."),
    CallEnded: id => over(id, "The call has ended."),
    CallMissed: (id, caller) => { log(`CallMissed by ${caller}`); stopRinging(id, `You missed a call of ${caller}.`); },
    CallAnsweredElsewhere: answeredElsewhere,
    ICECandidate: candidate,
    VideoToggled: (user, isMuted) => toggled(user, "video", isMuted),
    AudioToggled: (user, isMuted) => toggled(user, "audio", isMuted),
  };
  find("#return-to").value = origin;
  hub = connect(origin, "/videocallhub", token, { handlers, reconnected: returned, isCurrent: one => one === hub });
  try {
    await hub.start();
    showStatus("connected");
    find("#problem").textContent = "";
    servers = await hub.invoke("GetIceServers");
  } catch (error) {
    showStatus("disconnected");
    throw error;
  }
}

/** A new connection stands in for one that is gone: the call is told. */
async function returned() {
  showStatus("connected");
  if (ringing) {
    const [active] = await hub.invoke("GetActiveCalls");
    if (ringing && active?.callId !== ringing.id) stopRinging(ringing.id, "It rings no more.");
  }
  if (!call?.id) return;
  const info = await hub.invoke("RejoinCall", call.id);
  log("RejoinCall: back in the call");
  describeState();
  if (info.status === "Active" && !call.isOn && call.isCaller && info.answer) await accepted(call.id, info.answer);
}

/** A page that was loaded again may have left a call behind. */
async function offerReturn() {
  const [active] = await hub.invoke("GetActiveCalls");
  // One that only rings here rings by itself.
  if (!active || (active.status === "Ringing" && active.recipientId === me)) return;
  if (active.status === "Ringing") return void await hub.invoke("EndCall", active.callId);
  const other = active.callerId === me ? active.recipientId : active.callerId;
  call = { id: active.callId, other, isCaller: active.callerId === me, early: [], hasLeft: true };
  showGone(`Your call with ${other} goes on.`);
}

let isFocusDue = false;
/** Hides a part of the page; whoever had the focus there goes on where `goOn` says next. */
function hide(selector) {
  const part = find(selector);
  isFocusDue ||= part.contains(document.activeElement);
  part.hidden = true;
}
function goOn(selector) {
  if (isFocusDue) find(selector).focus();
  isFocusDue = false;
}

function showGone(text) {
  find("#gone-text").textContent = text;
  find("#return-to").value = origin;
  find("#gone").hidden = false;
  find("#again").hidden = true;
  find("#controls").hidden = find("#call").hidden = true;
  if (call.hasLeft) find("#state").textContent = "You are not in the call.";
  isFocusDue = false;
  find("#return").focus();
}

/** Ends the connection to the hub as a network would; what the two browsers have between them goes on. */
async function drop() {
  const gone = hub;
  hub = undefined;
  await gone.stop();
  showStatus("disconnected");
  log("The connection to the hub is gone");
  showGone("You have 30 s to return, on any instance.");
}

async function comeBack() {
  const isNew = call.hasLeft;
  hide("#gone");
  const next = find("#return-to").value.trim().replace(/\/+$/, "") || location.origin;
  try {
    if (hub?.state !== "Connected" || next !== origin) {
      origin = next;
      await hub?.stop();
      await start();
    }
    if (isNew) await media();
    await returned();
    if (!call) return;
    call.hasLeft = false;
    show(call.text ?? `In a call with ${call.other}`, true);
    // Whoever was loaded again has nothing to go on with: the two connect anew.
    if (isNew) await connectAnew();
  } catch (error) {
    if (!call || /no such call|over|not (a |known)|nothing/i.test(said(error))) end(said(error));
    else showGone("It did not work. You can try again, on another instance perhaps.");
    problem(error);
  }
}

// --- calls

async function initiate(event) {
  event.preventDefault();
  const recipient = find("#recipient").value.trim();
  if (!recipient || call) return;
  find("#problem").textContent = "";
  try {
    await media();
    call = { other: recipient, isCaller: true, early: [], waiting: [], happened: [] };
    const peer = makePeer();
    await peer.setLocalDescription(await peer.createOffer());
    show(`Calling ${recipient}…`, true);
    const started = call;
    started.id = await hub.invoke("InitiateCall", recipient, peer.localDescription.toJSON());
    log(`InitiateCall: ringing at ${recipient}`);
    // Who answers at once may be heard of before the call's id.
    for (const happen of started.happened.splice(0)) await happen();
    if (call !== started) return void hub.invoke("EndCall", started.id).catch(() => {});
    // It may be over while they are sent, which has been told then.
    for (const found of started.waiting.splice(0)) if (call === started) await tell(found).catch(error => { if (call === started) problem(error); });
  } catch (error) { end("Nobody is called."); problem(error); }
}

function incoming(caller, id, offer) {
  log(`IncomingCall of ${caller}`);
  if (call || ringing?.id === id) return;
  ringing = { id, caller, offer, early: [] };
  find("#caller").textContent = `${caller} calls you`;
  find("#incoming").hidden = false;
  find("#call").hidden = true;
  find("#state").textContent = "It rings.";
  // Not on "Accept": whoever is just writing would press it, and be seen.
  find("#incoming").focus();
}

async function accept() {
  const { id, caller, offer, early } = ringing;
  ringing = undefined;
  hide("#incoming");
  find("#problem").textContent = "";
  try {
    await media();
    call = { id, other: caller, isCaller: false, early, waiting: [] };
    const peer = makePeer();
    await peer.setRemoteDescription(offer);
    await peer.setLocalDescription(await peer.createAnswer());
    await hub.invoke("AcceptCall", id, peer.localDescription.toJSON());
    log("AcceptCall");
    call.isOn = true;
    show(`In a call with ${caller}`, true);
    await addEarly();
    for (const found of call.waiting.splice(0)) await tell(found);
  } catch (error) { end("The call could not be taken."); problem(error); }
}

async function reject() {
  const { id } = ringing;
  stopRinging(id, "You declined the call.");
  try { await hub.invoke("RejectCall", id, "declined"); } catch (error) { problem(error); }
}

function stopRinging(id, text) {
  if (ringing?.id !== id) return;
  ringing = undefined;
  hide("#incoming");
  find("#call").hidden = false;
  find("#state").textContent = text;
  goOn("#recipient");
}

function answeredElsewhere(id) {
  log("CallAnsweredElsewhere");
  stopRinging(id, "Another device of yours has answered.");
  if (call?.id === id && !call.hasLeft) end("The call goes on at another device of yours.");
}

async function accepted(id, answer) {
  if (call && !call.id) return void call.happened?.push(() => accepted(id, answer));
  if (call?.id !== id || call.isOn) return;
  log("CallAccepted");
  try {
    await call.peer.setRemoteDescription(answer);
    call.isOn = true;
    show(`In a call with ${call.other}`, true);
    await addEarly();
  } catch (error) { problem(error); }
}

function over(id, text) {
  log(text);
  stopRinging(id, text);
  if (call && !call.id) call.happened?.push(() => { if (call?.id === id) end(text); });
  if (call?.id === id) end(text);
}

async function hangUp() {
  const { id } = call;
  end("You hung up.");
  try {
    if (hub?.state !== "Connected") {
      await hub?.stop();
      await start();
    }
    if (id) await hub.invoke("EndCall", id);
  } catch (error) { problem(error); }
}

function end(text) {
  call?.peer?.close();
  call = undefined;
  local?.getTracks().forEach(track => track.stop());
  local = undefined;
  for (const video of [find("#local"), find("#remote")]) { video.srcObject = null; delete video.dataset.on; }
  hide("#gone");
  find("#remote-muted").textContent = "";
  for (const id of ["#audio", "#video"]) find(id).setAttribute("aria-pressed", "false");
  find("#audio").textContent = "Mute";
  find("#video").textContent = "Camera off";
  show(text, false);
}

// --- between the two browsers

async function media() {
  if (local) return;
  try { local = await navigator.mediaDevices.getUserMedia({ audio: true, video: true }); }
  catch (error) {
    log(`No camera: ${error.message}`);
    try { local = await navigator.mediaDevices.getUserMedia({ audio: true }); }
    catch { throw new Error(navigator.mediaDevices ? "Neither camera nor microphone may be used." : "Browsers give camera and microphone to https and to localhost alone."); }
  }
  find("#local").srcObject = local;
  find("#local").dataset.on = "";
}

function makePeer() {
  call.peer?.close();
  const peer = call.peer = new RTCPeerConnection({ iceServers: servers });
  local.getTracks().forEach(track => peer.addTrack(track, local));
  peer.ontrack = ({ streams: [stream] }) => {
    find("#remote").srcObject = stream;
    find("#remote").dataset.on = "";
  };
  peer.onicecandidate = ({ candidate: found }) => {
    if (!found || call?.peer !== peer) return;
    if (call.id && hub?.state === "Connected" && (call.isOn || call.isCaller)) tell(found.toJSON()).catch(problem);
    else call.waiting?.push(found.toJSON());
  };
  peer.onconnectionstatechange = () => {
    if (call?.peer !== peer) return;
    log(`The two browsers: ${peer.connectionState}`);
    document.body.dataset.peer = peer.connectionState;
    describeState();
    if (peer.connectionState === "failed" && call.isOn && hub?.state === "Connected") connectAnew().catch(problem);
  };
  return peer;
}

const tell = what => hub.invoke("SendICECandidate", call.id, call.other, what);

/** A candidate, or a piece of a description. */
async function candidate(id, found) {
  try {
    if (ringing?.id === id) return void ringing.early.push(found);
    if (call?.id !== id) return;
    if (found.description) await piece(found);
    else if (call.peer?.remoteDescription) await call.peer.addIceCandidate(found);
    else call.early.push(found);
  } catch (error) { problem(error); }
}

async function addEarly() {
  for (const found of call.early.splice(0)) await call.peer.addIceCandidate(found);
}

/** Makes a new connection between the browsers, in the place of one that is gone. */
async function connectAnew() {
  const peer = makePeer();
  call.isOn = call.isOffering = true;
  call.early = [];
  await peer.setLocalDescription(await peer.createOffer());
  await describe(peer.localDescription);
}

async function describe({ type, sdp }) {
  const number = Math.random(), count = Math.ceil(sdp.length / PIECE);
  for (let n = 0; n < count; n++) await tell({ description: type, number, n, count, text: sdp.slice(n * PIECE, (n + 1) * PIECE) });
}

async function piece({ description: type, number, n, count, text }) {
  if (n === 0) call.pieces = { number, texts: [] };
  if (call.pieces?.number !== number || call.pieces.texts.length !== n) return;
  call.pieces.texts.push(text);
  if (n + 1 < count) return;
  const sdp = call.pieces.texts.join("");
  if (type === "answer") {
    if (!call.isOffering) return;
    await call.peer.setRemoteDescription({ type, sdp });
    call.isOffering = false;
    return addEarly();
  }
  // Both may have come back at once; then the caller's offer counts.
  if (call.isOffering && call.isCaller) return;
  call.isOffering = false;
  const peer = makePeer();
  call.early = [];
  await peer.setRemoteDescription({ type, sdp });
  await peer.setLocalDescription(await peer.createAnswer());
  await describe(peer.localDescription);
}

// --- mute

async function toggle(kind) {
  const button = find(kind === "audio" ? "#audio" : "#video");
  const isMuted = button.getAttribute("aria-pressed") !== "true";
  const tracks = kind === "audio" ? local.getAudioTracks() : local.getVideoTracks();
  tracks.forEach(track => { track.enabled = !isMuted; });
  button.setAttribute("aria-pressed", String(isMuted));
  button.textContent = kind === "audio" ? (isMuted ? "Unmute" : "Mute") : (isMuted ? "Camera on" : "Camera off");
  try { if (call.isOn) await hub.invoke(kind === "audio" ? "ToggleAudio" : "ToggleVideo", call.id, isMuted); } catch (error) { problem(error); }
}

function toggled(user, kind, isMuted) {
  log(`${kind === "audio" ? "AudioToggled" : "VideoToggled"} by ${user}: ${isMuted ? "off" : "on"}`);
  if (!call) return;
  call.muted = { ...call.muted, [kind]: isMuted };
  const off = Object.entries(call.muted).filter(([, muted]) => muted).map(([what]) => what === "audio" ? "microphone" : "camera");
  find("#remote-muted").textContent = off.length ? `${call.other} has turned off: ${off.join(", ")}` : "";
}

// --- what is shown

function show(text, isCalling) {
  call && (call.text = text);
  hide(isCalling ? "#call" : "#controls");
  find(isCalling ? "#controls" : "#call").hidden = false;
  find("#state").textContent = text;
  // Not on "Hang up": a key that is held down would press it.
  goOn(isCalling ? "#audio" : "#recipient");
  delete document.body.dataset.peer;
  describeState();
}

function describeState() {
  if (!call?.text) return;
  const between = call.isOn && call.peer ? ` · ${call.peer.connectionState}` : "";
  if (call.peer) document.body.dataset.peer = call.peer.connectionState;
  find("#state").textContent = call.text + between;
}

function log(text) {
  const item = element("li");
  item.append(element("time", "", new Date().toLocaleTimeString()), text);
  find("#log").prepend(item);
  while (find("#log").children.length > 100) find("#log").lastChild.remove();
}

find("#call").onsubmit = initiate;
find("#accept").onclick = accept;
find("#reject").onclick = reject;
find("#hang-up").onclick = hangUp;
find("#drop").onclick = () => drop().catch(problem);
find("#return").onclick = comeBack;
find("#leave-call").onclick = hangUp;
find("#audio").onclick = () => toggle("audio");
find("#video").onclick = () => toggle("video");

signIn(enter, () => hub?.stop(), async () => {
  if (call) return comeBack();
  await hub?.stop();
  await start();
});
