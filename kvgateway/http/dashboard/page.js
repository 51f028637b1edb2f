// Asks the gateway again and again, and draws what it says. All of it is text: nothing that comes
// from the gateway is ever taken for HTML.
import { perSecond, quantile, reading, share, total } from "./figures.js";

const EVERY_MS = 2000;
const WINDOW_MS = 10_000; // what rates and quantiles are taken over
const SHOWN_MS = 600_000;
const CACHE = "tandem_cache_results_total";
const [HIT, MISS] = [{ result: "hit" }, { result: "miss" }];
const SIZE = { width: 300, height: 90 };
const CHARTS = [
  { title: "Operations a second", shown: (value) => rounded(value), lines: [
    ["reads", (...two) => sum(perSecond(...two, CACHE, HIT), perSecond(...two, CACHE, MISS))],
    ["writes", (...two) => perSecond(...two, "tandem_answer_seconds_count", { operation: "write" })],
  ] },
  { title: "Answers not from memory, p99", shown: duration, lines: [
    ["reads", (...two) => quantile(...two, "tandem_answer_seconds", { operation: "read" }, 0.99)],
    ["writes", (...two) => quantile(...two, "tandem_answer_seconds", { operation: "write" }, 0.99)],
  ] },
  { title: "Reads from memory", shown: (value) => `${rounded(value * 100)} %`, top: 1, lines: [
    ["share", (...two) => share(...two, CACHE, HIT, [HIT, MISS])],
  ] },
  { title: "Repairs that wait", shown: (value) => rounded(value), lines: [
    ["queue", (_, now) => total(now, "tandem_queue_rows") + total(now, "tandem_repairs_unqueued")],
  ] },
  { title: "Failed, a second", shown: (value) => rounded(value), lines: [
    ["unavailable", (...two) => perSecond(...two, "tandem_unavailable_total")],
    ["overloaded", (...two) => perSecond(...two, "tandem_overloaded_total")],
  ] },
];

const byId = (id) => document.getElementById(id);
const readings = [];
const series = CHARTS.map(({ lines }) => lines.map(() => []));
let token = sessionStorage.getItem("token") ?? "";
let heardMs = Date.now();

function element(tag, attributes = {}, ...children) {
  const made = ["svg", "polyline", "line", "text"].includes(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function sum(one, other) {
  return one === null || other === null ? null : one + other;
}

function rounded(value) {
  return value < 10 ? String(Math.round(value * 10) / 10) : Math.round(value).toLocaleString("en");
}

function duration(seconds) {
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${rounded(seconds * 1e3)} ms`;
  if (seconds < 120) return `${rounded(seconds)} s`;
  return seconds < 7200 ? `${rounded(seconds / 60)} min` : `${rounded(seconds / 3600)} h`;
}

function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function described(pairs) {
  return pairs.flatMap(([name, value, tone]) => [
    element("dt", {}, name), element("dd", tone ? { class: tone } : {}, value),
  ]);
}

function verdict({ equal, differences, homes, queue }) {
  if (equal) return [element("p", { class: "good" }, "Both homes are equal, as far as this gateway knows")];
  const found = differences.map((difference) => element("li", {}, difference));
  const calm = homes.every((home) => state(home)[1] === "good") && queue.depth + queue.dirty_ranges === 0;
  return [
    element("p", { class: calm ? "" : "warn" }, calm ? "Both homes serve" : "The homes are not known to be equal"),
    element("ul", {}, ...found),
  ];
}

function state({ reads, writes, breaker, behind }) {
  if (breaker !== "closed") return [`breaker ${breaker}`, "bad"];
  if (!reads || !writes) return ["switched off", "warn"];
  return behind.length ? ["behind", "warn"] : ["serves", "good"];
}

function latency([before, now], home, operation) {
  const of = (wanted) =>
    quantile(before, now, "tandem_home_latency_seconds", { home, operation }, wanted);
  return of(0.5) === null ? "none lately" : `${duration(of(0.5))}, p99 ${duration(of(0.99))}`;
}

function card(home, two) {
  const [word, tone] = state(home);
  const behind = home.behind.includes("*") ? "all namespaces" : counted(home.behind.length || "no", "namespace");
  const onOff = (on) => [on ? "on" : "OFF", on ? "" : "warn"];
  return element("article", {},
    element("h2", {}, home.home, " ", element("span", { class: `state ${tone}` }, word)),
    element("p", { class: "place" }, `${home.kind} at ${home.location}`),
    element("dl", {}, ...described([
      ["reads", ...onOff(home.reads)],
      ["writes", ...onOff(home.writes)],
      ["may lack writes of", behind, home.behind.length ? "warn" : ""],
      ["gets", latency(two, home.home, "get")],
      ["puts", latency(two, home.home, "put")],
      ...(home.last_failure ? [["failed last", home.last_failure, "warn"]] : []),
      ...(home.detail ? [["store", home.detail]] : []),
    ])));
}

function chart({ title, shown, lines, top }, values) {
  const endMs = readings.at(-1).atMs;
  const most = top ?? Math.max(...values.flat().map(([, value]) => value), 0);
  const point = ([atMs, value]) => {
    const x = SIZE.width * (1 - (endMs - atMs) / SHOWN_MS);
    const y = SIZE.height - 2 - (most > 0 ? value / most : 0) * (SIZE.height - 4);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  };
  const latest = (number) => {
    const last = values[number].at(-1);
    return last?.[0] === endMs ? shown(last[1]) : "none";
  };
  return element("figure", {},
    element("figcaption", {}, title, element("span", { class: "most" }, most > 0 && !top ? `up to ${shown(most)}` : "")),
    element("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, preserveAspectRatio: "none", role: "img", "aria-label": title },
      ...lines.map((_, number) =>
        element("polyline", { class: `line${number}`, points: values[number].map(point).join(" ") }))),
    element("p", { class: "legend" },
      ...lines.map(([name], number) => element("span", { class: `line${number}` }, `${name} ${latest(number)}`))));
}

function facts(status) {
  const { queue, journal, clock, certificate, settings } = status;
  const oldest = queue.oldest_age_us ? `, the oldest for ${duration(queue.oldest_age_us / 1e6)}` : "";
  const person = queue.needs_person ? `; ${queue.needs_person} wait for a person` : "";
  return described([
    ["workers", `${status.workers}, replaced ${counted(status.worker_restarts, "time")}`],
    ["repairs", `${queue.depth} queued${oldest}; ${queue.healed} healed, ${queue.failed_tries} failed tries${person}`, queue.needs_person ? "bad" : ""],
    ["left to the crawler", counted(queue.dirty_ranges, "range"), queue.dirty_ranges ? "warn" : ""],
    ["journal", journal.writable ? counted(journal.pending, "open write") : "NOT WRITABLE: writes wait for both homes", journal.writable ? "" : "bad"],
    ["clock", `${duration(Math.abs(clock.offset_us) / 1e6)} from the homes'${clock.alarm ? ", which disagree" : ""}`, clock.alarm ? "bad" : ""],
    ...(certificate ? [["certificate", certificate.trouble ?? certificate.subject, certificate.trouble ? "bad" : ""]] : []),
    ...settings.mistakes.map((mistake) => ["settings refused", mistake, "bad"]),
    ...(settings.waiting.length ? [["wait for a restart", settings.waiting.join(", "), "warn"]] : []),
  ]);
}

