// Draws what is chosen in the explorer, from the JSON in the page.

/** Fractions of the largest value at which an axis may end; a quarter of each is a round number. */
const TOPS = [0.08, 0.2, 0.4, 0.6, 0.8, 1];

const PERCENT = (fraction) => `${(100 * fraction).toFixed(1)} %`;

/** Return an SVG or HTML element with attributes and children; text is never read as markup. */
function make(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "line", "path", "circle", "rect", "text"].includes(name);
  const space = svg ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const element = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Return an empty plot: its SVG, and functions from values to pixels. */
function makePlot(title, axis, [left, right], top, ticks, label) {
  const x = (value) => 46 + (226 * (value - left)) / (right - left);
  const y = (value) => 158 - (128 * value) / top;
  const svg = make("svg", { viewBox: "0 0 290 200", role: "img", "aria-label": label });
  svg.append(make("text", { x: 46, y: 14, class: "title" }, title));
  for (let part = 0; part <= 4; part += 1) {
    const tick = (part * top) / 4;
    svg.append(make("line", { x1: 46, x2: 272, y1: y(tick), y2: y(tick), class: "grid" }));
    const text = String(Number(tick.toPrecision(3)));
    svg.append(make("text", { x: 40, y: y(tick) + 4, "text-anchor": "end" }, text));
  }
  for (const [place, text] of ticks) {
    svg.append(make("text", { x: x(place), y: 175, "text-anchor": "middle" }, text));
  }
  svg.append(make("text", { x: 159, y: 194, "text-anchor": "middle" }, axis));
  return { svg, x, y };
}

/** Return a score of all arms against the strength, with the chosen arm and strength emphasised. */
function plotCurve(choice, score, title, largest) {
  const { data, arm, shift, where } = choice;
  const stops = shift.stops;
  const highest = Math.max(
    ...data.arms.flatMap((a) => stops.map(([, k]) => a.conditions[k]?.[score][0] ?? 0)),
    ...stops.map(([, k]) => arm.conditions[k]?.[score][2] ?? 0),
  );
  const top = largest * (TOPS.find((part) => highest <= part * largest) ?? 1);
  const ticks = stops.map(([strength]) => [strength, String(strength)]);
  const points = (a) =>
    stops.filter(([, k]) => a.conditions[k]).map(([s, k]) => [s, ...a.conditions[k][score], k]);
  const values = points(arm).map(([s, mean]) => `${s}: ${mean.toPrecision(3)}`);
  const label = `${title} of ${arm.label} by ${shift.axis}: ${values.join(", ")}`;
  const ends = [stops[0][0], stops[stops.length - 1][0]];
  const { svg, x, y } = makePlot(title, shift.axis, ends, top, ticks, label);
  for (const other of [...data.arms.filter((a) => a !== arm), arm]) {
    const chosen = other === arm;
    const style = { stroke: other.colour, class: chosen ? "curve chosen" : "curve" };
    const path = points(other).map(([s, mean]) => `${x(s)},${y(mean)}`).join("L");
    const dash = { "stroke-dasharray": other.dash };
    if (path) svg.append(make("path", { ...style, ...dash, d: `M${path}` }));
    if (!chosen) continue;
    for (const [s, mean, low, high, k] of points(arm)) {
      svg.append(make("line", { ...style, x1: x(s), x2: x(s), y1: y(low), y2: y(high) }));
      const r = k === where ? 7 : 3;
      svg.append(make("circle", { ...style, cx: x(s), cy: y(mean), r, fill: other.colour }));
    }
  }
  return svg;
}

/** Return the names of the arms beside their signs, the chosen one bold. */
function makeLegend({ data, arm }) {
  const entries = data.arms.map((other) => {
    const attributes = { style: `color:${other.colour}`, "aria-hidden": "true" };
    const name = make(other === arm ? "strong" : "span", {}, other.label);
    return make("span", {}, make("span", attributes, `${other.sign} `), name);
  });
  return make("p", { class: "legend" }, ...entries);
}

