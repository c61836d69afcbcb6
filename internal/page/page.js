"use strict";
// Everything that comes from the servers is put in by textContent, and the policy of the
// page has the browser refuse any other way.

const historyMs = 120000; // that the charts show
const oldAfterMs = 3500; // without news what is shown is marked as old
const retryMs = 2000; // after the server has refused a stream
const svgSpace = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);

// make returns an element with attributes and children; texts become text.
function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  return fill(e, attributes, children);
}

function makeSVG(tag, attributes, ...children) {
  return fill(document.createElementNS(svgSpace, tag), attributes, children);
}

function fill(e, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) e.setAttribute(name, value);
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

// show replaces what is in an element, if that is another thing than before: so what
// somebody has selected stays.
const shown = new Map();
function show(id, of, build) {
  const text = JSON.stringify(of);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  $(id).replaceChildren(...build());
}

// The shapes: a disk is well, a half disk waits, a cross is bad.
function shape(kind) {
  const of = {
    well: [makeSVG("circle", { cx: 8, cy: 8, r: 6 })],
    wait: [makeSVG("circle", { cx: 8, cy: 8, r: 6, fill: "none", "stroke-width": 2 }), makeSVG("path", { d: "M8 2a6 6 0 0 1 0 12z", stroke: "none" })],
    bad: [makeSVG("path", { d: "M3 3l10 10M13 3L3 13", "stroke-width": 3.5 })],
  }[kind];
  return makeSVG("svg", { viewBox: "0 0 16 16", class: "shape", "aria-hidden": "true" }, ...of);
}

const kinds = {
  ok: "well", reachable: "well",
  starting: "wait", "catching up": "wait", stopping: "wait", restoring: "wait", awaited: "wait",
};
const kindOf = (server) => (kinds[server.state] || "bad") === "well" && server.writesRefused ? "wait" : kinds[server.state] || "bad";
const verdictKinds = { ok: "well", degraded: "wait", "no majority": "bad" };

const whole = (n) => Math.round(n).toLocaleString("en");
const rate = (n) => (n === null || n === undefined ? "–" : n < 10 && n > 0 ? n.toFixed(1) : whole(n));
const ms = (n) => (n === null || n === undefined ? "–" : (n < 10 ? n.toFixed(2) : n < 100 ? n.toFixed(1) : whole(n)) + " ms");
const percent = (n) => (n === null || n === undefined ? "–" : (100 * n).toFixed(1) + " %");

function bytes(n) {
  for (const [unit, size] of [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20]]) {
    if (n >= size) return (n / size >= 100 ? whole(n / size) : (n / size).toFixed(1)) + " " + unit;
  }
  return whole(n / 1024) + " KiB";
}

function span(seconds) {
  if (seconds < 1) return Math.round(seconds * 1000) + " ms";
  const s = Math.floor(seconds);
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + (s % 60) + " s";
  if (s < 172800) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  return Math.floor(s / 86400) + " d";
}

const clock = (at) => new Date(at).toLocaleTimeString("en-GB");