function remember(now) {
  readings.push(now);
  while (readings.length > 2 && now.atMs - readings[0].atMs > WINDOW_MS) readings.shift();
  CHARTS.forEach(({ lines }, chartNumber) => lines.forEach(([, value], number) => {
    const line = series[chartNumber][number];
    const found = value(readings[0], now);
    if (found !== null) line.push([now.atMs, found]);
    while (line.length && now.atMs - line[0][0] > SHOWN_MS) line.shift();
  }));
}

function show(status) {
  const two = [readings[0], readings.at(-1)];
  const doubled = status.doubled ? "; DOUBLED: another gateway uses this id" : "";
  byId("gateway").textContent = `gateway ${status.gateway_id}${doubled}`;
  byId("verdict").replaceChildren(...verdict(status));
  byId("homes").replaceChildren(...status.homes.map((home) => card(home, two)));
  byId("charts").replaceChildren(...CHARTS.map((one, number) => chart(one, series[number])));
  byId("facts").replaceChildren(...facts(status));
  byId("shown").hidden = false;
  byId("door").hidden = true;
}

function askForToken(why) {
  byId("refusal").textContent = token ? why : "";
  byId("door").hidden = false;
  byId("shown").hidden = true;
}

async function look() {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const [status, metrics] = await Promise.all([
    fetch("status", { headers, cache: "no-store" }), fetch("metrics", { cache: "no-store" }),
  ]);
  if (status.status === 401 || status.status === 403) return askForToken(await status.text());
  if (!status.ok || !metrics.ok) throw new Error(await (status.ok ? metrics : status).text());
  remember(reading(await metrics.text(), Date.now()));
  show(await status.json());
}

async function lookOn() {
  try {
    await look();
    heardMs = Date.now();
    byId("silence").hidden = true;
  } catch (error) {
    const since = duration((Date.now() - heardMs) / 1000);
    byId("silence").textContent = `no answer from the gateway for ${since}: ${error.message}`;
    byId("silence").hidden = false;
  }
  setTimeout(lookOn, EVERY_MS);
}

function takeToken(text) {
  token = text;
  sessionStorage.setItem("token", token);
}

byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  takeToken(byId("token").value.trim());
  look().catch(() => {}); // whoever looks on will say so
});
if (location.hash.length > 1) {
  takeToken(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
lookOn();
