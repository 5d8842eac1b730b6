"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const charts = [...document.querySelectorAll(".chart")];
const slider = document.getElementById("cursor");
const steps = Math.max(1, Math.round(data.length / data.bin));
const clock = (time) => `${time.toFixed(time < 100 ? 2 : 1)} s`;
const percent = (thousandths) => `${Math.round(thousandths / 10)} %`;
let cursor = 0;

function binAt(person, time) {
  const { first, bins } = data.series[person];
  return bins[Math.floor(time / data.bin + 1e-6) - first];
}

function show(time) {
  cursor = Math.min(Math.max(time, 0), data.length);
  slider.value = Math.round(cursor / data.bin);
  document.getElementById("now").textContent = clock(cursor);
  slider.setAttribute("aria-valuetext", describe());
  const place = `${(100 * cursor) / data.length}%`;
  for (const line of document.querySelectorAll(".cursor")) {
    line.setAttribute("x1", place);
    line.setAttribute("x2", place);
  }
  for (const chart of charts) {
    const bin = binAt(chart.dataset.person, cursor);
    for (const row of chart.querySelectorAll("[data-value]")) {
      const value = Number(row.dataset.value);
      row.querySelector("output").textContent = bin ? percent(bin[1 + value]) : "";
      row.firstElementChild.classList.toggle("on", Boolean(bin) && bin[0] === value);
    }
  }
  showMoments();
}

function describe() {
  const seen = Object.keys(data.series).map((person) => [person, binAt(person, cursor)])
    .filter(([, bin]) => bin).map(([person, bin]) => `${person} ${data.labels[bin[0]]}`);
  return `${clock(cursor)}: ${seen.join(", ") || "nobody"}`;
}

// The newest picture of each camera up to the cursor.
const cameras = new Map();
for (const frame of data.frames) {
  if (!cameras.has(frame.camera)) cameras.set(frame.camera, { frames: [], shown: null });
  cameras.get(frame.camera).frames.push(frame);
}

function newest(frames) {
  let low = 0, high = frames.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (frames[middle].time <= cursor + 1e-6) low = middle + 1; else high = middle;
  }
  return frames[Math.max(0, low - 1)];
}

function element(name, attributes, parent) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

function showMoments() {
  for (const [camera, state] of cameras) {
    const frame = newest(state.frames);
    if (frame === state.shown) continue;
    state.shown = frame;
    if (!state.figure) {
      state.figure = document.createElement("figure");
      state.figure.append(document.createElement("figcaption"));
      document.getElementById("moments").append(state.figure);
    }
    const [width, height] = frame.size;
    const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, state.figure);
    element("rect", { width, height, class: "track" }, svg);
    if (frame.picture) element("image", { href: frame.picture, width, height }, svg);
    for (const face of frame.faces) {
      drawAttention(svg, face, width, height);
      const [x1, y1, x2, y2] = face.box;
      element("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: "box" }, svg);
    }
    state.figure.querySelector("figcaption").textContent = `${camera}, ${clock(frame.time)}`;
    [...state.figure.querySelectorAll("svg")].slice(0, -1).forEach((old) => old.remove());
  }
}

function drawAttention(svg, face, width, height) {
  if (!face.attention) return;
  const rows = face.attention.length, columns = face.attention[0].length;
  const w = (width * data.scene[0]) / columns, h = (height * data.scene[1]) / rows;
  const left = (width * (1 - data.scene[0])) / 2, top = (height * (1 - data.scene[1])) / 2;
  face.attention.forEach((row, y) => row.forEach((weight, x) => {
    element("rect", { x: left + x * w, y: top + y * h, width: w, height: h, class: "heat",
      opacity: (0.0075 * weight).toFixed(3) }, svg);
  }));
}

function jump(direction) {
  const times = data.changes.filter((time) => direction * (time - cursor) > data.bin / 2);
  if (times.length) show(direction > 0 ? times[0] : times[times.length - 1]);
}

if (slider) {
  document.documentElement.classList.add("scripted");
  slider.max = steps;
  let waiting = null;
  const follow = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const time = (data.length * (event.clientX - box.left)) / box.width;
    if (waiting === null) requestAnimationFrame(() => { show(waiting); waiting = null; });
    waiting = time;
  };
  for (const svg of document.querySelectorAll(".chart .row > svg, #presence .band")) {
    svg.addEventListener("pointermove", follow);
    svg.addEventListener("pointerdown", follow);
  }
  slider.addEventListener("input", () => show(slider.value * data.bin));
  document.getElementById("previous").addEventListener("click", () => jump(-1));
  document.getElementById("next").addEventListener("click", () => jump(1));
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target === slider || event.altKey || event.metaKey) return;
    show(cursor + step * data.bin * (event.shiftKey ? 10 : 1));
    event.preventDefault();
  });
  show(0);
}
