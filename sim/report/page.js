"use strict";
// Zooms, moves and filters the picture. Elements carry their times in data attributes; places are computed from them.
const data = JSON.parse(document.getElementById("data").textContent);
const picture = document.getElementById("picture");
const stage = document.getElementById("stage");
const tip = document.getElementById("tip");
const span = data.width - data.left - data.right;
const end = data.instants[data.instants.length - 1] || 1;
let low = 0, high = 1, even = false, chosen = null;

function search(list, value) {  // the last index whose entry is not larger
  let a = 0, b = list.length - 1;
  while (a < b) { const m = (a + b + 1) >> 1; if (list[m] <= value) a = m; else b = m - 1; }
  return a;
}
function between(from, to, value) {
  const i = Math.min(search(from, value), from.length - 2);
  if (i < 0) return to[0];
  const width = from[i + 1] - from[i];
  return to[i] + (width ? (value - from[i]) / width : 0) * (to[i + 1] - to[i]);
}
const place = at => even ? at / end : between(data.instants, data.places, at);
const instant = p => even ? p * end : between(data.places, data.instants, p);
const x = at => data.left + (place(at) - low) / (high - low) * span;

function curve(points) {  // the same rule as in drawing.py
  let d = `M${points[0][0]} ${points[0][1]}`;
  for (let i = 1; i < points.length; i++) {
    const middle = (points[i - 1][0] + points[i][0]) / 2;
    d += `C${middle} ${points[i - 1][1]} ${middle} ${points[i][1]} ${points[i][0]} ${points[i][1]}`;
  }
  return d;
}
function seconds(us, width) {
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(Math.max(width, 1) / 1e6)) + 1));
  return (us / 1e6).toFixed(digits) + " s";
}
function layout() {
  for (const bar of picture.querySelectorAll(".bar")) {
    const a = x(+bar.dataset.a), b = x(+bar.dataset.b);
    bar.setAttribute("x", a); bar.setAttribute("width", Math.max(b - a, 1.5));
  }
  for (const way of picture.querySelectorAll(".way"))
    way.setAttribute("d", curve(way.dataset.p.split(" ").map(p => p.split(",").map(Number)).map(([at, y]) => [x(at), y])));
  for (const mark of picture.querySelectorAll(".mark")) {
    const y = mark.transform.baseVal.getItem(0).matrix.f;
    mark.setAttribute("transform", `translate(${x(+mark.dataset.t)} ${y})`);
  }
  for (const arrow of picture.querySelectorAll(".arrow")) {
    const at = x(+arrow.dataset.t);
    arrow.setAttribute("x1", at); arrow.setAttribute("x2", at);
  }
  const times = [];
  for (let i = 0; i <= data.ticks; i++) times.push(instant(low + (high - low) * i / data.ticks));
  document.querySelectorAll("#ticks text").forEach((text, i) => {
    text.textContent = seconds(times[i], Math.abs((times[i + 1] ?? times[i]) - (times[i + 1] ? times[i] : times[i - 1])));
  });
}
let waiting = false;
function soon() { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; layout(); }); } }

function scaleX(event) { return (event.clientX - stage.getBoundingClientRect().left) / stage.clientWidth * data.width; }
stage.addEventListener("wheel", event => {
  event.preventDefault();
  const at = low + (scaleX(event) - data.left) / span * (high - low);
  const factor = Math.exp(event.deltaY * 0.0015);
  const width = Math.min(1, Math.max(1e-7, (high - low) * factor));
  low = Math.max(0, Math.min(1 - width, at - (at - low) / (high - low) * width));
  high = low + width;
  soon();
}, { passive: false });
let held = null;
stage.addEventListener("pointerdown", event => { held = { x: scaleX(event), low, high }; stage.classList.add("moving"); });
window.addEventListener("pointerup", () => { held = null; stage.classList.remove("moving"); });
window.addEventListener("pointermove", event => {
  if (held) {
    const by = (held.x - scaleX(event)) / span * (held.high - held.low), width = held.high - held.low;
    low = Math.max(0, Math.min(1 - width, held.low + by)); high = low + width;
    soon();
  }
});
stage.addEventListener("mousemove", event => {
  const element = event.target.closest("[data-text], [data-m]");
  for (const hot of picture.querySelectorAll(".hot")) hot.classList.remove("hot");
  const text = element && (element.dataset.text || element.dataset.m);
  tip.style.display = text ? "block" : "none";
  if (!text) return;
  tip.textContent = text;
  tip.style.left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 10) + "px";
  tip.style.top = Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 10) + "px";
  if (element.dataset.m) for (const way of picture.querySelectorAll(".way")) way.classList.toggle("hot", way.dataset.m === element.dataset.m);
});
stage.addEventListener("mouseleave", () => { tip.style.display = "none"; });

const family = key => key.split("+")[0];
function choose(key) {
  chosen = chosen === key ? null : key;
  for (const element of picture.querySelectorAll("[data-m]")) {
    const own = element.dataset.m;
    const wanted = chosen && (own === chosen || (!chosen.includes("+") && family(own) === chosen));
    element.classList.toggle("off", Boolean(chosen && own && !wanted));
    element.classList.toggle("shown", Boolean(wanted));
  }
  for (const chip of document.querySelectorAll(".chip")) chip.classList.toggle("on", chip.dataset.m === chosen);
  if (chosen) {
    const times = [...picture.querySelectorAll(".mark.shown")].map(mark => place(+mark.dataset.t));
    const a = Math.min(...times), b = Math.max(...times), margin = Math.max((b - a) * 0.06, 1e-4);
    if (times.length) { low = Math.max(0, a - margin); high = Math.min(1, b + margin); }
  } else { low = 0; high = 1; }
  soon();
  const lines = chosen ? data.stories[chosen]?.length ? data.stories[chosen] : data.stories[family(chosen)] : [];
  document.querySelector("#story pre").textContent = (lines || []).join("\n");
}
document.getElementById("chips").addEventListener("click", event => {
  const chip = event.target.closest(".chip");
  if (chip) choose(chip.dataset.m);
});
picture.addEventListener("click", event => {
  const element = event.target.closest("[data-m]");
  if (element && element.dataset.m) choose(element.dataset.m);
});
document.getElementById("filter").addEventListener("input", event => {
  const words = event.target.value.toLowerCase();
  for (const chip of document.querySelectorAll(".chip"))
    chip.classList.toggle("hidden", !(chip.textContent + (data.stories[chip.dataset.m] || []).join(" ")).toLowerCase().includes(words));
});
document.getElementById("all").addEventListener("click", () => { if (chosen) choose(chosen); });
document.getElementById("reset").addEventListener("click", () => { low = 0; high = 1; soon(); });
document.getElementById("even").addEventListener("click", event => {
  even = !even; low = 0; high = 1;
  event.target.textContent = even ? "stretched time" : "even time";
  soon();
});
const only = document.querySelectorAll(".chip:not([data-m*='+'])");
if (only.length === 1) choose(only[0].dataset.m);