function meter(part, whole, bad) {
  const share = whole > 0 ? Math.min(100, (100 * part) / whole) : 0;
  return makeSVG("svg", { class: "meter", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    makeSVG("rect", { class: "track", width: 100, height: 6 }), makeSVG("rect", { class: bad ? "part bad" : "part", width: share, height: 6 }));
}

// tlsOf says until when the certificate of a port and the authorities that it believes are
// valid, and which handshakes have failed.
function tlsOf(p) {
  const failed = Object.entries(p.failed || {}).sort((a, b) => b[1] - a[1]).map(([reason, n]) => whole(n) + " " + reason.replaceAll("_", " "));
  const authority = p.authorityNotAfter ? ", authorities until " + p.authorityNotAfter.slice(0, 10) : "";
  return "until " + p.notAfter.slice(0, 10) + authority + ", " + whole(p.handshakes) + " handshakes" + (failed.length ? ", failed: " + failed.join(", ") : "") +
    (p.reloadsFailed ? ", " + whole(p.reloadsFailed) + " reloads failed" : "");
}

function card(s) {
  const kind = kindOf(s);
  const role = s.stays ? "read replica" : s.role;
  const facts = make("dl");
  const fact = (name, ...value) => facts.append(make("dt", null, name), make("dd", null, ...value));
  fact("address", s.address);
  if (s.memory) fact("behind", s.lag === 0 ? "0 entries" : whole(s.lag) + (s.lag === 1 ? " entry" : " entries"));
  if (!s.answered && s.since) fact("lost", span(s.seconds || 0) + " ago");
  if (s.heardSeconds !== undefined) fact("last heard", span(s.heardSeconds) + " ago");
  if (s.memory) fact("memory", bytes(s.memory.bytes) + " of " + bytes(s.memory.limitBytes) + ", " + whole(s.memory.items) + " items", meter(s.memory.bytes, s.memory.limitBytes, false));
  if (s.disk && s.disk.totalBytes > 0) {
    const used = s.disk.totalBytes - s.disk.freeBytes;
    fact("disk", bytes(s.disk.freeBytes) + " free, the raft log takes " + bytes(s.disk.logBytes || 0), meter(used, s.disk.totalBytes, s.disk.space === "low"));
  }
  if (s.lease && s.lease !== "off") fact("lease", s.lease);
  for (const p of s.tls || []) fact("TLS, " + p.port, tlsOf(p));
  if (s.stateVerdict && s.stateVerdict !== "ok") fact("items", s.stateVerdict);
  if (s.version) fact("version", s.version + ", up " + span(s.uptimeSeconds || 0));
  return make("article", { class: "card", "data-server": s.id, "data-state": s.state, "data-role": s.role },
    make("h2", null, "Server " + s.id, make("span", { class: kind }, shape(kind), s.state),
      role ? make("span", { class: "role" + (role === "leader" ? " leader" : "") }, role === "leader" ? "LEADER" : role) : null),
    s.reason ? make("p", { class: "reason " + kind }, s.reason) : null, facts);
}

function problem(p) {
  const who = p.serverId === undefined ? "The cluster" : "Server " + p.serverId;
  return make("div", { class: "problem", "data-server": p.serverId === undefined ? "" : p.serverId },
    make("p", null, shape("wait"), make("strong", null, who + ": "), p.text), make("p", { class: "help" }, p.help));
}

// The charts: what they are called, their value of a snapshot, and how it is written.
const charts = [
  ["Reads/s", (s) => s.rates && s.rates.readsPerSecond, rate],
  ["Writes/s", (s) => s.rates && s.rates.writesPerSecond, rate],
  ["Hit ratio", (s) => s.rates && s.rates.hitRatio, percent, 1],
  ["Read p99", (s) => s.rates && s.rates.readP99Ms, ms],
  ["Write p99", (s) => s.rates && s.rates.writeP99Ms, ms],
  ["Commit p99", (s) => s.rates && s.rates.commitP99Ms, ms],
  ["Sync p99", (s) => s.rates && s.rates.syncP99Ms, ms],
  ["Leaders in 1 h", (s) => s.electionsInLastHour, (n) => (n === null || n === undefined ? "–" : whole(n))],
];
const history = [];

function chart([name, value, write, most], now) {
  const values = history.map((h) => [h.at, h.values[name]]);
  const known = values.map((v) => v[1]).filter((v) => v !== null && v !== undefined);
  const top = most || Math.max(...known, 0) || 1;
  let d = "";
  let pen = false;
  for (const [at, v] of values) {
    if (v === null || v === undefined) {
      pen = false;
      continue;
    }
    const x = (100 * (1 - (now - at) / historyMs)).toFixed(2);
    const y = (42 - (40 * v) / top).toFixed(2);
    d += pen ? "L" + x + " " + y : "M" + x + " " + y + "h.3";
    pen = true;
  }
  const last = values.length ? values[values.length - 1][1] : null;
  return make("div", { class: "chart", "data-chart": name },
    make("p", null, make("span", null, name), make("span", null, known.length && !most ? "max " + write(Math.max(...known)) : "")),
    make("span", { class: "value" }, write(last)),
    makeSVG("svg", { viewBox: "0 0 100 44", preserveAspectRatio: "none", role: "img", "aria-label": name + ", last two minutes" },
      makeSVG("path", { class: "floor", d: "M0 43H100" }), makeSVG("path", { d: d || "M0 0" })));
}

function table(titles, rows, none) {
  if (rows.length === 0) return [make("p", { class: "soft" }, none)];
  const cell = (tag, title, text) => make(tag, { class: title.startsWith("#") ? "number" : title === "Key" ? "key" : "" }, text);
  return [make("table", null,
    make("thead", null, make("tr", null, ...titles.map((t) => cell("th", t, t.replace("#", ""))))),
    make("tbody", null, ...rows.map((r) => make("tr", null, ...r.map((text, i) => cell("td", titles[i], text))))))];
}

function causes(of) {
  const named = Object.entries(of || {}).filter((c) => c[1] >= 1).sort((a, b) => b[1] - a[1]);
  return named.map(([name, took]) => name + " " + whole(took)).join(", ") || "–";
}

function event(e) {
  const kind = { WARN: "wait", ERROR: "bad" }[e.level] || "soft";
  return make("li", null, make("time", { datetime: e.at }, clock(e.at)), make("span", { class: kind }, e.level.toLowerCase()), make("span", null, e.text));
}

let heard = 0; // when the last snapshot came, by the browser's clock
let told = null; // that snapshot

function draw(s) {
  const v = s.view;
  const now = Date.now();
  heard = now;
  told = s;
  history.push({ at: now, values: Object.fromEntries(charts.map(([name, value]) => [name, value(s)])) });
  while (history.length && now - history[0].at > historyMs) history.shift();

  const kind = verdictKinds[v.verdict] || "bad";
  document.title = (v.verdict === "ok" ? "" : v.verdict.toUpperCase() + " – ") + "raftcached";
  show("cluster", v.cluster, () => [v.cluster ? v.cluster.slice(0, 8) : "not formed yet"]);
  show("verdict", [v.verdict, v.meaning], () => [make("span", { class: kind }, shape(kind), make("strong", null, v.verdict)), ": " + v.meaning]);
  $("problems").hidden = v.problems.length === 0;
  show("problems", v.problems, () => v.problems.map(problem));
  show("servers", v.servers, () => v.servers.map(card));
  $("charts").replaceChildren(...charts.map((c) => chart(c, now)));
  show("hot", s.hotKeys, () => table(["#Reads/s", "#Writes/s", "Key"], s.hotKeys.map((k) => [rate(k.readsPerSecond), rate(k.writesPerSecond), k.key]), "No key is asked for often."));
  show("slow", s.slow, () => table(["At", "#ms", "Command", "Key", "Waited for (ms)"],
    s.slow.map((c) => [clock(c.at), whole(c.ms), c.command, c.key, causes(c.causesMs)]), "No command was slow."));
  show("eventsTitle", s.server, () => ["Events, as server " + s.server + " has logged them"]);
  show("events", s.events, () => s.events.length ? s.events.map(event) : [make("li", null, make("span", { class: "soft" }, "none"))]);
  show("footer", [s.server, v.leases, s.clusterVersionLine], () => ["As server " + s.server + " sees it, once a second. Latencies are of the last second" +
    (v.leases ? ". Leases: " + v.leases : "") + (s.clusterVersionLine ? ". C" + s.clusterVersionLine.slice(1) : "")]);
  watch();
}

// watch says when what is shown is old.
function watch() {
  const age = Date.now() - heard;
  const old = age > oldAfterMs;
  document.body.classList.toggle("old", old && told !== null);
  $("banner").hidden = !old;
  if (old) {
    const what = told === null ? "No news from this server yet" : "No news from server " + told.server + " for " + span(age / 1000) + ". What is shown is old";
    show("banner", what, () => [what + ". It has stopped or hangs, the network is gone, or too many pages are open: open the page of another server."]);
  }
}

function connect() {
  const source = new EventSource("/events");
  source.onmessage = (message) => draw(JSON.parse(message.data));
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) { // the browser tries again only after a cut
      source.close();
      setTimeout(connect, retryMs);
    }
  };
}

heard = Date.now();
connect();
setInterval(watch, 1000);