/** Return accuracy by confidence: the more images, the fuller a bar; a mark shows its ideal end. */
function plotReliability(condition, colour) {
  const texts = condition.bins.map(([, share, confidence, accuracy]) =>
    `${PERCENT(share)} of the images at confidence ${confidence.toFixed(2)} have accuracy ` +
    accuracy.toFixed(2));
  const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1].map((value) => [value, String(value)]);
  const label = `Reliability: ${texts.join("; ")}`;
  const { svg, x, y } = makePlot("Reliability", "confidence", [0, 1], 1, ticks, label);
  svg.append(make("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: "diagonal" }));
  const most = Math.max(...condition.bins.map(([, share]) => share));
  for (const [bin, share, confidence, accuracy] of condition.bins) {
    const [left, width] = [x(bin / 10) + 1, x(0.1) - x(0) - 2];
    const opacity = 0.25 + (0.75 * share) / most;
    const [top, height] = [y(accuracy), y(0) - y(accuracy)];
    const place = { x: left, y: top, width, height, stroke: colour };
    svg.append(make("rect", { ...place, fill: colour, "fill-opacity": opacity }));
    const end = { x1: left, x2: left + width, y1: y(confidence), y2: y(confidence) };
    svg.append(make("line", { ...end, class: "mark" }));
  }
  return svg;
}

/** Return an example image under the chosen condition with the network's answer. */
function makeImage({ data, arm, where }, k) {
  const name = data.classes[k];
  const alt = `${name}, ${where}`;
  const style = `image-rendering:${data.rendering}`;
  const source = { class: "dark-light", src: data.pictures[where][k], alt, style };
  const figure = make("figure", {}, make("img", source));
  const answer = arm.conditions[where]?.answers[k];
  const caption = make("figcaption", {}, make("span", { class: "is" }, `true: ${name}`));
  if (answer) {
    const [predicted, confidence, own] = answer;
    const right = predicted === name;
    const verdict = [right ? "✓ right: " : "✗ wrong: ", make("strong", {}, predicted)];
    const bar = make("span", { class: "bar", "aria-hidden": "true" });
    bar.append(make("span", { style: `width:${100 * confidence}%;background:${arm.colour}` }));
    caption.append(make("span", {}, ...verdict, ` ${PERCENT(confidence)}`), bar);
    if (!right) caption.append(make("span", {}, `right class: ${PERCENT(own)}`));
  }
  figure.append(caption);
  return figure;
}

function summarise({ data, arm, where }) {
  const condition = arm.conditions[where];
  const start = `${data.data}, ${arm.label}, ${where}: `;
  if (!condition) return `${start}not measured.`;
  const [accuracy, low, high] = condition.accuracy;
  const [error, least, most] = condition.rms_calibration_error_10;
  const side = condition.gap > 0 ? "above" : "below";
  const points = Math.abs(100 * condition.gap).toFixed(1);
  return (
    `${start}accuracy ${accuracy.toFixed(1)} % (95 % interval ${low.toFixed(1)} to ` +
    `${high.toFixed(1)}), RMS calibration error ${error.toFixed(3)} (${least.toFixed(3)} to ` +
    `${most.toFixed(3)}); confidence ${points} points ${side} accuracy on average.`
  );
}

function startExplorer(page) {
  const all = JSON.parse(document.querySelector("script.explorer-data").textContent);
  if (!Object.keys(all).length) return;
  const form = page.querySelector("form");
  const { dataset, arm, corruption, strength } = form.elements;
  const offer = (select, texts) => {
    const before = select.selectedIndex;
    select.replaceChildren(...texts.map(([value, text]) => make("option", { value }, text)));
    select.selectedIndex = Math.min(Math.max(before, 0), texts.length - 1);
  };
  const offerStrengths = () => {
    strength.max = all[dataset.value].shifts[corruption.value].stops.length - 1;
    strength.value = strength.max;
  };
  const offerAll = () => {
    const { arms, shifts } = all[dataset.value];
    offer(arm, arms.map(({ label }, k) => [k, label]));
    offer(corruption, Object.keys(shifts).map((name) => [name, name]));
    offerStrengths();
  };
  const draw = () => {
    const data = all[dataset.value];
    const shift = data.shifts[corruption.value];
    const [stop, where] = shift.stops[strength.value];
    const choice = { data, arm: data.arms[arm.value], shift, where };
    const condition = choice.arm.conditions[where];
    form.querySelector("span").textContent = `: ${where === "clean" ? where : stop}`;
    strength.setAttribute("aria-valuetext", where);
    page.querySelector(".explorer-summary").textContent = summarise(choice);
    page.querySelector(".explorer-basis").textContent =
      `Scores: ${data.images} test images, ${data.seeds}. Predictions: seed ${choice.arm.seed}.`;
    const images = (data.pictures[where] ?? []).map((_, k) => makeImage(choice, k));
    page.querySelector(".explorer-images").replaceChildren(...images);
    const plots = [
      makeLegend(choice),
      plotCurve(choice, "accuracy", "Accuracy (%)", 100),
      plotCurve(choice, "rms_calibration_error_10", "RMS calibration error", 1),
    ];
    if (condition) plots.push(plotReliability(condition, choice.arm.colour));
    page.querySelector(".explorer-plots").replaceChildren(...plots);
  };
  offer(dataset, Object.entries(all).map(([name, { title }]) => [name, title]));
  offerAll();
  form.addEventListener("input", ({ target }) => {
    if (target === dataset) offerAll();
    if (target === corruption) offerStrengths();
    draw();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  draw();
  page.querySelector(".explorer-absent").hidden = true;
  form.hidden = false;
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".explorer").forEach(startExplorer);
});
