// The story of the challenger: how it answers beside the champion, and the verdict on it.

import { count, element, percent } from "../element.js";
import { between, label, line, svg } from "./chart.js";

const [WIDTH, HEIGHT, LEFT, RIGHT] = [380, 64, 20, 360];
const VERDICTS = {
  undecided: "Undecided: labels of more disagreements are needed.",
  promote: "Promote it: it wins more than chance explains.",
  reject: "Reject it: it does not win.",
};

/** A section about the answer of `/models/mnist/challenger`. */
export function challengerSection(found) {
  const { version, images, agreement, labelled, wins, losses, verdict, reason } = found;
  const rows = [
    ["Images that both answered", count(images)],
    ["Same digit", agreement === null ? "–" : percent(agreement, 2)],
    ["Disagreements with a label", count(labelled)],
    ["The challenger alone was right", count(wins)],
    ["The champion alone was right", count(losses)],
  ].map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)));
  const table = element(
    "table",
    { class: "rows" },
    element("caption", { class: "unseen" }, "The challenger and the champion"),
    element("tbody", {}, ...rows),
  );
  const words = element("p", {}, element("b", {}, VERDICTS[verdict] ?? verdict), ` ${reason}`);
  return element(
    "section",
    {},
    element("h2", {}, `Version ${version} challenges it`),
    element("p", { class: "quiet" }, how(found)),
    words,
    element("div", { class: "side-by-side" }, table, element("figure", {}, element("figcaption", {}, "Its share of wins"), interval(found))),
  );
}

function how({ mode, share }) {
  if (mode === "canary") return `It answers ${percent(share)} of the callers, always the same ones.`;
  return "It answers in the shadow, after the champion: nobody gets its answers.";
}

/** Between which shares of wins the truth lies, against the half at which both are alike. */
function interval({ low, high, wins, losses }) {
  const x = (share) => between(LEFT, RIGHT, share);
  const words = `Between ${percent(low)} and ${percent(high)}; above 50.0 % it is better than the champion.`;
  const won = wins + losses ? [svg("circle", { class: "won", cx: x(wins / (wins + losses)), cy: 22, r: 5 })] : [];
  return svg(
    "svg",
    { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words },
    line("level", LEFT, 22, RIGHT, 22),
    line("mark", x(0.5), 6, x(0.5), 38),
    line("range", x(low), 22, x(high), 22),
    ...won,
    label("0 %", x(0), 58, "start"),
    label("50 %", x(0.5), 58, "middle"),
    label("100 %", x(1), 58, "end"),
  );
}
