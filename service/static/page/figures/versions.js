// Every version in a table: when, which network, how good, how large, how fast.

import { count, element, percent } from "../element.js";
import { inferTime, ServiceError } from "../service.js";

/** How often each version is asked to find how fast it is; at first it is loaded and warms up. */
const TIMES = 11;
const WARMING = 4;
const HEADS = ["Version", "Made", "Network", "Accuracy", "Robustness", "Size", "Latency"];

/** A section with all versions of `model`; `cards` are theirs by version, `open` opens one. */
export function versionsSection(model, cards, open) {
  const versions = model.versions.toReversed();
  const times = new Map(versions.map(({ version }) => [version, element("td", {}, "–")]));
  const rows = versions.map((one) => row(one, cards.get(one.version), times.get(one.version), open));
  const state = element("p", { class: "quiet", role: "status" });
  const button = element("button", {}, "Measure the latency");
  const able = versions.filter((one) => one.state !== "failed" && cards.has(one.version));
  button.addEventListener("click", async () => {
    if (button.hasAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    state.textContent = "Asking each version in turn …";
    state.textContent = await measure(able, times);
    button.removeAttribute("aria-disabled");
  });
  const table = element(
    "table",
    { class: "wide" },
    element("caption", { class: "unseen" }, "Published versions and their state"),
    element("thead", {}, element("tr", {}, ...HEADS.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows),
  );
  const place = { class: "scrolls", tabindex: 0, role: "region", "aria-label": "All versions" };
  return element(
    "section",
    {},
    element("h2", {}, "All versions"),
    element("div", place, table),
    element("div", { class: "choices" }, button),
    state,
  );
}

async function measure(versions, times) {
  try {
    for (const { version } of versions) {
      const found = [];
      while (found.length < TIMES) found.push(await inferTime(version));
      const later = found.slice(WARMING).sort((one, other) => one - other);
      times.get(version).textContent = `${later[later.length >> 1].toFixed(2)} ms`;
    }
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return error.message;
  }
  return `The model's time for one image, the median of ${TIMES - WARMING}, asked in turn on this service now.`;
}

function row({ version, state, reason }, story, time, open) {
  const name = `Version ${version}`;
  const link = story ? element("button", { class: "link" }, name) : name;
  if (story) link.addEventListener("click", () => open(story));
  const words = reason ?? (state === "serving" ? "serves" : null);
  const head = element("th", { scope: "row" }, link, words ? element("span", { class: "quiet" }, ` ${words}`) : "");
  const cells = [story?.created?.slice(0, 10), story?.architecture, accuracy(story), robustness(story), size(story)];
  return element("tr", {}, head, ...cells.map((cell) => element("td", {}, cell || "–")), time);
}

function accuracy(story) {
  return story?.test && percent(story.test.accuracy, 2);
}

/** The mean accuracy on images that were shifted, turned, blurred and the like. */
function robustness(story) {
  const shares = Object.values(story?.robustness ?? {}).filter((one) => typeof one === "number");
  return shares.length && percent(shares.reduce((sum, one) => sum + one, 0) / shares.length, 2);
}

function size(story) {
  return story?.size_bytes && `${count(Math.round(story.size_bytes / 1024))} KiB`;
}
