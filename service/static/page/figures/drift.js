// Whether what the service meets in use is still what the champion was measured on.

import { count, element, percent } from "../element.js";
import { between, label, line, svg } from "./chart.js";

const KINDS = {
  labels: "other digits than before",
  appearance: "digits that look unlike those before",
  "no digits": "more that is no digit",
};
const [WIDTH, HEIGHT] = [380, 200];
const [LEFT, TOP, RIGHT, BOTTOM] = [36, 8, WIDTH - 8, HEIGHT - 28];
/** A plot reaches at least so far above the threshold, and no score above so many of it is told apart. */
const [ABOVE, MOST] = [1.3, 3];

/** A section about the answer of `/drift`. */
export function driftSection(found) {
  const { alarms, shares, accuracy, scores } = found;
  const parts = [
    element("h2", {}, "In use"),
    element("p", { class: alarms.length ? "note" : null }, stateWords(found)),
    element("ul", { class: "alarms" }, ...alarms.map(alarm)),
    element("p", {}, accuracyWords(accuracy)),
  ];
  const figures = [];
  if (scores.length > 1) figures.push(figure("Evidence of drift", plot(scores, found.threshold), legend()));
  if (shares.length) figures.push(figure("Estimated shares of the digits", columns(shares)));
  if (figures.length) parts.push(element("div", { class: "side-by-side" }, ...figures));
  return element("section", {}, ...parts);
}

function stateWords({ state, answers, alarms }) {
  if (state === "too few") return `Too few answers yet to notice drift: ${count(answers)}.`;
  if (!alarms.length) return `Steady: the last ${count(answers)} answers are like those to held-out digits.`;
  return `Drift: the last ${count(answers)} answers are unlike those to held-out digits.`;
}

function alarm({ kind, when, score, threshold, examples }) {
  const since = new Date(when).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
  const words = `: ${KINDS[kind] ?? ""}, since ${since}. Score ${score.toFixed(1)}, an alarm from ${threshold.toFixed(1)} on.`;
  const ids = examples.flatMap((id) => [" ", element("code", {}, id)]);
  const told = ids.length ? [element("span", { class: "quiet" }, " Requests that show it:", ...ids)] : [];
  return element("li", {}, element("b", {}, kind), words, ...told);
}

function accuracyWords({ estimate, low, high, labelled }) {
  // Of what is estimated, nothing is certain.
  const words = `Accuracy in use: about ${percent(Math.min(estimate, 1 - Number.EPSILON), 2)}`;
  if (low === null || high === null) return `${words}, estimated without labels.`;
  return `${words}, with ${count(labelled)} labelled answers between ${percent(low, 2)} and ${percent(high, 2)} (95 %).`;
}

function figure(title, ...content) {
  return element("figure", {}, element("figcaption", {}, title), ...content);
}

function legend() {
  const items = Object.keys(KINDS).map((kind) => element("li", { class: classOf(kind) }, kind));
  return element("ul", { class: "legend", role: "list" }, ...items);
}

function classOf(kind) {
  return kind.replace(" ", "-");
}

/**
 * The `scores` over time, [seconds, one of each kind], and the line from which on they are alarms.
 */
function plot(scores, threshold) {
  const kinds = Object.keys(KINDS);
  const highest = Math.max(...scores.flatMap(([, ...each]) => each));
  const top = Math.min(Math.max(ABOVE * threshold, highest), MOST * threshold);
  const times = scores.map(([seconds]) => 1000 * seconds);
  const [first, last] = [times[0], times.at(-1)];
  const x = (index) =>
    between(LEFT, RIGHT, last > first ? (times[index] - first) / (last - first) : index / (times.length - 1));
  const y = (score) => between(BOTTOM, TOP, Math.min(score, top) / top);
  const points = (at) => scores.map((one, index) => `${x(index).toFixed(1)},${y(one[at]).toFixed(1)}`).join(" ");
  const now = kinds.map((kind, at) => `${kind} ${scores.at(-1)[at + 1].toFixed(1)}`).join(", ");
  return svg(
    "svg",
    {
      class: "chart scores",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: "img",
      "aria-label": `Scores over time. Now: ${now}. An alarm from ${threshold.toFixed(1)} on.`,
    },
    line("level", LEFT, BOTTOM, RIGHT, BOTTOM),
    line("threshold", LEFT, y(threshold), RIGHT, y(threshold)),
    label("0", LEFT - 8, BOTTOM + 4, "end"),
    label(threshold.toFixed(1), LEFT - 8, y(threshold) + 4, "end"),
    label(clock(first), LEFT, HEIGHT - 6, "start"),
    label(clock(last), RIGHT, HEIGHT - 6, "end"),
    ...kinds.map((kind, at) => svg("polyline", { class: `curve ${classOf(kind)}`, points: points(at + 1) })),
  );
}

function clock(time) {
  return new Date(time).toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false });
}

/** Ten columns, with the tenth that each digit would have if all came alike. */
function columns(shares) {
  const top = Math.max(0.2, ...shares);
  const wide = (RIGHT - LEFT) / shares.length;
  const y = (share) => between(BOTTOM, TOP + 12, share / top);
  const words = shares.map((share, digit) => `${digit}: ${percent(share)}`).join(", ");
  return svg(
    "svg",
    { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words },
    ...shares.flatMap((share, digit) => {
      const x = LEFT + digit * wide;
      const column = { class: "column", x: x + 4, y: y(share), width: wide - 8, height: BOTTOM - y(share), rx: 3 };
      return [
        svg("rect", column),
        label(Math.round(100 * share), x + wide / 2, y(share) - 4, "middle"),
        label(digit, x + wide / 2, BOTTOM + 18, "middle"),
      ];
    }),
    line("mark", LEFT, y(0.1), RIGHT, y(0.1)),
    label("10 %", LEFT - 4, y(0.1) + 4, "end"),
  );
}
